"""Wrong labels of a table, as a scikit-learn estimator."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from joblib import effective_n_jobs
from sklearn.base import BaseEstimator
from sklearn.utils import Tags, check_random_state, get_tags
from sklearn.utils.validation import _check_sample_weight, validate_data

from gwa_attrib.analyses.mislabeled import count_errors, is_issue, judge, label_score, noise_of
from gwa_attrib.analyses.probabilities import Trajectories
from gwa_attrib.errors import InputError
from gwa_attrib.sklearn.cross_fit import out_of_fold
from gwa_attrib.sklearn.linear_head import plan_for, record_head
from gwa_attrib.sklearn.rows import encoded, standardised
from gwa_attrib.value_types import Array, Ints

HELD = 1 << 22
"""Class probabilities held at a time while the rows are judged."""


class MislabelDetector(BaseEstimator):  # type: ignore[misc]
    """Finds the rows of a table whose labels are probably wrong, from one training; the ranking of ``gwa.rank(run)``.

    By default a small network of its own is trained on the standardised columns and asked in every epoch; precomputed
    embeddings of images or texts are what it is best at. X is never copied, and what is kept of the training takes 23
    bytes a row and epoch. It judges the rows that it is fitted on, as ``LocalOutlierFactor`` does, and has no
    ``predict``; ``fit_predict`` gives -1 for label issues and 1 for all other rows, as scikit-learn's outlier detectors
    do.

    Args:
        estimator: A classifier with ``predict_proba`` to go by instead; it is cloned. Its probabilities out of fold are
            judged, one fit a fold; X is passed on as it is, so that texts, sparse matrices and missing values are the
            estimator's affair.
        hidden: Units of the network's hidden layer; 0: none, it is logistic regression, which takes about a third of
            the time on large tables and is as good where the classes are linear in the columns.
        epochs: Passes over the rows; None: 8 of a million (5 without a hidden layer), 15 of 10,000, 40 of a few
            hundred.
        batch_size: Rows a step; None: 16 to 1,024, by how many there are.
        cv: Of `estimator`: how many stratified folds, or a splitter of scikit-learn.
        n_jobs: Threads of the network, or processes over the folds of `estimator`; None: torch's setting, or one
            process; -1: all cores.
        random_state: Seed, for the same numbers again.
        verbose: Show progress if above 0.

    Attributes:
        label_quality_: ``[sample]``, in [0, 1], the odds on the scale of the probability that the label is right, a
            rank rather than a probability; low is suspicious.
        ranked_: Row numbers, the most suspicious first.
        is_label_issue_: ``[sample]``, whether the label's quality is below 1/2.
        predicted_label_: ``[sample]``, the class to propose, of `classes_`; the given label where it seems right.
        estimated_errors_: How many labels are wrong: `count`, `low` and `high`, see `ErrorCount`.
        noise_matrix_: ``[class, label]``, which share of the rows of each class carries each label, if the issues are
            of the classes proposed for them.
        classes_: The labels of y, sorted.
        n_features_in_, feature_names_in_: Of X, as in scikit-learn.

    Example:
        >>> from sklearn.datasets import load_digits
        >>> X, y = load_digits(return_X_y=True)
        >>> y[:50] = (y[:50] + 1) % 10
        >>> found = MislabelDetector(random_state=0).fit(X, y)
        >>> bool((found.ranked_[:50] < 50).mean() > 0.8)
        True
    """

    def __init__(
        self,
        estimator: object = None,
        *,
        hidden: int = 256,
        epochs: int | None = None,
        batch_size: int | None = None,
        cv: object = 5,
        n_jobs: int | None = None,
        random_state: object = None,
        verbose: int = 0,
    ) -> None:
        self.estimator = estimator
        self.hidden = hidden
        self.epochs = epochs
        self.batch_size = batch_size
        self.cv = cv
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: object, y: object, sample_weight: object = None) -> "MislabelDetector":
        """Judge the label of every row.

        Args:
            X: ``[sample, feature]``, finite numbers; float32 is fastest. With an `estimator`, what that takes.
            y: ``[sample]``, the given labels: numbers, strings or booleans.
            sample_weight: ``[sample]``, how much each row counts in training. It does not make a row more suspicious.

        Raises:
            ValueError: X or y is not as said above; scikit-learn's errors, or an `InputError`, which is one too.
        """
        own = self.estimator is None
        rows, given = validate_data(self, X, y, dtype="numeric") if own else (_features_noted(self, X, y), y)
        self.classes_, labels = encoded(given)
        weight = None if sample_weight is None else _check_sample_weight(sample_weight, rows, ensure_non_negative=True)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        if own:
            said = self._train(rows, labels, seed, weight)
        else:
            said = out_of_fold(
                self.estimator, rows, labels, self.cv, seed, weight=weight, n_jobs=self.n_jobs, verbose=self.verbose
            )
        self._judge(said)
        return self

    def fit_predict(self, X: object, y: object, sample_weight: object = None) -> Ints:
        """Fit, then -1 for each label issue and 1 for all other rows; ``is_label_issue_`` has them as a mask."""
        return np.where(self.fit(X, y, sample_weight).is_label_issue_, -1, 1)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        if self.estimator is not None:
            tags.input_tags = get_tags(self.estimator).input_tags
        return tags

    def _train(self, X: Array, labels: Ints, seed: int, weight: Array | None) -> Trajectories:
        for name, least in (("hidden", 0), ("epochs", 1), ("batch_size", 1)):
            value = getattr(self, name)
            if not (value is None and least) and (not isinstance(value, int | np.integer) or value < least):
                raise InputError(
                    expected=f"{name} to be a whole number, at least {least}",
                    found=repr(value),
                    todo="Leave it out for the default.",
                )
        if weight is not None:
            # Only ratios count: the learning rate is chosen for weights of one.
            weight = weight / weight.mean()
        plan = plan_for(len(labels), int(self.hidden), self.epochs, self.batch_size)
        with _threads(self.n_jobs):
            return record_head(
                standardised(X),
                labels,
                len(self.classes_),
                plan,
                seed=seed,
                weight=weight,
                progress=bool(self.verbose),
            )

    def _judge(self, said: Trajectories) -> None:
        with _threads(self.n_jobs):
            judged = judge(said, HELD)
        issue = is_issue(judged.log_odds)
        estimated = np.where(issue, judged.predicted, said.labels)
        self.label_quality_ = label_score(judged.log_odds)
        self.ranked_ = np.argsort(-judged.log_odds, kind="stable")
        self.is_label_issue_ = issue
        self.predicted_label_ = self.classes_[judged.predicted]
        self.estimated_errors_ = count_errors(judged.log_odds)
        self.noise_matrix_ = noise_of(said.labels, estimated, len(self.classes_))


def _features_noted(detector: MislabelDetector, X: object, y: object) -> Any:
    """Number and names of the features, where X has them; X as it is."""
    return validate_data(detector, X, y, skip_check_array=True)[0]


@contextmanager
def _threads(n_jobs: int | None) -> Iterator[None]:
    """Give torch so many threads inside the block, and as many as before after it."""
    before = torch.get_num_threads()
    if n_jobs is not None:
        torch.set_num_threads(effective_n_jobs(n_jobs))
    try:
        yield
    finally:
        torch.set_num_threads(before)
