"""The data of an audited run, read again from where it was."""

import warnings
from dataclasses import replace
from types import NoneType
from typing import TYPE_CHECKING

import numpy as np

from gwa_attrib.datasets.labeled import LabeledData
from gwa_attrib.datasets.loading import load
from gwa_attrib.errors import DataError

if TYPE_CHECKING:
    from gwa_attrib.store import Run


SAID: dict[str, tuple[type, ...]] = {
    "data": (str,),
    "label_column": (str, NoneType),
    "limit": (int, NoneType),
    "truth": (str, NoneType),
    "fingerprint": (str,),
}
"""What an audit notes of its data."""


def read_again(run: "Run") -> tuple[LabeledData | None, str]:
    """The data of an audited run, with the labels of the run; or None and the reason why not."""
    data, note = source_as_read(run)
    return (None, note) if data is None else (replace(data, labels=run.labels.astype(np.int64)), "")


def source_as_read(run: "Run") -> tuple[LabeledData | None, str]:
    """As `read_again`, with the labels that the source has: an audit may have flipped some."""
    config = run.info["config"]
    if "data" not in config:
        return None, "The run was not made by an audit: pass the data to gwa.report(run, data=...) to see the samples."
    wrong = [name for name, kinds in SAID.items() if not isinstance(config.get(name, ...), kinds)]
    if wrong:
        return None, f"run.json does not say how the data were read: {', '.join(wrong)}."
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the audit has given them already
            data = load(
                config["data"],
                label_column=config["label_column"],
                limit=config["limit"],
                exclude=(config["truth"],) if config["truth"] else (),
            )
    except DataError as error:
        return None, f"The data could not be read again: {error}"
    if data.fingerprint() != config["fingerprint"]:
        return None, (
            f"{config['data']} is not what was audited: rows, files or values have changed since. "
            "Put it back as it was, or audit it again."
        )
    return data, ""
