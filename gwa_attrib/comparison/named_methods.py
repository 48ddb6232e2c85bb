"""What can be compared on a run, by name: analyses of it, self-influence by attributors, methods of other libraries."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

import torch.nn.functional as F

from gwa_attrib._registry import Entry
from gwa_attrib.analyses import analyses, rank
from gwa_attrib.attribution import attributors, self_influence
from gwa_attrib.auditing.audited_model import AuditedModel, audited_model
from gwa_attrib.comparison.cost import measured
from gwa_attrib.comparison.libraries import baselines
from gwa_attrib.comparison.limits import OutOfPatience, at_most
from gwa_attrib.display.progress import bar
from gwa_attrib.errors import GWAError, UnknownNameError
from gwa_attrib.scores import Scores
from gwa_attrib.store import Run

SLOW = {"influence_cg": "influence", "lissa": "influence"}
"""Left out unless they are named: of the head the other solves the same system exactly, and faster."""
NO_DETECTORS = ("influential",)
"""Analyses that do not rank by suspicion; left out unless they are named."""
NOT_ALONE = {"grad_cos": "the cosine of a gradient with itself is 1 for every sample"}
WIDER = ("tracin:all", "ekfac:linear")
"""Attributors that are tried on more than the head too."""
WIDER_BASELINES = ("captum_tracin:all", "kronfluence_ekfac:linear")
OVER_CHECKPOINTS = ("tracin", "trak")

Costs = dict[str, dict[str, Any]]


def own_names() -> tuple[str, ...]:
    """Analyses of the run, and self-influence by attributors, as ``name`` (of the head) or ``name:layers``."""
    return (*analyses.names(), *attributors.names(), *WIDER)


def baseline_names() -> tuple[str, ...]:
    """Methods of other libraries."""
    return (*baselines.names(), *WIDER_BASELINES)


GROUPS: dict[str, Callable[[], Iterable[str]]] = {
    "own": lambda: (name for name in own_names() if name not in SLOW and name not in NO_DETECTORS),
    "baselines": baseline_names,
}
"""Names that stand for several methods."""


def chosen_methods(methods: Sequence[str] | None) -> list[str]:
    """Groups spelt out, each method once.

    Raises:
        UnknownNameError: a name of no method and no group.
    """
    found: list[str] = []
    for name in ["own"] if methods is None else methods:
        if name in GROUPS:
            found += GROUPS[name]()
        else:
            _entry(name)
            found.append(name)
    return list(dict.fromkeys(found))


def _entry(method: str) -> Entry:
    base = method.partition(":")[0]
    found = [analyses[method]] if method in analyses else []
    found += [registry[base] for registry in (attributors, baselines) if base in registry]
    if not found:
        raise UnknownNameError(
            expected=f"a group ({', '.join(GROUPS)}), or a method out of: "
            f"{', '.join((*own_names(), *baseline_names()))}",
            found=repr(method),
            todo="Choose one of them.",
        )
    return found[0]


def run_methods(
    run: Run, methods: Sequence[str], time_limit: float | None = None
) -> tuple[dict[str, Scores], Costs, dict[str, str]]:
    """Scores and costs of those that ran, and why the others did not; each may take `time_limit` seconds."""
    with at_most(time_limit):
        pass  # refused before any work
    scores: dict[str, Scores] = {}
    costs: Costs = {}
    skipped: dict[str, str] = {}

    @cache
    def audited() -> AuditedModel:
        return audited_model(run)

    for method in bar(methods, "methods"):
        entry = _entry(method)
        if entry.name in NOT_ALONE:
            skipped[method] = NOT_ALONE[entry.name]
            continue
        try:
            model = None if method in analyses else audited()
            with measured() as cost, at_most(time_limit):
                found = rank(run, method) if model is None else _of_model(model, method)
        except GWAError as error:
            skipped[method] = str(error)
            continue
        except OutOfPatience:
            skipped[method] = f"it took longer than {time_limit:g} seconds"
            continue
        except Exception as error:
            if entry.name not in baselines:
                raise
            skipped[method] = f"the library failed: {type(error).__name__}: {error}"  # the other methods are not lost
            continue
        scores[method] = found
        costs[method] = {
            "suspect": found.suspect,
            "seconds": cost.seconds + found.meta.get("seconds_before", 0.0),
            "megabytes": cost.megabytes,
            "trainings": found.meta.get("trainings", 1),
            "source": entry.source,
        }
    return scores, costs, skipped


def _of_model(audited: AuditedModel, method: str) -> Scores:
    base, _, layers = method.partition(":")
    if base in baselines:
        found: Scores = baselines[base](audited, **({"layers": layers} if layers else {}))
        return found
    options: dict[str, Any] = {"layers": layers or "head"}
    if base in OVER_CHECKPOINTS:
        options["checkpoints"] = audited.checkpoints
    if base == "tracin":
        options["learning_rates"] = audited.learning_rates
    return self_influence(audited.model, F.cross_entropy, (audited.inputs, audited.labels), base, **options)
