"""Classes that a training has learnt: where it has not, its suspects say nothing about the labels.

A class that is hard for the model looks like a class full of wrong labels: most of its samples are predicted otherwise.
Two things tell them apart. Where labels are wrong, the training contradicts them steadily, with the same other class
epoch after epoch; where it has not learnt the class, the predictions wander. And a class that is hardly ever predicted
has not been learnt, however steadily it is passed over.

The predictions are those of the training itself, made before the step that the sample took part in; they rather flatter
a class than not, as the sample was trained on in earlier epochs.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from gwa_attrib.store.run import Run

RECALL = 0.6
"""Share of a class's labels that the training has to predict, in the second half of its epochs. It has trained on these
labels: classes of which it predicted .42 to .58 there had .29 to .46 in held-out folds."""
SUSPECTS = 0.5
"""Share of a class's labels that may be suspects: nobody can tell a class by the smaller part of its samples."""
STEADY = 0.65
"""How often the prediction for a suspect of the class has to be that of the epoch before, where there are too few right
ones or too many suspects. Digits with 40 and 60 % of the labels flipped have .75 to .92; classes of which held-out
folds know little have .38 to .58."""
USED = 0.35
"""How often a class has to be predicted at all, in units of how often it is a label."""

Predicted = Int[np.ndarray, " sample"]


def learnt_classes(run: Run, is_suspect: Bool[np.ndarray, " sample"]) -> pd.DataFrame:
    """Judge each class by what the second half of the training predicted for its samples.

    Args:
        run: With at least one epoch.
        is_suspect: Which samples are suspects; their predictions have to be steady.

    Returns:
        Indexed by class name: `samples`, `suspects`; `recall`, the share of its labels predicted, in [0, 1]; `steady`,
        how often a suspect's prediction was that of the epoch before, in [0, 1] and NaN with one epoch or no suspect;
        `used`, how often the class was predicted, in units of how often it is a label; `learnt`: a recall of at least
        `RECALL` and no more than `SUSPECTS` of its samples suspects; or predictions that are steady (`STEADY`) and in
        which the class occurs (`USED`). A class without samples is none to be learnt, and counts as learnt.
    """
    labels, classes = run.labels, len(run.class_names)
    seen, right, same, pairs = (np.zeros(len(labels)) for _ in range(4))
    used = np.zeros(classes)
    before: Predicted | None = None
    for predicted in _late_predictions(run):
        present = predicted >= 0
        seen += present
        right += present & (predicted == labels)
        used += np.bincount(predicted[present], minlength=classes)
        if before is not None:
            both = present & (before >= 0)
            pairs += both
            same += both & (predicted == before)
        before = predicted
    rows = []
    for number in range(classes):
        own = labels == number
        suspects = own & is_suspect
        rows.append(
            {
                "samples": int(own.sum()),
                "suspects": int(suspects.sum()),
                "recall": _share(right[own], seen[own]),
                "steady": _share(same[suspects], pairs[suspects]),
                "used": _share(used[number : number + 1], seen[own]),
            }
        )
    table = pd.DataFrame(rows, index=pd.Index(run.class_names, name="class"))
    steady = (table["steady"] >= STEADY) & (table["used"] >= USED)
    known = (table["recall"] >= RECALL) & (table["suspects"] <= SUSPECTS * table["samples"])
    table["learnt"] = known | steady | (table["suspects"] == 0) | table["recall"].isna()
    return table


def _late_predictions(run: Run) -> Iterator[Predicted]:
    """Predicted classes in the second half of the epochs, an epoch at a time; -1 where a sample was not seen."""
    late = set(run.epoch_numbers[len(run.epoch_numbers) // 2 :])
    for epoch, dense in run.by_epoch("pred"):
        if epoch in late:
            yield dense["pred"].astype(np.int64)


def _share(part: Float[np.ndarray, " part"], whole: Float[np.ndarray, " whole"]) -> float:
    total = float(whole.sum())
    return float(part.sum()) / total if total else float("nan")
