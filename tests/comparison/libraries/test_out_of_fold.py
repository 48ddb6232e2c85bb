"""Cross-validation: nobody judges what it was trained on, and nothing is trained twice."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from gwa_attrib.auditing.audited_model import AuditedModel
from gwa_attrib.comparison.libraries import out_of_fold
from gwa_attrib.errors import InputError
from tests.comparison.libraries.audited_runs import CLASSES, audited


@dataclass(frozen=True)
class Watched(AuditedModel):
    """Notes what each training saw, and what its model was asked."""

    trained: list[np.ndarray] = field(default_factory=list)
    asked: list[np.ndarray] = field(default_factory=list)

    def train_again(self, kept: np.ndarray, seed: int) -> nn.Module:
        self.trained.append(kept)
        return super().train_again(kept, seed)

    def logits(self, model: nn.Module, kept: np.ndarray) -> torch.Tensor:
        self.asked.append(kept)
        return super().logits(model, kept)


def watched(path: Path) -> Watched:
    return Watched(**vars(audited(path)))


def test_nobody_judges_what_it_was_trained_on(tmp_path: Path) -> None:
    model = watched(tmp_path)
    found = out_of_fold(model)
    assert found.probabilities.shape == (31, CLASSES)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1.0)
    for trained, asked in zip(model.trained, model.asked, strict=True):
        assert not set(trained) & set(asked)
        assert len(trained) + len(asked) == 31
        shares = np.bincount(model.labels[torch.from_numpy(asked)], minlength=CLASSES)
        assert shares.max() - shares.min() <= 1
    assert sorted(np.concatenate(model.asked)) == list(range(31))
    again = model.train_again(model.trained[0], 0)
    expected = model.logits(again, model.asked[0]).double().softmax(dim=1)
    np.testing.assert_array_equal(found.probabilities[model.asked[0]], expected)


def test_it_goes_on_where_it_ended_and_never_trains_twice(tmp_path: Path) -> None:
    whole = out_of_fold(audited(tmp_path / "whole"))
    assert whole.seconds_before == 0

    class Stopped(Watched):
        def train_again(self, kept: np.ndarray, seed: int) -> nn.Module:
            if len(self.trained) == 3:
                raise KeyboardInterrupt
            return super().train_again(kept, seed)

    with pytest.raises(KeyboardInterrupt):
        out_of_fold(Stopped(**vars(audited(tmp_path / "cut"))))
    model = watched(tmp_path / "cut")
    found = out_of_fold(model)
    assert len(model.trained) == 2
    assert found.seconds_before > 0
    np.testing.assert_array_equal(found.probabilities, whole.probabilities)
    again = watched(tmp_path / "cut")
    out_of_fold(again)
    assert not again.trained


def test_other_seeds_and_numbers_of_folds_do_not_mix(tmp_path: Path) -> None:
    model = watched(tmp_path)
    first = out_of_fold(model, folds=2)
    second = out_of_fold(model, folds=2, seed=1)
    third = out_of_fold(model, folds=3)
    assert len(model.trained) == 7
    assert not np.allclose(first.probabilities, second.probabilities)
    assert not np.allclose(first.probabilities, third.probabilities)


@pytest.mark.filterwarnings("error")
def test_a_rare_class_is_spread_and_too_few_samples_are_refused(tmp_path: Path) -> None:
    model = audited(tmp_path)
    labels = model.labels.clone()
    labels[labels == 2] = 0
    labels[:2] = 2
    rare = AuditedModel(**{**vars(model), "labels": labels})
    assert np.isfinite(out_of_fold(rare).probabilities).all()
    for folds in (1, 40):
        with pytest.raises(InputError, match="folds"):
            out_of_fold(model, folds=folds)
