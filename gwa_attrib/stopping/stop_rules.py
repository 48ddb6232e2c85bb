"""Stopping rules: functions from the history of a training, and how it is meant, to a choice. No framework."""

import numpy as np
import pandas as pd
from jaxtyping import Float

from gwa_attrib._registry import Registry
from gwa_attrib.errors import NotRecordedError
from gwa_attrib.stopping.choice import Choice, Mode, Setting, largest, waited, warm_up
from gwa_attrib.stopping.history import History, history_of, proxies
from gwa_attrib.stopping.proxy_measures import trailing_mean
from gwa_attrib.store.run import Run

stopping_rules = Registry("stopping rule")

PATIENCE = 5
"""Patience of LabelWave, whose authors give none; and rises of the gradient disparity after which training stops."""
SMOOTHED = 3
"""Epochs over which the alignment of the probe is averaged before its maximum is taken."""


def chosen_rule(rule: str | None, history: History, setting: Setting) -> str:
    """The rule that was asked for; of None the best that was recorded: "consensus" with a probe, else "paper".

    Fine-tuning is the paper's: none of the others has been measured on it.
    """
    if rule is not None:
        return rule
    probed = "probe_consensus" in history.table and history.table["probe_consensus"].notna().any()
    return "consensus" if probed and setting.mode == "scratch" else "paper"


@stopping_rules.register("paper", source="Hölzl et al. 2025, arXiv 2510.25480")
def paper(history: History, setting: Setting) -> Choice:
    """Largest GWA, online, after the warm-up; by mean alignment where GWA is near its pole in any of those epochs."""
    gwa, mean = proxies["gwa"](history), proxies["mean_alignment"](history)
    by_gwa, by_mean = largest(gwa, setting), largest(mean, setting)
    counted = gwa[warm_up(len(gwa), setting) :] if setting.mode == "scratch" else gwa
    unreliable = int(np.isnan(counted).sum())
    also = tuple(history.epochs[i] for i in (by_gwa, by_mean))
    if unreliable:
        reason = f"largest mean alignment, as GWA is not reliable in {unreliable} of {len(counted)} epochs"
        return _choice("paper", history, by_mean, setting, "mean_alignment", reason, also)
    return _choice("paper", history, by_gwa, setting, "gwa", "largest GWA", also)


@stopping_rules.register("mean_alignment", source="Hölzl et al. 2025, arXiv 2510.25480")
def mean_alignment(history: History, setting: Setting) -> Choice:
    """Largest mean alignment, online, after the warm-up."""
    return _by_largest("mean_alignment", history, setting, "mean_alignment", "largest mean alignment")


@stopping_rules.register("probe_alignment", source="mean alignment in evaluation mode; needs a probe")
def probe_alignment(history: History, setting: Setting) -> Choice:
    """Largest mean alignment in evaluation mode, averaged over the last 3 epochs, after the warm-up."""
    values = trailing_mean(proxies["probe_alignment"](history), SMOOTHED)
    reason = "largest mean alignment in evaluation mode, averaged over 3 epochs"
    return _choice("probe_alignment", history, largest(values, setting), setting, "probe_alignment", reason)


@stopping_rules.register("probe_bounded_gwa", source="GWA without its pole, in evaluation mode; needs a probe")
def probe_bounded_gwa(history: History, setting: Setting) -> Choice:
    """Largest mean alignment over kurtosis, in evaluation mode, after the warm-up."""
    reason = "largest mean alignment over kurtosis, in evaluation mode"
    return _by_largest("probe_bounded_gwa", history, setting, "probe_bounded_gwa", reason)


@stopping_rules.register("consensus", source="ours: see the proxy of that name; needs a probe")
def consensus(history: History, setting: Setting) -> Choice:
    """Largest share of the probe that is predicted as the training so far agrees; from the second epoch on."""
    values = proxies["consensus"](history).copy()
    values[:1] = np.nan  # in the first epoch the training has agreed on nothing yet
    at = int(np.nanargmax(values)) if np.isfinite(values).any() else len(values) - 1
    reason = "most predictions in evaluation mode as the training agrees"
    return _choice("consensus", history, at, setting, "consensus", reason)


@stopping_rules.register("label_wave", source="Yuan et al. 2024, arXiv 2502.07551")
def label_wave(history: History, setting: Setting) -> Choice:
    """First local minimum of the prediction changes (averaged over 3 epochs): none lower in the next 5."""
    if len(history.epochs) < 2:
        return _choice("label_wave", history, 0, setting, "label_wave", "there is nothing to compare with yet")
    patience = setting.patience or PATIENCE
    lowest, at, waits = np.inf, len(history.epochs) - 1, 0
    for i, value in enumerate(proxies["label_wave"](history)):
        if value < lowest:
            lowest, at, waits = value, i, 0
        elif np.isfinite(value):
            waits += 1
        if waits >= patience:
            reason = f"fewest prediction changes, with none fewer in the next {patience} epochs"
            return Choice("label_wave", history.epochs[at], True, "label_wave", reason)
    return Choice("label_wave", history.epochs[at], False, "label_wave", "fewest prediction changes so far")


@stopping_rules.register("gradient_disparity", source="Badola et al. 2021, arXiv 2107.06665")
def gradient_disparity(history: History, setting: Setting) -> Choice:
    """The epoch in which the gradient disparity has risen for the fifth time since the start; needs the measure."""
    patience = setting.patience or PATIENCE
    rises = np.cumsum(np.diff(proxies["gradient_disparity_rescaled"](history), prepend=np.nan) > 0)
    over = np.flatnonzero(rises >= patience)
    at = int(over[0]) if len(over) else len(history.epochs) - 1
    reason = f"gradient disparity has risen {int(rises[at])} times"
    return Choice("gradient_disparity", history.epochs[at], bool(len(over)), "gradient_disparity_rescaled", reason)


@stopping_rules.register("validation", source="the usual rule; needs a metric of a held-out set")
def validation(history: History, setting: Setting) -> Choice:
    """Largest value of a metric of yours, ``val_accuracy`` unless you name another."""
    values = history.column(setting.metric, f"Pass it: recorder.end_epoch({setting.metric}=...).")
    at = int(np.nanargmax(values))
    return _choice("validation", history, at, setting, setting.metric, f"largest {setting.metric}")


@stopping_rules.register("last", source="no rule")
def last(history: History, _: Setting) -> Choice:
    """The last epoch."""
    return Choice("last", history.epochs[-1], False, "epoch", "the last epoch")


def _by_largest(rule: str, history: History, setting: Setting, measure: str, reason: str) -> Choice:
    values: Float[np.ndarray, " epoch"] = proxies[measure](history)
    return _choice(rule, history, largest(values, setting), setting, measure, reason)


def _choice(
    rule: str,
    history: History,
    at: int,
    setting: Setting,
    measure: str,
    reason: str,
    also: tuple[int, ...] = (),
) -> Choice:
    stop = waited(at, len(history.epochs), setting.patience)
    return Choice(rule, history.epochs[at], stop, measure, reason, also)


def choices(
    run: Run, rule: str = "all", *, mode: str = "scratch", patience: int | None = None, metric: str = "val_accuracy"
) -> pd.DataFrame:
    """Ask each rule, a row each: its epoch, what decided, and why; or why it cannot decide on this run.

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
    """Choose the epoch that a stopping rule would have chosen, had it watched the training.

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
