"""Results for other tools: tables, and what Label Studio, cleanlab's Datalab, Hugging Face and FiftyOne read."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from gwa_attrib.exporting.datalab import datalab_issue, register_datalab
    from gwa_attrib.exporting.fiftyone import fiftyone_samples
    from gwa_attrib.exporting.huggingface import with_scores
    from gwa_attrib.exporting.registry import Exported, exports
    from gwa_attrib.scores import Scores
    from gwa_attrib.store import Run

_HOME = {
    "Exported": "registry",
    "datalab_issue": "datalab",
    "exports": "registry",
    "fiftyone_samples": "fiftyone",
    "register_datalab": "datalab",
    "with_scores": "huggingface",
}

__all__ = [
    "Exported",
    "datalab_issue",
    "export",
    "exports",
    "fiftyone_samples",
    "register_datalab",
    "with_scores",
]


def export(
    run: Run | str | Path,
    to: str,
    out: str | Path | None = None,
    *,
    k: int | None = None,
    data: object = None,
    scores: Scores | None = None,
    url_prefix: str | None = None,
) -> Exported:
    """Write the ranking of a run as another tool reads it.

    Args:
        run: A run, or its folder.
        to: "csv", "parquet", "label-studio", "datalab", "huggingface" or "fiftyone".
        out: The file or folder to write; by default one below ``exports`` in the run's folder. Files are replaced,
            folders are not.
        k: Only the so many most suspicious samples, worst first. By default the suspects for Label Studio, and every
            sample for the others. Datalab takes them all.
        data: What the run was trained on: `LabeledData`, or a data set whose item i is sample i, as ``(x, y)``, ``x``
            or a dict. By default an audited data set is read again. Other data, or the same in another order, are told
            by their labels.
        scores: Whose scores, with the columns of ``rank(run, "mislabeled")``, which is the default.
        url_prefix: For Label Studio: where images are served from, such as ``http://localhost:8000/photos/``.

    Returns:
        What was written, and of how many samples.

    Raises:
        UnknownNameError: another target; the error lists them.
        InputError: scores of another run or without the columns, data of another run or in another order, no sample
            to export, or an option that the target does not have.
        NotRecordedError: the target shows samples, and their data is not given and cannot be read again.
        MissingDependencyError: the package of the target is not installed.
        RunExistsError: the folder to write is there already.
        RunError: it cannot be written.
    """
    import gwa_attrib.exporting.every_target  # noqa: F401  (importing a target registers it)
    from gwa_attrib.exporting.registry import exports
    from gwa_attrib.exporting.request import checked_request

    asked = checked_request(run, to, out, k, data, scores, url_prefix)
    written: Exported = exports[to](asked)
    return replace(written, notes=tuple(asked.notes))


def __getattr__(name: str) -> Any:
    if name in _HOME:
        if name == "exports":
            import_module(f"{__name__}.every_target")  # importing a target registers it
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
