"""What users build on: names, signatures and docstrings. A change here is a change for them."""

import inspect
import json
import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest

import gwa_attrib as gwa
from gwa_attrib.recording.recorder import Recorder
from gwa_attrib.scores import Scores
from gwa_attrib.store import EpochSummary, Run

NAMES = [
    "Choice",
    "Cleaned",
    "Comparison",
    "Decisions",
    "Diagnosis",
    "Duplicates",
    "EarlyStopping",
    "EpochSummary",
    "Exported",
    "MethodComparison",
    "Recorder",
    "Run",
    "Scores",
    "Verification",
    "apply",
    "attribute",
    "audit",
    "choose_epoch",
    "compare",
    "compare_runs",
    "decide",
    "doctor",
    "export",
    "groups",
    "harmful",
    "inspect",
    "leaks",
    "measure",
    "near_duplicates",
    "open_run",
    "rank",
    "read_decisions",
    "record",
    "report",
    "self_influence",
    "verify",
]
PARTS = {
    "plot": [
        "Figures",
        "alignments",
        "data_map",
        "label_scores",
        "noise_matrix",
        "removal_curves",
        "stopping",
        "trajectories",
        "write_figures",
    ]
}
"""Modules of the public face, and their names."""

SIGNATURES: dict[str, str] = {
    "record": "model path * num_samples class_names=None head=None layers='head' "
    "engine='auto' optimizer=None label_smoothing=0.0 "
    "class_weight=None signals=None probe=None probe_model=None probe_forward=None measures=() "
    "keys=None columns=None config=None overwrite=False resume=False",
    "attribute": "model loss train query method='tracin' * layers='head' checkpoints=None batch_size=256 "
    "forward=None seed=0 **options",
    "self_influence": "model loss train method='tracin' * layers='head' checkpoints=None batch_size=256 "
    "forward=None seed=0 **options",
    "doctor": "model inputs * layers='all' engine='auto'",
    "measure": "run by='gwa'",
    "choose_epoch": "run rule=None * mode='scratch' patience=None metric='val_accuracy'",
    "EarlyStopping": "recorder rule=None * mode='scratch' patience=None epochs=None metric='val_accuracy' model=None",
    "EarlyStopping.update": "self",
    "EarlyStopping.restore": "self",
    "EarlyStopping.state_dict": "self",
    "EarlyStopping.load_state_dict": "self state",
    "compare": "run truth methods=None * draws=1000 time_limit=None removal=() seeds=3 workers=1 patience=None",
    "MethodComparison": "table skipped scores is_error known facts drawn removal=None",
    "MethodComparison.write": "self folder",
    "compare_runs": "runs by='mean_alignment' * rule='paper' accuracy=None",
    "Comparison": "by table",
    "Comparison.plot": "self path",
    "Choice": "rule epoch stop measure reason also=()",
    "open_run": "path",
    "decide": "run auto scores=None * below=0.3 unlearnt=False",
    "read_decisions": "path run",
    "Decisions.write": "self path",
    "Decisions.to_frame": "self",
    "apply": "run decisions out=None",
    "Cleaned.to_torch": "self dataset",
    "Cleaned.to_huggingface": "self dataset label_column=None",
    "verify": "run decisions * test=None truth=None seeds=5 workers=1",
    "Verification.to_dict": "self",
    "export": "run to out=None * k=None data=None scores=None url_prefix=None",
    "Exported": "to path samples also=() notes=()",
    "groups": "run by='class' * scores=None features=None clusters=20",
    "harmful": "run trusted * method='influence' layers='head'",
    "near_duplicates": "features * near=0.15",
    "leaks": "train test * near=0.15",
    "inspect": "run",
    "Recorder.batches": "self loader",
    "Recorder.step": "self targets sample_ids=None",
    "Recorder.end_epoch": "self * probe=None **metrics",
    "Recorder.epochs": "self",
    "Recorder.rewind": "self epoch",
    "Run.trajectory": "self name layer=None * table='observations'",
    "Run.epochs": "self",
    "Run.observations": "self columns=None * epoch=None table='observations'",
    "Run.observations_of": "self sample_id",
    "Run.layer_observations": "self layer=None * epoch=None",
    "Run.by_epoch": "self *names table='observations' rows=slice(None, None, None)",
    "plot.alignments": "run * epoch=None scores=None ax=None",
    "plot.data_map": "run * scores=None ax=None",
    "plot.label_scores": "scores * ax=None",
    "plot.noise_matrix": "run * class_names=None most=30 ax=None",
    "plot.removal_curves": "comparison * ax=None",
    "plot.stopping": "run * mode='scratch' metric='val_accuracy' ax=None",
    "plot.trajectories": "run sample_ids * ax=None",
    "plot.write_figures": "run folder * scores=None comparison=None",
    "plot.Figures": "written missing boxes",
    "Run.scan": "self engine='duckdb' table='observations'",
    "Scores": "values sample_ids method suspect columns=<factory> meta=<factory>",
    "Scores.top": "self k",
    "Scores.ranks": "self",
    "Scores.order": "self",
    "Scores.suspicion": "self",
    "Scores.to_frame": "self",
}
PROPERTIES = {
    Recorder: ["path", "head", "layers"],
    Run: ["run_id", "samples", "sample_ids", "labels", "class_names", "layers", "epoch_numbers"],
}
FIELDS = {
    EpochSummary: [
        "epoch",
        "n",
        "mean",
        "excess_kurtosis",
        "gwa",
        "gwa_reliable",
        "fraction_negative",
        "undefined",
        "coverage",
        "prediction_changes",
        "online_loss",
        "online_accuracy",
        "seconds",
        "probe",
    ],
    Scores: ["values", "sample_ids", "method", "suspect", "columns", "meta"],
    Run: ["path", "info"],
}


def public(kind: type) -> list[str]:
    return [name for name in vars(kind) if not name.startswith("_")]


def described(thing: Any) -> str:
    """Names, kinds and defaults of the parameters, without their types."""
    words, star = [], False
    for p in inspect.signature(thing).parameters.values():
        if p.kind is p.KEYWORD_ONLY and not star:
            words.append("*")
            star = True
        prefix = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
        default = "" if p.default is p.empty else f"={p.default!r}"
        words.append(prefix + p.name + default)
        star = star or p.kind is p.VAR_POSITIONAL
    return " ".join(words)


def found(path: str) -> Any:
    thing: Any = gwa
    for name in path.split("."):
        thing = getattr(thing, name)
    return thing


def test_the_names_are_these() -> None:
    assert sorted(gwa.__all__) == sorted([*NAMES, *PARTS])
    assert gwa.__version__


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_there_and_explains_itself(name: str) -> None:
    thing = getattr(gwa, name)
    assert callable(thing)
    assert not isinstance(thing, ModuleType)
    assert inspect.getdoc(thing)
    assert getattr(gwa, name) is thing


@pytest.mark.parametrize("name", list(PARTS))
def test_every_part_explains_itself_and_has_these_names(name: str) -> None:
    part = getattr(gwa, name)
    assert isinstance(part, ModuleType)
    assert inspect.getdoc(part)
    assert sorted(part.__all__) == PARTS[name]
    assert all(inspect.getdoc(getattr(part, one)) for one in part.__all__)


def test_every_name_shows_up_where_one_looks_for_it() -> None:
    assert {*NAMES, *PARTS} <= set(dir(gwa))


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        gwa.nonsense  # noqa: B018


@pytest.mark.parametrize("path", list(SIGNATURES))
def test_signatures_are_these(path: str) -> None:
    assert described(found(path)) == SIGNATURES[path]


@pytest.mark.parametrize("kind", [Recorder, Run, Scores, EpochSummary])
def test_no_public_method_is_left_out_above(kind: type) -> None:
    name = kind.__name__
    pinned = [path.partition(".")[2] for path in SIGNATURES if path.startswith(f"{name}.")]
    assert sorted(public(kind)) == sorted(
        {*pinned, *PROPERTIES.get(kind, []), *(set(public(kind)) & set(FIELDS.get(kind, [])))}
    )


@pytest.mark.parametrize("kind", list(FIELDS))
def test_fields_are_these(kind: Any) -> None:
    assert list(kind.__dataclass_fields__) == FIELDS[kind]


@pytest.mark.parametrize("kind", [Recorder, Run, Scores])
def test_every_public_method_explains_itself(kind: type) -> None:
    undocumented = [name for name in public(kind) if callable(getattr(kind, name)) and not getattr(kind, name).__doc__]
    assert not [name for name in undocumented if name not in FIELDS.get(kind, [])]


def in_a_new_process(code: str) -> Any:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


HEAVY = {"matplotlib", "jinja2", "sklearn", "opacus", "pandas", "pyarrow", "duckdb", "scipy", "PIL", "typer"}
HEAVY |= {"lightning", "pytorch_lightning", "transformers", "accelerate", "skorch", "datasets"}


def test_importing_costs_nothing_heavy() -> None:
    """After torch: what gwa_attrib adds."""
    code = """
import json, sys, torch
before = set(sys.modules)
import gwa_attrib
print(json.dumps(sorted({name.partition(".")[0] for name in set(sys.modules) - before})))
"""
    assert not HEAVY & set(in_a_new_process(code))


def test_importing_leaves_torch_and_logging_alone() -> None:
    code = """
import json, logging, torch
before = [torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_num_threads(), torch.initial_seed()]
import gwa_attrib
after = [torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_num_threads(), torch.initial_seed()]
print(json.dumps([before == after, len(logging.root.handlers), logging.root.level]))
"""
    assert in_a_new_process(code) == [True, 0, 30]


def test_names_stay_what_they_are_whatever_is_imported() -> None:
    """A public function that shares its name with a module is not replaced by it."""
    code = """
import json, pkgutil, importlib, types, gwa_attrib
skipped = ("gwa_attrib.integrations",)
for module in pkgutil.walk_packages(gwa_attrib.__path__, "gwa_attrib."):
    if not module.name.startswith(skipped):
        importlib.import_module(module.name)
print(json.dumps([n for n in gwa_attrib.__all__ if isinstance(getattr(gwa_attrib, n), types.ModuleType)]))
"""
    assert in_a_new_process(code) == list(PARTS)
