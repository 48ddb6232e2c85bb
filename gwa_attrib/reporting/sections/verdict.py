"""The verdict: whether the training can be believed, how many of the suspects are wrong, and what to do now."""

from collections.abc import Mapping

import numpy as np

from gwa_attrib.analyses.expected_errors import TRAININGS, expected_steps, worth_looking
from gwa_attrib.evaluation.verification import kept_verification
from gwa_attrib.reporting.cautions import cautions_of
from gwa_attrib.reporting.context import Context
from gwa_attrib.reporting.section import Section
from gwa_attrib.reporting.wording import count, listed, number, percent, shortened, visible
from gwa_attrib.store.run_json import AuditNotes

NAMED = 6
"""Classes that are named in a sentence."""
MEASURES = {
    "errors": ("Wrong labels", "samples; low is good", 0),
    "auroc": ("AUROC of the ranking", "0.5 is chance, 1 is perfect; high is good", 3),
    "average_precision": ("Average precision of the ranking", "0 to 1; high is good", 3),
    "precision_at_errors": ("Errors among the worst, as many as there are", "precision, 0 to 1; high is good", 3),
    "recall_at_10_percent": ("Errors found in the worst 10 % of samples", "recall, 0 to 1; high is good", 3),
    "recall_at_20_percent": ("Errors found in the worst 20 % of samples", "recall, 0 to 1; high is good", 3),
}
LARGER = {"fast": "normal", "normal": "thorough"}
"""The budget of an audit that trains longer, with a larger model."""


def section(context: Context) -> Section:
    """Sentences and numbers; first of all, what the training has not learnt."""
    suspects, samples = context.suspects, len(context.run.sample_ids)
    trusted = int((~suspects.doubtful).sum())
    warnings, notes = cautions_of(context)
    found = kept_verification(context.run)
    values = {
        "suspects": len(suspects),
        "trusted": trusted,
        "samples": samples,
        "trusted_samples": _samples_of_learnt(context),
        "share": percent(trusted / samples if samples else None),
        "failure": _failure(context) if context.not_learnt else None,
        "expected": [vars(one) for one in expected_steps(suspects.label_score[:trusted])],
        "look_at": _look_at(context, trusted),
        "trainings": TRAININGS,
        "audited": AuditNotes.read(context.run.info).made_by_audit,
        "warnings": warnings,
        "notes": notes,
        "truth": _check(context.truth) if context.truth else [],
        "precision": _precision(context.truth),
        "cleaned": None if found is None else [percent(found.accuracy.get(arm)) for arm in ("as it is", "decisions")],
    }
    return Section("verdict", "Verdict", values)


def _samples_of_learnt(context: Context) -> int:
    return int(context.classes["samples"][context.classes["learnt"]].sum())


def _failure(context: Context) -> dict[str, object]:
    """Describe what was not learnt, class by class, and what helps."""
    table = context.classes[~context.classes["learnt"]]
    names = [shortened(visible(name), 40) for name in table.index]
    notes = AuditNotes.read(context.run.info)
    budget = notes.budget if notes.made_by_audit else None
    return {
        "all": len(table) == int((context.classes["samples"] > 0).sum()),
        "classes": listed(names, NAMED),
        "number": len(table),
        "of": len(context.run.class_names),
        "suspects": int(context.suspects.doubtful.sum()),
        "rows": [
            {
                "name": name,
                "samples": f"{int(row['samples']):,}",
                "suspects": f"{int(row['suspects']):,}",
                "share": percent(row["suspects"] / row["samples"] if row["samples"] else None, 0),
                "recall": percent(row["recall"], 0),
                "steady": percent(row["steady"] if np.isfinite(row["steady"]) else None, 0),
            }
            for name, (_, row) in zip(names, table.iterrows(), strict=True)
        ],
        "audited": notes.made_by_audit,
        "budget": budget,
        "larger": LARGER.get(str(budget)),
    }


def _look_at(context: Context, trusted: int) -> dict[str, str] | None:
    """How far down the ranking looking pays, as long as there are suspects at all."""
    if not trusted:
        return None
    columns, not_learnt = context.scores.columns, list(context.not_learnt)
    scores = np.asarray(columns["label_score"], dtype=np.float64)
    doubtful = np.isin(np.asarray(columns["given_label"]).astype(str), not_learnt)
    doubtful |= np.isin(np.asarray(columns["predicted_label"]).astype(str), not_learnt)
    known = np.sort(scores[~doubtful & np.isfinite(scores)])
    mean, low, high = worth_looking(known)
    # Some of the wrong labels may lie below the suspects, which are all that the page has.
    last = f"{max(high, mean):,}" if max(high, mean) <= trusted else "all, and beyond"
    return {"mean": f"{min(mean, trusted):,}", "low": f"{low:,}", "high": last}


def _check(truth: Mapping[str, float]) -> list[dict[str, str]]:
    rows = []
    for name, value in truth.items():
        title, unit, digits = MEASURES.get(name, (visible(name), "", 3))
        rows.append({"title": title, "unit": unit, "value": number(float(value), digits)})
    return rows


def _precision(truth: Mapping[str, float] | None) -> dict[str, str] | None:
    """The check in a sentence, where its two numbers are there."""
    if not truth or not {"errors", "precision_at_errors"} <= set(truth):
        return None
    errors, precision = truth["errors"], truth["precision_at_errors"]
    if not errors or np.isnan(precision):
        return None
    return {"errors": count(errors, "wrong label"), "found": f"{precision * errors:,.0f}", "first": f"{errors:,.0f}"}
