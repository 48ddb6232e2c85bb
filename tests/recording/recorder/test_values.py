"""What is stored of every observation is what a loop over single samples computes with the weights before the step."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from gwa_attrib.recording.begin import record
from gwa_attrib.store import Run, open_run
from gwa_attrib.store.schema import FLOAT_SIGNALS
from tests import loops, oracles
from tests.loops import Classifier


def expected_rows(
    model: Classifier, features: Tensor, y: Tensor, ids: list[int], **loss: Any
) -> list[dict[str, float]]:
    """From the head's weights as they are now."""
    weight, bias = model.head.weight.detach(), model.head.bias
    bias = None if bias is None else bias.detach()
    gradients = oracles.gradients(features, y, weight, bias, **loss)
    logits = F.linear(features.double(), weight.double(), None if bias is None else bias.double())
    class_weight = loss.get("class_weight")
    rows = []
    for i, (z, target, gradient) in enumerate(zip(logits.tolist(), y, gradients, strict=True)):
        label = int(target.argmax() if target.dim() else target)
        smoothed = oracles.distribution(target, len(z), loss.get("label_smoothing", 0.0))
        rows.append(
            {
                "sample_id": ids[i],
                "label": label,
                "pred": max(range(len(z)), key=z.__getitem__),
                "alignment": oracles.alignment(gradient, weight),
                "dot": oracles.dot(gradient, weight),
                "grad_norm": oracles.norm(gradient),
                "loss": oracles.loss(z, smoothed, None if class_weight is None else class_weight.tolist()),
                "margin": oracles.margin(z, label),
                "p_label": oracles.softmax(z)[label],
                "el2n": oracles.el2n(z, oracles.distribution(target, len(z))),
            }
        )
    return rows


def soft(y: Tensor) -> Tensor:
    """A fixed distribution for each label, likeliest at the label."""
    return F.one_hot(y, loops.CLASSES) * 0.7 + torch.tensor([0.05, 0.1, 0.15])


WEIGHT = torch.tensor([1.0, 3.0, 0.25])
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "without bias": {"bias": False},
    "dropout": {"dropout": 0.5},
    "shuffled, in workers": {"loader": {"shuffle": True, "num_workers": 2}},
    "sum over the batch": {"reduction": "sum"},
    "label smoothing": {"loss": {"label_smoothing": 0.3}},
    "class weights": {"loss": {"class_weight": WEIGHT}},
    "both": {"loss": {"class_weight": WEIGHT, "label_smoothing": 0.1}},
    "soft targets": {"targets": soft},
    "batches of one": {"loader": {"batch_size": 1}},
    "last batch of one": {"loader": {"batch_size": 19, "shuffle": True}},
    "float64": {"dtype": torch.float64},
    "two classes": {"classes": 2},
    "large steps": {"lr": 3.0},
}


def run_case(
    path: Path,
    *,
    bias: bool = True,
    dropout: float = 0.0,
    classes: int = loops.CLASSES,
    loader: dict[str, Any] | None = None,
    loss: dict[str, Any] | None = None,
    reduction: str = "mean",
    targets: Callable[[Tensor], Tensor] = lambda y: y,
    dtype: torch.dtype = torch.float32,
    lr: float = 0.3,
) -> tuple[Run, list[dict[str, float]]]:
    """Two epochs recorded, and the rows that should have been; float64 oracles of the very features of the batch."""
    model = Classifier(classes, dropout, bias=bias).to(dtype)
    batches, loss = loops.loader(loops.Told(classes=classes), **(loader or {})), loss or {}
    optimizer = loops.sgd(model, lr)
    weight = loss.get("class_weight")
    torch_loss = {
        "label_smoothing": loss.get("label_smoothing", 0.0),
        "weight": None if weight is None else weight.to(dtype),
    }
    rows = []
    with record(model, path, num_samples=loops.SAMPLES, optimizer=optimizer, **loss) as recorder:
        for epoch in range(2):
            for x, labels in recorder.batches(batches):
                y, features = targets(labels), model.features(x.to(dtype))
                y = y.to(dtype) if y.dim() == 2 else y
                F.cross_entropy(model.head(features), y, reduction=reduction, **torch_loss).backward()
                found = expected_rows(model, features.detach(), y, loops.told_ids(x), **loss)
                rows += [{**row, "epoch": epoch, "learning_rate": lr} for row in found]
                recorder.step(y)
                optimizer.step()
                optimizer.zero_grad()
            recorder.end_epoch()
    return open_run(path), rows


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
def test_every_observation_equals_the_oracle(tmp_path: Path, case: dict[str, Any]) -> None:
    run, rows = run_case(tmp_path / "run", **case)
    found = run.observations().to_pandas().sort_values(["epoch", "step", "sample_id"])
    assert len(found) == len(rows) == 2 * loops.SAMPLES
    rows = sorted(rows, key=lambda row: (row["epoch"], row["sample_id"]))
    found = found.sort_values(["epoch", "sample_id"])
    for name in ("epoch", "sample_id", "label", "pred"):
        assert found[name].tolist() == [row[name] for row in rows], name
    for name in (*FLOAT_SIGNALS, "learning_rate"):
        expected = np.array([row[name] for row in rows])
        np.testing.assert_allclose(found[name].to_numpy(), expected, rtol=1e-4, atol=1e-5, err_msg=name)


def test_the_weights_are_those_before_the_step(tmp_path: Path) -> None:
    """With a step large enough that the weights after it give other values: the test above could tell."""
    model = Classifier()
    before, after = (), ()
    with record(model, tmp_path / "run", num_samples=loops.SAMPLES) as recorder:
        y = loops.backward(model, [0, 1, 2, 3])
        features = model.features(loops.Told().x[:4]).detach()
        before = [row["alignment"] for row in expected_rows(model, features, y, [0, 1, 2, 3])]
        recorder.step(y, sample_ids=[0, 1, 2, 3])
        loops.sgd(model, 3.0).step()
        after = [row["alignment"] for row in expected_rows(model, features, y, [0, 1, 2, 3])]
        recorder.end_epoch()
    found = open_run(tmp_path / "run").trajectory("alignment")[0, :4]
    np.testing.assert_allclose(found, before, rtol=1e-4)
    assert np.abs(found - np.array(after)).max() > 0.05


def test_reduction_and_batch_size_do_not_matter_at_a_learning_rate_of_zero(tmp_path: Path) -> None:
    """A sample's own loss is never divided by the batch size."""
    cases = [
        {},
        {"reduction": "sum"},
        {"loader": {"batch_size": 1}},
        {"loader": {"batch_size": 7, "shuffle": True}},
        {"loader": {"batch_size": 20}},
    ]
    runs = [run_case(tmp_path / str(i), lr=0.0, **case)[0] for i, case in enumerate(cases)]
    for name in FLOAT_SIGNALS:
        for run in runs[1:]:
            np.testing.assert_allclose(run.trajectory(name), runs[0].trajectory(name), rtol=1e-4, atol=1e-6)


def test_the_steps_count_through_the_epochs(tmp_path: Path) -> None:
    run = loops.recorded(tmp_path / "run", epochs=3, batches=loops.loader(batch_size=8))
    steps = run.observations().to_pandas().groupby("epoch")["step"].agg(["min", "max"])
    assert steps.to_numpy().tolist() == [[0, 2], [3, 5], [6, 8]]


def test_the_learning_rate_is_that_of_the_heads_group_at_the_step(tmp_path: Path) -> None:
    model = Classifier()
    groups = [{"params": model.body.parameters(), "lr": 1.0}, {"params": model.head.parameters(), "lr": 0.5}]
    optimizer = torch.optim.SGD(groups)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    with record(model, tmp_path / "run", num_samples=loops.SAMPLES, optimizer=optimizer) as recorder:
        for _ in range(3):
            loops.train(recorder, model, optimizer=optimizer)
            schedule.step()
    assert open_run(tmp_path / "run").trajectory("learning_rate")[:, 0].tolist() == [0.5, 0.25, 0.125]


def test_without_an_optimizer_there_is_no_learning_rate(tmp_path: Path) -> None:
    assert np.isnan(loops.recorded(tmp_path / "run").trajectory("learning_rate")).all()
