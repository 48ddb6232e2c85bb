"""Harm to a trusted set: its sign and size are those of influence, and it finds what is wrong."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import average_precision_score

import gwa_attrib as gwa
from gwa_attrib.auditing.audited_model import load_audited_model
from gwa_attrib.cleaning.evaluation_set import examination_of_test_set
from gwa_attrib.errors import InputError, UnknownNameError
from gwa_attrib.store import Run
from tests.cleaning.test_verification import TRUTH, clouds


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("t")
    gwa.audit(
        clouds(folder, "train", 400, seed=0, share_wrong=0.3), folder / "run", epochs=10, budget="fast", truth=TRUTH
    )
    return gwa.open_run(folder / "run")


def test_wrong_labels_harm_a_trusted_set(run: Run, tmp_path: Path) -> None:
    trusted = clouds(tmp_path, "trusted", 60, seed=1)
    scores = gwa.harmful(run, trusted)
    wrong = run.samples[TRUTH].to_numpy() != run.labels
    alone = average_precision_score(wrong, gwa.rank(run, "harmful").suspicion())
    harm = average_precision_score(wrong, scores.columns["harm_on_trusted"])
    both = average_precision_score(wrong, scores.suspicion())
    assert harm > wrong.mean() + 0.2
    assert both > alone - 0.02
    moved = scores.values - scores.columns["log_odds"]
    assert np.abs(moved).max() <= 1
    np.testing.assert_array_equal(np.sign(moved), np.sign(scores.columns["harm_on_trusted"]))
    assert scores.suspect == "high"
    assert scores.meta["trusted"] == 60


def test_the_harm_is_the_mean_influence_with_its_sign_turned(run: Run, tmp_path: Path) -> None:
    """Training that lowers the loss of trusted samples is no harm: by a step of gradient descent on one sample."""
    trusted = clouds(tmp_path, "trusted", 30, seed=2)
    scores = gwa.harmful(run, trusted, method="grad_dot")
    model = load_audited_model(run)
    with np.load(trusted) as file:
        answers = torch.from_numpy(file["y"])
    asked = examination_of_test_set(run, str(trusted)).inputs[len(run.labels) :]
    head = [m for m in model.model.modules() if isinstance(m, torch.nn.Linear)][-1]
    before = {name: p.detach().clone() for name, p in head.named_parameters()}
    loss = float(F.cross_entropy(model.model(asked).detach().double(), answers))
    harm = scores.columns["harm_on_trusted"]
    for i in [*np.argsort(harm)[[0, -1]], 5]:
        model.model.zero_grad()
        F.cross_entropy(model.model(model.inputs[i : i + 1]), model.labels[i : i + 1]).backward()
        step = 1e-3
        with torch.no_grad():
            for p in head.parameters():
                p -= step * p.grad
            change = (float(F.cross_entropy(model.model(asked).double(), answers)) - loss) / step
            for name, p in head.named_parameters():
                p.copy_(before[name])
        assert change == pytest.approx(harm[i], rel=0.05, abs=2e-3)


def test_what_does_not_fit_is_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a test set like"):
        gwa.harmful(run, clouds(tmp_path, "four", 40, seed=2, y=np.arange(40) % 4))
    with pytest.raises(UnknownNameError):
        gwa.harmful(run, clouds(tmp_path, "trusted", 30, seed=2), method="nonsense")
