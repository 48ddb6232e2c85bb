"""The examples and the README's code run as a user would run them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests import ROOT

FRAMEWORKS = {
    "lightning_training": ("lightning", "lightning"),
    "huggingface_trainer": ("transformers", "hf"),
    "accelerate_loop": ("accelerate", "hf"),
    "skorch_training": ("skorch", "skorch"),
}
"""Examples whose package takes seconds to import: the package and its extra."""
EXAMPLES = [
    pytest.param(path, id=path.stem, marks=[pytest.mark.slow] if path.stem in FRAMEWORKS else [])
    for path in sorted((ROOT / "examples").glob("*.py"))
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_runs(example: Path, tmp_path: Path) -> None:
    if example.stem in FRAMEWORKS:
        package, extra = FRAMEWORKS[example.stem]
        pytest.importorskip(package, reason=f"needs the extra {extra}")
    data = [news(tmp_path)] if example.stem == "huggingface_trainer" else []
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    how = launcher if example.stem == "several_processes" else ["-W", "error"]
    done = subprocess.run(
        [sys.executable, *how, str(example), "--fast", *data], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert len(example.read_text().splitlines()) < 150


def news(folder: Path) -> str:
    """NoisyAG-News where GWA_NOISYAG names its file; else made-up news of the same form."""
    given = os.environ.get("GWA_NOISYAG")
    if given is not None:
        return given
    words = np.array([["minister", "treaty"], ["match", "goal"], ["shares", "profit"], ["software", "probe"]])
    rng = np.random.default_rng(0)
    clean = rng.integers(0, 4, 64)
    texts = [f"The {rng.choice(words[label])} of {rng.choice(['Monday', 'Friday'])}" for label in clean]
    noisy = np.where(rng.random(64) < 0.2, (clean + 1) % 4, clean)
    file = folder / "news.parquet"
    pd.DataFrame({"text": texts, "noisy": noisy, "clean": clean}).to_parquet(file)
    return str(file)


def test_the_loop_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    assert blocks, "the README shows the training loop"
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), namespace)
    assert list(tmp_path.rglob("report.html"))


def test_the_page_about_exports_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package, extra in {"cleanlab": "datalab", "datasets": "hf"}.items():
        pytest.importorskip(package, reason=f"needs the extra {extra}")
    blocks = re.findall(r"```(bash|python)\n(.*?)```", (ROOT / "docs" / "exports.md").read_text(), flags=re.DOTALL)
    script = [code if kind == "bash" else f"python - <<'PY'\n{code}PY\n" for kind, code in together(blocks)]
    functions = f'python() {{ "{sys.executable}" "$@"; }}\ngwa-attrib() {{ python -m gwa_attrib.cli "$@"; }}\n'
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    done = subprocess.run(["bash", "-ec", functions + "".join(script)], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    written = {path.name for path in tmp_path.iterdir()}
    assert {"issues.parquet", "worst.csv", "tasks.json", "tasks.xml", "digits-scored", "fiftyone-digits"} <= written


def together(blocks: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Python blocks that follow each other share their names, as on the page."""
    joined: list[tuple[str, str]] = []
    for kind, code in blocks:
        if joined and kind == joined[-1][0] == "python":
            joined[-1] = (kind, joined[-1][1] + code)
        else:
            joined.append((kind, code))
    return joined
