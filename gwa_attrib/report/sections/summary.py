"""Summary of issues: how many suspects, in which classes, and how they meet verified labels if there are any."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from gwa_attrib.report.context import Context
from gwa_attrib.report.section import Section
from gwa_attrib.report.wording import number, percent, shortened, visible

ROWS = 15
"""Classes in the table; the others are folded away."""

MEASURES = {
    "errors": ("Wrong labels", "samples; low is good", 0),
    "auroc": ("AUROC of the ranking", "0.5 is chance, 1 is perfect; high is good", 3),
    "average_precision": ("Average precision of the ranking", "0 to 1; high is good", 3),
    "precision_at_errors": ("Errors among the worst, as many as there are", "precision, 0 to 1; high is good", 3),
    "recall_at_10_percent": ("Errors found in the worst 10 % of samples", "recall, 0 to 1; high is good", 3),
    "recall_at_20_percent": ("Errors found in the worst 20 % of samples", "recall, 0 to 1; high is good", 3),
}


def summary(context: Context) -> Section:
    """Counts, the table of classes, and the check."""
    suspects, samples = context.suspects, len(context.run.sample_ids)
    rows = _classes(context)
    values = {
        "suspects": len(suspects),
        "samples": samples,
        "share": percent(len(suspects) / samples if samples else None),
        "estimate": suspects.estimate,
        "classes": rows[:ROWS],
        "more_classes": rows[ROWS:],
        "truth": _check(context.truth) if context.truth else [],
    }
    return Section("summary", "Summary of issues", values)


def _classes(context: Context) -> list[dict[str, Any]]:
    """One row per class, the one with the most suspects first."""
    given, into = Counter(context.suspects.given), Counter(context.suspects.proposed)
    likeliest: dict[str, tuple[str, int]] = {}
    for (name, proposal), many in context.suspects.pairs().most_common():
        likeliest.setdefault(name, (proposal, many))
    rows = [
        {
            "name": shortened(visible(name), 60),
            "samples": int(size),
            "suspects": given[name],
            "share": percent(given[name] / size if size else None),
            "proposal": _proposal(likeliest.get(name)),
            "into": into[name],
        }
        for name, size in zip(context.run.class_names, context.class_sizes, strict=True)
    ]
    return sorted(rows, key=lambda row: -row["suspects"])


def _proposal(found: tuple[str, int] | None) -> str:
    return "–" if found is None else f"{shortened(visible(found[0]), 60)} ({found[1]:,})"


def _check(truth: Mapping[str, float]) -> list[dict[str, str]]:
    rows = []
    for name, value in truth.items():
        title, unit, digits = MEASURES.get(name, (visible(name), "", 3))
        rows.append({"title": title, "unit": unit, "value": number(float(value), digits)})
    return rows
