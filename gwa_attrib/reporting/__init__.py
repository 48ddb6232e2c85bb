"""The report: one HTML file about a recorded run, which opens offline and which a person can act on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch.utils.data import Dataset

    from gwa_attrib.datasets.labeled import LabeledData
    from gwa_attrib.scores import Scores
    from gwa_attrib.store import Run

__all__ = ["report"]


def report(
    run: Run | str | Path,
    path: str | Path | None = None,
    *,
    data: LabeledData | Dataset[object] | Sequence[object] | None = None,
    scores: Scores | None = None,
    truth: Mapping[str, float] | None = None,
    notes: Sequence[str] = (),
    tokenizer: object = None,
) -> Path:
    """Write the report of a run: what was recorded, the suspects, figures, and a gallery to decide in.

    The file needs nothing but a browser: no network, no other file. It appears whole or not at all, and the same run
    gives the same bytes.

    Args:
        run: A recorded run, or its folder.
        path: The file to write; ``report.html`` in the run's folder if None.
        data: What the run was trained on, for pictures and texts of the suspects: `LabeledData`; or a data set whose
            item i is sample i, as ``(x, y)`` or ``x``, with ``x`` a tensor ``[channel, height, width]``, a numpy or PIL
            image, a string, or a row of numbers; or as a dict, such as those of Hugging Face. Other data, or the same
            in another order, are told by their labels. With None the data of an audit are read again; of another run
            keys and numbers are shown.
        scores: Whose suspects to show, with the columns of ``rank(run, "mislabeled")``, which is the default.
        truth: How well the suspects meet verified labels, as `evaluation.score_against` gives it. None takes the
            verified labels that an audit was told of, or those before it flipped some, if there are any.
        notes: Plain sentences about the data or the training, shown among the warnings.
        tokenizer: Reads ``input_ids`` as text: a tokenizer of transformers or of tokenizers. None takes the one of the
            training, which `record_trainer` keeps with the run.

    Returns:
        The file.

    Raises:
        RunFormatError: the run has no epoch yet, or its files are damaged.
        InputError: scores of another run or without the columns; data that are not those of the run, or in another
            order; or a report of this run is there that shows samples, which this one could not.
        RunError: the file cannot be written.
    """
    from gwa_attrib.reporting.build import build_page

    return build_page(run, path, data=data, scores=scores, truth=truth, notes=notes, tokenizer=tokenizer)
