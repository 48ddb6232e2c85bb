"""Methods that can be compared on a run, by name: analyses, self-influence by attributors, other libraries'."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from gwa_attrib._registry import Entry
from gwa_attrib.analyses import analyses, rank
from gwa_attrib.attribution import attributors, self_influence
from gwa_attrib.auditing.audited_model import AuditedModel, load_audited_model
from gwa_attrib.comparison.libraries import baselines
from gwa_attrib.comparison.limits import Cost, TimeLimitReached, Worker, WorkerDied, check_limit, measured
from gwa_attrib.display.progress import bar
from gwa_attrib.errors import GWAError, InputError, UnknownNameError
from gwa_attrib.scores import Scores
from gwa_attrib.store import Run, open_run

SLOW = {"influence_cg": "influence", "lissa": "influence"}
"""Left out unless they are named: of the head the other solves the same system exactly, and faster."""
NO_DETECTORS = ("influential",)
"""Analyses that do not rank by suspicion; left out unless they are named."""
NOT_ALONE = {"grad_cos": "the cosine of a gradient with itself is 1 for every sample"}
WIDER = ("tracin:all", "ekfac:linear")
"""Attributors that are tried on more than the head too."""
WIDER_BASELINES = ("captum_tracin:all", "kronfluence_ekfac:linear")
OVER_CHECKPOINTS = ("tracin", "trak")

Costs = dict[str, dict[str, object]]


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
    """Run the methods; return scores and costs of those that ran, and why the others did not.

    Args:
        run: What they rank.
        methods: Their names.
        time_limit: Seconds for each. They then work in a process of their own, which is ended with the method.

    Raises:
        InputError: no time, or a method of one's own that a second process cannot import.
    """
    check_limit(time_limit)
    scores: dict[str, Scores] = {}
    costs: Costs = {}
    skipped = {method: NOT_ALONE[_entry(method).name] for method in methods if _entry(method).name in NOT_ALONE}
    chosen = [method for method in methods if method not in skipped]
    with _here(run) if time_limit is None else _elsewhere(run, chosen, time_limit) as call:
        for method in bar(chosen, "methods"):
            try:
                found, cost = call(method)
            except (GWAError, WorkerDied) as error:
                skipped[method] = str(error)
            except TimeLimitReached:
                skipped[method] = f"it took longer than {time_limit:g} seconds"
            except Exception as error:
                if _entry(method).name not in baselines:
                    raise
                # The other methods are not lost.
                skipped[method] = f"the library failed: {type(error).__name__}: {error}"
            else:
                scores[method] = found
                costs[method] = _costs(found, cost, _entry(method).source)
    return scores, costs, skipped


Call = Callable[[str], tuple[Scores, Cost]]


@contextmanager
def _here(run: Run) -> Iterator[Call]:
    """Methods run in this process, one after the other; the model is loaded once, by the first that needs it."""

    @cache
    def audited() -> AuditedModel:
        return load_audited_model(run)

    yield lambda method: _measured(method, run, audited)


@contextmanager
def _elsewhere(run: Run, methods: Sequence[str], limit: float) -> Iterator[Call]:
    """Methods run in a second process, which is ended when one of them takes longer than `limit` seconds."""
    modules = sorted({_entry(method).function.__module__ for method in methods})
    if "__main__" in modules:
        raise InputError(
            expected="methods that a second process can import: a time limit ends a method by ending its process",
            found="one that is registered in the program itself",
            todo="Register it in a module of its own, or leave the time limit out.",
        )
    with Worker() as worker:

        def call(method: str) -> tuple[Scores, Cost]:
            # Reading the run, the model and the data is no part of the method, as in `_here`.
            worker.call(_prepare, run.path, modules, method not in analyses, torch.get_num_threads())
            return worker.call(_one, run.path, method, limit=limit)

        yield call


def _prepare(path: Path, modules: Sequence[str], needs_model: bool, threads: int) -> None:
    torch.set_num_threads(threads)
    for module in modules:
        import_module(module)  # importing it registers its methods
    if needs_model:
        _audited_model_at(path)


@cache
def _run_at(path: Path) -> Run:
    return open_run(path)


@cache
def _audited_model_at(path: Path) -> AuditedModel:
    return load_audited_model(_run_at(path))


def _one(path: Path, method: str) -> tuple[Scores, Cost]:
    return _measured(method, _run_at(path), lambda: _audited_model_at(path))


def _measured(method: str, run: Run, audited: Callable[[], AuditedModel]) -> tuple[Scores, Cost]:
    model = None if method in analyses else audited()
    with measured() as cost:
        found = rank(run, method) if model is None else _of_model(model, method)
    return found, cost


def _costs(found: Scores, cost: Cost, source: str) -> dict[str, object]:
    return {
        "suspect": found.suspect,
        "seconds": cost.seconds + found.meta.get("seconds_before", 0.0),
        "megabytes": cost.megabytes,
        "trainings": found.meta.get("trainings", 1),
        "source": source,
    }


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
