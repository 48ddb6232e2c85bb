"""How fast the report opens and answers in Chromium: 10,000 suspects among 60,000 samples, beside an earlier build.

    git worktree add /somewhere/earlier v0.1.0
    python benchmarks/report.py --earlier /somewhere/earlier --json

Both builds write the report of the same run, each in a process of its own. Then each page is opened `--repeats` times,
in turns. Opening is measured from the navigation to the second frame after the page has loaded; a click from the click
to the second frame after it, when its effect is on the screen. Ten clicks on cards a page: medians, and the ratio of
the medians of the two builds. A click whose decision is not kept has no time. Needs Debian's chromium.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.reporting.browser import Browser  # noqa: E402
from tests.small_runs import blobs, record_run  # noqa: E402

SAMPLES, CLASSES, EPOCHS, SUSPECTS = 60_000, 30, 10, 10_000
CLICKS = 10
WRITE = """
import dataclasses, json, sys, time
import numpy as np
import gwa_attrib as gwa
run = gwa.open_run(sys.argv[1])
pictures = np.load(sys.argv[2])
ranked = gwa.rank(run)
flagged = np.zeros(len(run.sample_ids), dtype=bool)
flagged[: int(sys.argv[4])] = True
scores = dataclasses.replace(ranked, columns={**ranked.columns, "is_label_issue": flagged})
data = list(zip(pictures, run.labels.tolist()))
began = time.process_time()
gwa.report(run, sys.argv[3], data=data, scores=scores)
print(json.dumps({"seconds": time.process_time() - began}))
"""
OPENED = """new Promise((done) => {
  const measured = () => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now())));
  document.readyState === 'complete' ? measured() : addEventListener('load', measured);
})"""
CLICK = """(async () => {{
  const radio = document.querySelectorAll('#cards .card')[{index}].querySelector('input[value={choice}]');
  const began = performance.now();
  radio.click();
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  return radio.closest('.card').dataset.decision === '{choice}' ? performance.now() - began : null;
}})()"""


def written(build: Path, run: Path, pictures: Path, page: Path) -> dict[str, float]:
    """The report of the run by a build: processor seconds, and size in MB."""
    command = [sys.executable, "-c", WRITE, str(run), str(pictures), str(page), str(SUSPECTS)]
    # From another folder: the one that Python is called in comes before PYTHONPATH.
    env = {**os.environ, "PYTHONPATH": str(build)}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=env, cwd=page.parent)
    return {**json.loads(done.stdout.splitlines()[-1]), "megabytes": page.stat().st_size / 1e6}


def measured(browser: Browser, page: Path) -> dict[str, Any]:
    """One opening and ten clicks, in milliseconds."""
    browser.open(page.as_uri())
    opened = browser.evaluate(OPENED)
    choices = ("keep", "relabel", "drop")
    clicks = [browser.evaluate(CLICK.format(index=i, choice=choices[i % 3])) for i in range(CLICKS)]
    browser.evaluate("localStorage.clear()")
    return {"open_ms": opened, "click_ms": [click for click in clicks if click is not None]}


def summary(found: list[dict[str, Any]], facts: dict[str, float]) -> dict[str, Any]:
    """Medians over the repeats."""
    clicks = [click for one in found for click in one["click_ms"]]
    return {
        "open_ms": round(statistics.median(one["open_ms"] for one in found), 1),
        "click_ms": round(statistics.median(clicks), 1) if clicks else None,
        "decisions_kept": f"{len(clicks)} of {CLICKS * len(found)}",
        "write_seconds": round(facts["seconds"], 1),
        "megabytes": round(facts["megabytes"], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--earlier", type=Path, help="checkout of an earlier version, to compare with")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    builds = {"this": ROOT, **({"earlier": options.earlier.resolve()} if options.earlier else {})}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        result = compare(builds, folder, options.repeats)
    print(json.dumps(result) if options.json else json.dumps(result, indent=1))


def compare(builds: dict[str, Path], folder: Path, repeats: int) -> dict[str, Any]:
    """Every build on the same run, the openings in turns."""
    import numpy as np

    x, labels = blobs(SAMPLES, CLASSES, 0)
    run = record_run(folder / "run", x, labels, [f"class {i}" for i in range(CLASSES)], epochs=EPOCHS)
    np.save(folder / "pictures.npy", np.random.default_rng(0).integers(0, 256, (SAMPLES, 32, 32, 3), dtype=np.uint8))
    pages = {name: folder / f"{name}.html" for name in builds}
    facts = {name: written(builds[name], run.path, folder / "pictures.npy", pages[name]) for name in builds}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in builds}
    with Browser(folder) as browser:
        for _ in range(repeats):
            for name, page in pages.items():
                found[name].append(measured(browser, page))
    result: dict[str, Any] = {name: summary(found[name], facts[name]) for name in builds}
    if "earlier" in result:
        ratios = {
            key: round(result["this"][key] / result["earlier"][key], 2)
            for key in ("open_ms", "click_ms", "write_seconds", "megabytes")
            if result["earlier"][key]
        }
        result["ratio_to_earlier"] = ratios
    return {"samples": SAMPLES, "suspects": SUSPECTS, "repeats": repeats, **result}


if __name__ == "__main__":
    main()
