"""The run on disk: folders, file names and columns. Every other file of the store asks this one.

::

    run.json                                          what the run is; the only file that is rewritten besides samples
    samples.parquet                                   one row per sample: sample_id, key, label, further columns
    observations/epoch=00007-rank=00000-a0.parquet    one row per sample seen in the epoch
    layers/epoch=00007-rank=00000-a0.parquet          one row per sample and layer, if layers were recorded
    probe/epoch=00007-rank=00000-a0.parquet           one row per sample measured in evaluation mode
    checkpoints/epoch=00007.pt                        weights at the end of the epoch, where an audit kept them
    features.npy, duplicates.parquet                  features under the head, near-duplicates, where an audit kept them
    embeddings.npy                                    what a sentence encoder read in texts, where an audit kept it
    tokenizer.json                                    what token ids mean, where a Trainer had a tokenizer
    verification.json                                 what training again with decisions showed, where it was measured
    epochs/epoch=00007-rank=00000-a0.parquet          one row: moments of the alignment, metrics, seconds
    */epochs=00000-00089-a0.parquet                   what `compact` made of the files of many epochs
    _tmp/                                             half-written files, never read
"""

import re
from dataclasses import dataclass

import pyarrow as pa

from gwa_attrib.files.places import Place

SCHEMA_VERSION = 1

RUN_FILE = "run.json"
SAMPLES_FILE = "samples.parquet"
OBSERVATIONS = "observations"
EPOCHS = "epochs"
LAYERS = "layers"
PROBE = "probe"
FOLDERS = (OBSERVATIONS, LAYERS, PROBE, EPOCHS)
"""Those with one file, or several, for each epoch."""
CHECKPOINTS = "checkpoints"
FEATURES = "features.npy"
EMBEDDINGS = "embeddings.npy"
DUPLICATES = "duplicates.parquet"
TOKENIZER = "tokenizer.json"
VERIFICATION = "verification.json"
"""The result of training again with decisions, where it was measured."""

TOP = 5
"""How many of the likeliest classes are kept per observation."""

IDENTITY = ("sample_id", "epoch", "step", "label", "pred")
FLOAT_SIGNALS = ("alignment", "loss", "margin", "p_label", "el2n", "grad_norm", "dot")
TOP_SIGNALS = ("top_class", "top_prob")
SIGNALS = (*FLOAT_SIGNALS, *TOP_SIGNALS)

LAYER_SIGNALS = ("alignment", "dot", "grad_norm")
WHOLE = "all"
"""Name of the layer that stands for all recorded parameters together."""

_NAME = re.compile(r"epoch=([0-9]{5,9})-rank=([0-9]{5,9})-a([0-9]{1,9})\.parquet")
_SPAN = re.compile(r"epochs=([0-9]{5,9})-([0-9]{5,9})-a([0-9]{1,9})\.parquet")
LONGEST = 100_000
"""Epochs in one file, at most."""


@dataclass(frozen=True, order=True)
class PartName:
    """The name of a file with one epoch, of one process, in one attempt."""

    epoch: int
    rank: int = 0
    attempt: int = 0

    def __str__(self) -> str:
        return f"epoch={self.epoch:05d}-rank={self.rank:05d}-a{self.attempt}.parquet"

    @classmethod
    def parse(cls, path: Place) -> "PartName | None":
        """Read a file name; None for a file that is not part of a run."""
        match = _NAME.fullmatch(path.name)
        return cls(*(int(group) for group in match.groups())) if match else None


@dataclass(frozen=True)
class SpanName:
    """The name of a compacted file: consecutive epochs of all processes, of one attempt."""

    first: int
    last: int
    attempt: int = 0

    def __str__(self) -> str:
        return f"epochs={self.first:05d}-{self.last:05d}-a{self.attempt}.parquet"

    @property
    def epochs(self) -> range:
        return range(self.first, self.last + 1)

    @classmethod
    def parse(cls, path: Place) -> "SpanName | None":
        """Read a file name; None for another file."""
        match = _SPAN.fullmatch(path.name)
        found = cls(*(int(group) for group in match.groups())) if match else None
        return found if found is not None and 0 < len(found.epochs) <= LONGEST else None


SAMPLES_SCHEMA = pa.schema(
    [
        pa.field("sample_id", pa.int64(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("label", pa.int32(), nullable=False),
    ]
)
"""Columns of samples.parquet; further ones are as the user has given them."""


_SUMS = [
    pa.field("n", pa.int64(), nullable=False),
    *(pa.field(name, pa.float64()) for name in ("mean", "m2", "m3", "m4")),
    *(pa.field(name, pa.int64(), nullable=False) for name in ("negative", "undefined", "seen", "num_samples")),
    pa.field("changed", pa.int64()),
    pa.field("rows", pa.int64()),
    pa.field("correct", pa.int64()),
    pa.field("loss_sum", pa.float64()),
    pa.field("agreeing", pa.int64()),
    pa.field("seconds", pa.float64(), nullable=False),
]
EPOCH_SCHEMA = pa.schema(
    [
        pa.field("epoch", pa.int32(), nullable=False),
        pa.field("rank", pa.int32(), nullable=False),
        *_SUMS,
        pa.field("metrics", pa.map_(pa.string(), pa.float64()), nullable=False),
        pa.field("probe", pa.struct(_SUMS)),
    ]
)
"""Columns of an epochs file: number, mean and sums of central powers of the alignment; what else adds up over
processes; the user's metrics; and the same sums of the probe."""


LAYER_SCHEMA = pa.schema(
    [
        pa.field("sample_id", pa.int64(), nullable=False),
        pa.field("epoch", pa.int32(), nullable=False),
        pa.field("step", pa.int64(), nullable=False),
        pa.field("layer", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        *(pa.field(name, pa.float32()) for name in LAYER_SIGNALS),
    ]
)
"""Columns of a layers file: of each observation and each group of parameters."""


def observation_schema(signals: tuple[str, ...], top: int) -> pa.Schema:
    """Columns of an observations file; `top` is min(5, number of classes)."""
    fields = [
        pa.field("sample_id", pa.int64(), nullable=False),
        pa.field("epoch", pa.int32(), nullable=False),
        pa.field("step", pa.int64(), nullable=False),
        pa.field("label", pa.int32(), nullable=False),
        pa.field("pred", pa.int32(), nullable=False),
    ]
    fields += [pa.field(name, pa.float32()) for name in FLOAT_SIGNALS if name in signals]
    fields.append(pa.field("learning_rate", pa.float32()))
    if "top_class" in signals:
        fields.append(pa.field("top_class", pa.list_(pa.int32(), top)))
    if "top_prob" in signals:
        fields.append(pa.field("top_prob", pa.list_(pa.float16(), top)))
    return pa.schema(fields)


OBSERVATION_SCHEMA = observation_schema(SIGNALS, TOP)
"""Every column that an observations file may have."""
