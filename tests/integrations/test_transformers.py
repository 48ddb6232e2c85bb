"""Trainings by the Hugging Face Trainer, recorded."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import gwa_attrib as gwa
from gwa_attrib.errors import InputError, LossMismatchError, RunExistsError
from gwa_attrib.store import inspect
from tests import loops
from tests.integrations.plain import needs, same_weights

TEXTS, CLASSES = 20, 3
# The data sets of `datasets` are none of torch's, which the types of the loaders say.
pytestmark = [needs("transformers", "hf"), pytest.mark.usefixtures("without_type_checks")]


def texts() -> Any:
    """20 "texts" of 5 tokens."""
    from datasets import Dataset

    draw = np.random.default_rng(0)
    return Dataset.from_dict(
        {
            "input_ids": draw.integers(1, 40, (TEXTS, 5)).tolist(),
            "attention_mask": [[1] * 5] * TEXTS,
            "labels": [i % CLASSES for i in range(TEXTS)],
        }
    )


def tiny() -> Any:
    import transformers

    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.BertConfig(vocab_size=40, max_position_embeddings=8, num_labels=CLASSES, **shape)
    return transformers.BertForSequenceClassification(config)


def trainer_of(folder: Path, dataset: Any = None, model: Any = None, **options: Any) -> Any:
    import transformers

    from gwa_attrib.integrations.transformers import with_sample_ids

    arguments = {
        "num_train_epochs": 2,
        "per_device_train_batch_size": 6,
        "learning_rate": 0.01,
        "remove_unused_columns": False,
        "report_to": [],
        "save_strategy": "no",
        "disable_tqdm": True,
        "use_cpu": True,
        "seed": 3,
    }
    args = transformers.TrainingArguments(str(folder / "out"), **{**arguments, **options})
    data = with_sample_ids(texts()) if dataset is None else dataset
    evaluated = data if "eval_strategy" in options else None
    return transformers.Trainer(tiny() if model is None else model, args, train_dataset=data, eval_dataset=evaluated)


def recorded(path: Path, trainer: Any, **options: Any) -> gwa.Run:
    from gwa_attrib.integrations.transformers import record_trainer

    with record_trainer(trainer, path, **options):
        trainer.train()
    return gwa.open_run(path)


def computed_alone(run: gwa.Run, smoothing: float = 0.0) -> None:
    """The observations of the first step, from the model as it was then, without dropout: by the definition."""
    table = run.observations(epoch=0).to_pandas()
    first = table[table["step"] == 0]
    model, data = tiny().eval(), texts()
    for row in first.itertuples():
        batch = {name: torch.tensor([data[row.sample_id][name]]) for name in ("input_ids", "attention_mask")}
        target = torch.tensor([data[row.sample_id]["labels"]])
        loss = F.cross_entropy(model(**batch).logits, target, label_smoothing=smoothing)
        (gradient,) = torch.autograd.grad(loss, model.classifier.weight)
        cosine = F.cosine_similarity(-gradient.flatten(), model.classifier.weight.flatten(), dim=0)
        assert row.alignment == pytest.approx(cosine.item(), abs=1e-5)
        assert row.loss == pytest.approx(loss.item(), rel=1e-4)


def without_dropout() -> Any:
    model = tiny()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model


OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "label smoothing": {"label_smoothing_factor": 0.2},
    "accumulation": {"gradient_accumulation_steps": 3},
    "workers": {"dataloader_num_workers": 2},
    "evaluation": {"eval_strategy": "epoch"},
}


@pytest.mark.parametrize("options", [pytest.param(options, id=name) for name, options in OPTIONS.items()])
def test_it_is_trained_as_without_and_the_numbers_are_those_of_the_definition(
    options: dict[str, Any], tmp_path: Path
) -> None:
    trainers = [trainer_of(tmp_path, data, without_dropout(), **options) for data in (texts(), None)]
    trainers[0].train()
    run = recorded(tmp_path / "run", trainers[1], probe=8)
    same_weights(trainers[1].model, trainers[0].model)
    computed_alone(run, options.get("label_smoothing_factor", 0.0))
    table = run.epochs()
    assert table["coverage"].tolist() == [1.0, 1.0]
    assert table["probe_n"].tolist() == [8, 8]
    assert run.observations(epoch=0).num_rows == TEXTS
    assert run.observations(["learning_rate"]).to_pandas()["learning_rate"].notna().all()
    assert run.labels.tolist() == [i % CLASSES for i in range(TEXTS)]
    logs = [row for row in trainers[1].state.log_history if "gwa" in row]
    assert [row["mean_alignment"] for row in logs] == table["mean"].tolist()
    assert {"gwa", "fraction_negative", "coverage"} <= set(logs[0])
    assert not trainers[1].model.classifier._forward_hooks
    assert not {"training_step", "prediction_step"} & set(vars(trainers[1]))


@pytest.mark.slow
# Of torch's compiler, about its own reading of the embeddings.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_a_compiled_model_is_recorded(tmp_path: Path) -> None:
    options = {"torch_compile": True, "torch_compile_backend": "eager"}
    run = recorded(tmp_path / "run", trainer_of(tmp_path, model=without_dropout(), **options))
    computed_alone(run)
    assert run.epochs()["coverage"].tolist() == [1.0, 1.0]


def test_a_training_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    """As if it had not been interrupted; also where the run is ahead of the checkpoint."""
    options = {"save_strategy": "epoch", "num_train_epochs": 3}
    whole = recorded(tmp_path / "whole", trainer_of(tmp_path, **options))
    recorded(tmp_path / "run", trainer_of(tmp_path, **options))
    from gwa_attrib.integrations.transformers import record_trainer

    again = trainer_of(tmp_path, **options)
    with pytest.raises(RunExistsError), record_trainer(again, tmp_path / "run"):
        pass
    with record_trainer(again, tmp_path / "run", resume=True):
        again.train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-4"))
    run = gwa.open_run(tmp_path / "run")
    loops.same_observations(run, whole)
    assert (inspect(run)["epochs"], run.info["attempts"]) == (3, 2)


def test_the_rule_stops_and_the_weights_of_its_epoch_come_back(tmp_path: Path) -> None:
    from transformers import TrainerCallback

    from gwa_attrib.integrations.transformers import GWAEarlyStopping, record_trainer

    states = []

    class Keep(TrainerCallback):
        def on_epoch_end(self, *_: Any, model: Any, **__: Any) -> None:
            states.append({name: value.clone() for name, value in model.state_dict().items()})

    trainer = trainer_of(tmp_path, num_train_epochs=30, learning_rate=0.3)
    with record_trainer(trainer, tmp_path / "run") as recorder:
        stopping = GWAEarlyStopping(recorder, rule="mean_alignment", patience=2, epochs=30)
        trainer.add_callback(stopping)
        trainer.add_callback(Keep())
        trainer.train()
    values = gwa.open_run(tmp_path / "run").epochs()["mean"].to_numpy()
    assert len(values) < 30
    assert stopping.best_epoch == 3 + values[3:].argmax() == len(values) - 3
    same_weights(trainer.model, states[stopping.best_epoch])


class Items(torch.utils.data.Dataset[Any]):
    """A data set of torch whose items are dicts."""

    def __init__(self) -> None:
        self.items = texts().to_list()

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return dict(self.items[index])


def test_a_data_set_of_torch_is_recorded(tmp_path: Path) -> None:
    from gwa_attrib.integrations.transformers import with_sample_ids

    run = recorded(tmp_path / "run", trainer_of(tmp_path, with_sample_ids(Items())))
    loops.same_observations(run, recorded(tmp_path / "expected", trainer_of(tmp_path)))


REFUSED: dict[str, tuple[str, Any]] = {
    "the column is dropped": ("remove_unused_columns=False", lambda p: trainer_of(p, remove_unused_columns=True)),
    "no column": ("with_sample_ids", lambda p: trainer_of(p, texts())),
    "selected since": ("last", lambda p: trainer_of(p, _ids().select([3, 4, 5]))),
    "shuffled since": ("last", lambda p: trainer_of(p, _ids().shuffle(seed=1))),
    "other numbers": ("last", lambda p: trainer_of(p, texts().add_column("sample_id", [7] * TEXTS))),
    "no ids in the batches": ("with_sample_ids", lambda p: trainer_of(p, Items())),
}


def _ids() -> Any:
    from gwa_attrib.integrations.transformers import with_sample_ids

    return with_sample_ids(texts())


@pytest.mark.parametrize("name", list(REFUSED))
def test_a_trainer_whose_samples_cannot_be_told_apart_is_refused(name: str, tmp_path: Path) -> None:
    todo, make = REFUSED[name]
    with pytest.raises(InputError, match=todo):
        recorded(tmp_path / "run", make(tmp_path))


def test_another_loss_is_refused_and_the_trainer_is_free_again(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path)
    trainer.compute_loss_func = lambda out, labels, **_: F.multi_margin_loss(out["logits"], labels)
    with pytest.raises(LossMismatchError):
        recorded(tmp_path / "run", trainer)
    assert not trainer.model.classifier._forward_hooks
    assert not {"training_step", "prediction_step"} & set(vars(trainer))
    assert gwa.open_run(tmp_path / "run").info["status"] == "interrupted"
