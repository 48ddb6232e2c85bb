"""Files kept beside a run: weights, features under the head, embeddings of texts, near-duplicates, a tokenizer."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float, Float32

from gwa_attrib.errors import MissingDependencyError, RunFormatError
from gwa_attrib.files.places import Place
from gwa_attrib.files.whole import whole_file, write_text
from gwa_attrib.store.run import Run
from gwa_attrib.store.run_files import read_table
from gwa_attrib.store.run_json import AuditNotes, RunInfo
from gwa_attrib.store.schema import CHECKPOINTS, DUPLICATES, EMBEDDINGS, FEATURES, TOKENIZER

if TYPE_CHECKING:
    import tokenizers

_NAME = re.compile(r"epoch=([0-9]{5,})\.pt")


def checkpoint_epoch(path: Place) -> int | None:
    """Read from a file name the epoch after which the weights were kept; None for another file."""
    match = _NAME.fullmatch(path.name)
    return int(match.group(1)) if match else None


def save_checkpoint(root: Place, epoch: int, state: Mapping[str, object]) -> Place:
    """Keep a state dict, whole or not at all.

    Raises:
        RunError: it cannot be written.
    """
    import torch

    target = root / CHECKPOINTS / f"epoch={epoch:05d}.pt"
    with whole_file(target, within=root) as half:
        torch.save(dict(state), half)
    return target


def is_finished(root: Place, info: RunInfo) -> bool:
    """Tell whether an audit has trained to its end and kept its model, which training again needs."""
    return AuditNotes.read(info).made_by_audit and info.get("status") == "complete" and bool(checkpoints(root))


def checkpoints(root: Place) -> dict[int, Place]:
    """Find the files of weights by their epochs, ascending. Load them with ``torch.load(file, weights_only=True)``."""
    found = {checkpoint_epoch(path): path for path in (root / CHECKPOINTS).glob("*.pt")}
    return {epoch: found[epoch] for epoch in sorted(epoch for epoch in found if epoch is not None)}


PAIRS = pa.schema(
    [
        pa.field("sample_a", pa.int64(), nullable=False),
        pa.field("sample_b", pa.int64(), nullable=False),
        pa.field("distance", pa.float64(), nullable=False),
    ]
)
"""Sample ids, and their Euclidean distance between encoded inputs."""


def keep_features(root: Place, features: Float[np.ndarray, "sample feature"]) -> None:
    """Keep the features under the head as float16; row i is the sample with the i-th id.

    Raises:
        RunError: it cannot be written.
    """
    # Beyond that a feature would be infinite in float16, and the file refused when it is read.
    largest = float(np.finfo(np.float16).max)
    _keep(root, FEATURES, np.clip(features, -largest, largest).astype(np.float16))


def kept_features(run: Run) -> Float[np.ndarray, "sample feature"] | None:
    """Read the features back as float32; None where none were kept.

    Raises:
        RunFormatError: the file is damaged, or of other samples.
    """
    return _kept(run, FEATURES)


def keep_embeddings(root: Place, embedded: Float32[np.ndarray, "sample feature"]) -> None:
    """Keep the embeddings of texts; row i is the text of the sample with the i-th id.

    Raises:
        RunError: it cannot be written.
    """
    _keep(root, EMBEDDINGS, embedded)


def kept_embeddings(run: Run) -> Float32[np.ndarray, "sample feature"] | None:
    """Read the embeddings of texts back; None where none were kept.

    Raises:
        RunFormatError: the file is damaged, or of other samples.
    """
    return _kept(run, EMBEDDINGS)


def keep_duplicates(root: Place, pairs: pd.DataFrame) -> None:
    """Keep near-duplicates: pairs of sample ids with their distances.

    Raises:
        RunError: it cannot be written.
    """
    table = pa.Table.from_pandas(pairs[PAIRS.names], schema=PAIRS, preserve_index=False)
    with whole_file(root / DUPLICATES, within=root) as half:
        pq.write_table(table, half, compression="zstd")


def kept_duplicates(run: Run) -> pd.DataFrame | None:
    """Read the near-duplicates back, the nearest first; None where none were looked for.

    Raises:
        RunFormatError: the file is damaged, or of other samples.
    """
    file = run.path / DUPLICATES
    if not file.is_file():
        return None
    found: pd.DataFrame = read_table(file, run.run_id, PAIRS, columns=PAIRS.names).to_pandas()
    if not found[["sample_a", "sample_b"]].isin(run.sample_ids).all(axis=None):
        raise _damaged(file, "samples that the run does not have")
    return found


def _keep(root: Place, name: str, rows: Float[np.ndarray, "sample feature"]) -> None:
    with whole_file(root / name, within=root) as half, half.open("wb") as stream:
        # No pickle, here or anywhere: a run that somebody sends must not be able to execute code.
        np.save(stream, rows, allow_pickle=False)


def _kept(run: Run, name: str) -> Float32[np.ndarray, "sample feature"] | None:
    file = run.path / name
    if not file.is_file():
        return None
    try:
        with file.open("rb") as stream:
            found: object = np.load(stream, allow_pickle=False)
    except Exception as error:  # whatever numpy makes of a damaged file
        raise _damaged(file, f"{type(error).__name__}: {error}") from error
    if not isinstance(found, np.ndarray) or found.dtype.kind != "f" or found.ndim != 2:
        raise _damaged(file, f"no matrix of numbers: {type(found).__name__}")
    if len(found) != len(run.sample_ids):
        raise _damaged(file, f"{len(found)} rows for {len(run.sample_ids)} samples")
    if not np.isfinite(found).all():
        raise _damaged(file, "NaN or infinity")
    return np.asarray(found, dtype=np.float32)


def _damaged(file: Place, found: str) -> RunFormatError:
    return RunFormatError(expected=f"{file} as an audit wrote it", found=found, todo="Delete the file, or audit again.")


def keep_tokenizer(root: Place, text: str) -> None:
    """Keep a tokenizer, as ``tokenizers.Tokenizer.to_str`` writes it.

    Raises:
        RunError: it cannot be written.
    """
    write_text(root / TOKENIZER, text, within=root)


def kept_tokenizer(run: Run) -> "tokenizers.Tokenizer | None":
    """Read the ``tokenizers.Tokenizer`` of the run back; None where none was kept.

    Raises:
        MissingDependencyError: one was kept, and the package tokenizers is not installed.
        RunFormatError: the file is damaged.
    """
    file = run.path / TOKENIZER
    if not file.is_file():
        return None
    try:
        from tokenizers import Tokenizer
    except ModuleNotFoundError as missing:
        raise MissingDependencyError(
            expected="the package tokenizers, to read token ids as text",
            found="it is not installed",
            todo="Run: pip install 'gwa-attrib[hf]'.",
        ) from missing
    try:
        return Tokenizer.from_str(file.read_text(encoding="utf-8"))
    except Exception as error:  # tokenizers raises bare Exceptions
        raise RunFormatError(
            expected=f"{file} as a training wrote it",
            found=f"{type(error).__name__}: {error}",
            todo="Delete the file, and pass tokenizer= to gwa.report.",
        ) from error
