"""Class probabilities out of fold: a classifier of scikit-learn is asked for rows that it was not fitted on."""

from numbers import Integral

import numpy as np
from jaxtyping import Float, Int64
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.utils.validation import has_fit_parameter

from gwa_attrib.analyses.probabilities import Trajectories
from gwa_attrib.errors import InputError
from gwa_attrib.sklearn.linear_head import of_probabilities


def out_of_fold(
    estimator: object,
    X: object,
    labels: Int64[np.ndarray, " sample"],
    cv: object,
    seed: int,
    *,
    weight: Float[np.ndarray, " sample"] | None = None,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> Trajectories:
    """Class probabilities of each row by a clone that was fitted on the other folds, as one epoch.

    One epoch, because the folds are no training over time; no alignment, because a classifier need not have weights.

    Raises:
        InputError: the estimator gives no probabilities, or takes no weights where there are some.
        ValueError: what scikit-learn refuses, such as more folds than rows of the largest class.
    """
    if not hasattr(estimator, "predict_proba"):
        raise InputError(
            expected="an estimator with predict_proba",
            found=repr(estimator),
            todo="Wrap it in sklearn.calibration.CalibratedClassifierCV, or leave the estimator out.",
        )
    if weight is not None and not has_fit_parameter(estimator, "sample_weight"):
        raise InputError(
            expected="an estimator whose fit takes sample_weight", found=repr(estimator), todo="Leave the weights out."
        )
    if isinstance(cv, Integral):
        cv = StratifiedKFold(int(cv), shuffle=True, random_state=seed)
    probabilities = cross_val_predict(
        estimator,
        X,
        labels,
        cv=cv,
        n_jobs=n_jobs,
        verbose=verbose,
        method="predict_proba",
        params=None if weight is None else {"sample_weight": weight},
    )
    return of_probabilities(np.asarray(probabilities, dtype=np.float32), labels)
