"""The epoch that a rule would have chosen, from a run that is over."""

import pandas as pd

from gwa_attrib.errors import NotRecordedError
from gwa_attrib.stopping.choice import Choice, Mode, Setting
from gwa_attrib.stopping.history import history_of
from gwa_attrib.stopping.rules import chosen_rule, stopping_rules
from gwa_attrib.store.run import Run


def choices(
    run: Run, rule: str = "all", *, mode: str = "scratch", patience: int | None = None, metric: str = "val_accuracy"
) -> pd.DataFrame:
    """One row for each rule: its epoch, what decided, and why; or why it cannot decide on this run.

    `rule` names one, which then has to be able to decide. For the other arguments see `choose_epoch`.
    """
    names = stopping_rules.names() if rule == "all" else (rule,)
    rows = []
    for name in names:
        try:
            choice = choose_epoch(run, name, mode=mode, patience=patience, metric=metric)  # type: ignore[arg-type]
            rows.append({"rule": name, "epoch": choice.epoch, "measure": choice.measure, "reason": choice.reason})
        except NotRecordedError as error:
            if rule != "all":
                raise
            rows.append({"rule": name, "epoch": None, "measure": None, "reason": str(error)})
    table = pd.DataFrame(rows)
    return table.astype({"epoch": "Int64"})


def choose_epoch(
    run: Run,
    rule: str | None = None,
    *,
    mode: Mode = "scratch",
    patience: int | None = None,
    metric: str = "val_accuracy",
) -> Choice:
    """What a stopping rule chooses, had it watched the training.

    Args:
        run: A recorded run.
        rule: A registered stopping rule; None: "consensus" if the run has a probe, else "paper".
        mode: "scratch", or "finetune" for a model that was pretrained.
        patience: Epochs without a better one after which it would have stopped; None: the rule sees all epochs.
        metric: For the rule "validation": which metric, as passed to `end_epoch`; large is good.

    Raises:
        UnknownNameError: no rule of that name; the error lists them.
        NotRecordedError: the run lacks what the rule needs; the error says how it is recorded.
        RunFormatError: the run has no epoch yet.
    """
    history = history_of(run)
    setting = Setting(mode, len(history.epochs), patience, metric)
    decide = stopping_rules[chosen_rule(rule, history, setting)]
    for count in range(1, len(history.epochs)) if patience is not None else ():
        choice: Choice = decide(history.head(count), setting)
        if choice.stop:
            return choice
    final: Choice = decide(history, setting)
    return final
