"""The data of an audited run, read again from where it was."""

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from gwa_attrib.datasets.labeled import LabeledData
from gwa_attrib.datasets.loading import load
from gwa_attrib.errors import DataError
from gwa_attrib.store.run_json import AuditNotes

if TYPE_CHECKING:
    from gwa_attrib.store import Run


def read_again(run: "Run") -> tuple[LabeledData | None, str]:
    """Read the data of an audited run again, with the labels of the run; or give None and the reason why not."""
    data, note = source_as_read(run)
    return (None, note) if data is None else (replace(data, labels=run.labels.astype(np.int64)), "")


def source_as_read(run: "Run") -> tuple[LabeledData | None, str]:
    """Read the data again with the labels that the source has: an audit may have flipped some."""
    notes = AuditNotes.read(run.info)
    if not notes.made_by_audit:
        return None, "The run was not made by an audit: pass the data to gwa.report(run, data=...) to see the samples."
    if notes.unsaid or notes.data is None:
        return None, f"run.json does not say how the data were read: {', '.join(notes.unsaid)}."
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the audit has given them already
            data = load(
                notes.data,
                label_column=notes.label_column,
                limit=notes.limit,
                exclude=(notes.truth,) if notes.truth else (),
            )
    except DataError as error:
        return None, f"The data could not be read again: {error}"
    if data.fingerprint() != notes.fingerprint:
        return None, (
            f"{notes.data} is not what was audited: rows, files or values have changed since. "
            "Put it back as it was, or audit it again."
        )
    return data, ""
