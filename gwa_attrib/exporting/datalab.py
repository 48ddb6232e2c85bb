"""Our scores as an issue type of cleanlab's Datalab, beside its own.

::

    lab = Datalab({"y": names}, label_name="y")
    lab.find_issues(issue_types={"gwa": datalab_issue(run)})
    lab.get_issues("gwa")                    # is_gwa_issue, gwa_score in [0, 1]: lower is worse
    lab.get_info("gwa")["predicted_label"]
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gwa_attrib.analyses import rank
from gwa_attrib.errors import InputError
from gwa_attrib.exporting.registry import Exported, exports, needed
from gwa_attrib.exporting.request import Request, check_columns, names_in
from gwa_attrib.files.whole import whole_folder
from gwa_attrib.scores import Scores
from gwa_attrib.store import Run, open_run

if TYPE_CHECKING:
    from cleanlab import Datalab

ISSUE, EXTRA = "gwa", "datalab"


def datalab_issue(scores: Scores | Run | str | Path) -> dict[str, Scores]:
    """Scores as `find_issues` of a Datalab takes them, which from then on knows the issue type "gwa".

    Args:
        scores: With the columns of ``rank(run, "mislabeled")``; or a run, or its folder. Sample i is row i of the data.

    Raises:
        MissingDependencyError: cleanlab is not installed.
        InputError: scores without the columns.
    """
    register_datalab()
    run = open_run(scores) if isinstance(scores, str | Path) else scores
    found = rank(run, "mislabeled") if isinstance(run, Run) else run
    check_columns(found)
    return {"scores": found}


def register_datalab() -> type:
    """Make the issue type "gwa" known to Datalab, once however often it is called; its class.

    Raises:
        MissingDependencyError: cleanlab is not installed.
    """
    needed("datasets", EXTRA)
    needed("cleanlab", EXTRA)
    from cleanlab.datalab.internal.issue_manager_factory import REGISTRY, register
    from cleanlab.datalab.internal.task import Task

    ours = _issue_manager()
    if REGISTRY[Task.CLASSIFICATION].get(ISSUE) is not ours:
        register(ours)
    return ours


@cache
def _issue_manager() -> type:
    from cleanlab.datalab.internal.issue_manager import IssueManager

    class GwaIssueManager(IssueManager):  # type: ignore[misc]
        """Labels that one training run does not believe."""

        description = (
            "Samples whose label is probably wrong, by gradient-weight alignment and the class probabilities of all\n"
            "    epochs of one training run (gwa_attrib)."
        )
        issue_name = ISSUE
        verbosity_levels = {0: [], 1: ["predicted_label"], 2: ["given_label"], 3: ["estimated_errors"]}  # noqa: RUF012

        def __init__(self, datalab: "Datalab", scores: Scores | None = None, **_: object) -> None:
            """Datalab prints errors of `find_issues` and goes on; what is wrong is refused here, where they stop it."""
            super().__init__(datalab)
            self._scores = _checked(scores, datalab)

        def find_issues(self, **_: object) -> None:
            columns = self._scores.columns
            score = np.asarray(columns["label_score"])
            flags = np.asarray(columns["is_label_issue"], dtype=bool)
            self.issues = pd.DataFrame({f"is_{ISSUE}_issue": flags, self.issue_score_key: score})
            self.summary = self.make_summary(score=float(np.nanmean(score)))
            self.info = self.collect_info()

        def collect_info(self) -> dict[str, object]:
            columns = self._scores.columns
            return {
                "given_label": names_in(columns["given_label"]),
                "predicted_label": names_in(columns["predicted_label"]),
                "num_gwa_issues": int(np.sum(columns["is_label_issue"])),
                "estimated_errors": dict(self._scores.meta.get("estimated_errors", {})),
                "method": self._scores.method,
                "run_id": self._scores.meta.get("run_id"),
            }

    return GwaIssueManager


def _checked(scores: Scores | None, datalab: "Datalab") -> Scores:
    """Scores of the data that Datalab looks at.

    Raises:
        InputError: none, or of another number of samples, or of other labels.
    """
    todo = 'Pass issue_types={"gwa": datalab_issue(run)}, with the run that was recorded on this data.'
    if not isinstance(scores, Scores):
        raise InputError(expected="scores of a run", found=repr(scores), todo=todo)
    check_columns(scores)
    size = len(datalab.data)
    if len(scores) != size:
        raise InputError(
            expected=f"scores of {size} samples, as many as the data has", found=f"{len(scores)}", todo=todo
        )
    score = np.asarray(scores.columns["label_score"])
    if not (~np.isnan(score)).any():
        raise InputError(expected="a score of at least one sample", found="none", todo=todo)
    if datalab.has_labels:
        _check_labels(scores, datalab, todo)
    return scores


def _check_labels(scores: Scores, datalab: "Datalab", todo: str) -> None:
    """The labels of the data are the given ones: by name, or by number of an integer column."""
    given = np.array(names_in(scores.columns["given_label"]), dtype=object)
    seen = np.flatnonzero([name is not None for name in given])
    names = [datalab._label_map[label] for label in datalab.labels[seen].tolist()]
    differ = [row for row, name in zip(seen, names, strict=True) if str(name) != given[row]]
    numbered = all(isinstance(name, int | np.integer) for name in names)
    if differ and numbered:
        # Numbers of classes that have names: each number has to stand for one name, and each name for one number.
        pairs = set(zip(names, given[seen], strict=True))
        differ = [] if len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}) else differ
    if differ:
        row = differ[0]
        raise InputError(
            expected=f"the labels of the run: {given[row]!r} in row {row}",
            found=f"{datalab._label_map[int(datalab.labels[row])]!r}, and {len(differ)} rows that differ",
            todo=todo,
        )


@exports.register("datalab", source="cleanlab 2.9, Datalab")
def to_datalab(request: Request) -> Exported:
    """A folder for Datalab.load, with the issue type "gwa" found in the samples that the run has seen.

    It is in cleanlab's own format, which has pickles in it: load it only where you trust who wrote it.
    """
    if request.k is not None:
        raise InputError(expected="all samples for datalab", found=f"k={request.k}", todo="Leave k out.")
    issue = datalab_issue(_seen(request.scores))
    from cleanlab import Datalab

    columns = issue["scores"].columns
    data = {"sample_id": issue["scores"].sample_ids.tolist(), "key": [str(key) for key in columns["key"]],
            "label": names_in(columns["given_label"])}  # fmt: skip
    lab = Datalab(data, label_name="label", verbosity=0)
    lab.find_issues(issue_types={ISSUE: issue})
    path = request.place("datalab")
    with whole_folder(path) as half:
        lab.save(str(half))
    return Exported(request.to, path, len(issue["scores"]))


def _seen(scores: Scores) -> Scores:
    rows = np.flatnonzero([name is not None for name in names_in(scores.columns["given_label"])])
    if not len(rows):
        raise InputError(expected="samples that the run has seen", found="none", todo="Record an epoch.")
    columns = {name: np.asarray(column)[rows] for name, column in scores.columns.items()}
    return Scores(
        scores.values[rows], scores.sample_ids[rows], scores.method, scores.suspect, columns, scores.meta
    )  # fmt: skip
