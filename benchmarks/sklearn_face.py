"""What `MislabelDetector` costs on precomputed embeddings, and how well it finds wrong labels, beside cleanlab.

    python benchmarks/sklearn_face.py --json [--rows 1000000] [--beside 50000] [--repeats 3] [--noisyag PARQUET]

Cost: synthetic embeddings (384 columns, 100 classes whose means differ, 10 % of the labels wrong), float32. Ours is
fitted with its hidden layer and without (`hidden=0`). The peer is what people do today: 5-fold logistic regression by
scikit-learn on standardised columns, and cleanlab's self-confidence and `find_label_issues`. Each is fitted once on all
`--rows` in a process of its own, whose peak memory is read less that of making the table; all are timed in turn on the
first `--beside` rows, and compared by the medians, on columns that are independent, where the peer needs the fewest
iterations, and on correlated ones. Quality: average precision on digits with 10 % flips, the synthetic tables, and (if
its file is given) sentence embeddings of NoisyAG-News.
"""

import argparse
import json
import resource
import time
import warnings
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gwa_attrib.sklearn import MislabelDetector

Array = np.ndarray[Any, np.dtype[Any]]
Table = tuple[Array, Array, Array]
COLUMNS, CLASSES, WRONG = 384, 100, 0.1
SPREAD = 4.5
"""Of the class means: a linear classifier is right about nine times in ten."""
FALL = 0.8
"""Of the spectrum of correlated columns: about as steep as that of the sentence embeddings of NoisyAG-News, whose
first, twentieth and hundredth eigenvalue are 17, 3.5 and 1.1 times the mean."""
CHUNK = 2_000


def table(rows: int, correlated: bool = False, seed: int = 0) -> Table:
    """Embeddings, labels, and which are wrong."""
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(CLASSES, COLUMNS)).astype(np.float32) * SPREAD / np.sqrt(COLUMNS)
    truth = rng.integers(0, CLASSES, rows)
    mixed = mixing(rng) if correlated else None
    x = np.empty((rows, COLUMNS), dtype=np.float32)
    for start in range(0, rows, CHUNK):
        part = truth[start : start + CHUNK]
        drawn = rng.standard_normal((len(part), COLUMNS), dtype=np.float32) + means[part]
        x[start : start + CHUNK] = drawn if mixed is None else drawn @ mixed
    wrong = rng.random(rows) < WRONG
    given = np.where(wrong, (truth + rng.integers(1, CLASSES, rows)) % CLASSES, truth)
    return x, given, wrong


def mixing(rng: np.random.Generator) -> Array:
    """Gives the columns a covariance whose k-th eigenvalue falls as ``k ** -FALL``."""
    directions = np.linalg.qr(rng.normal(size=(COLUMNS, COLUMNS)))[0]
    scales = np.arange(1, COLUMNS + 1) ** (-FALL / 2)
    return np.asarray(scales[:, None] * directions, dtype=np.float32)


def linear(x: Array, y: Array) -> Array:
    return -MislabelDetector(hidden=0, random_state=0).fit(x, y).label_quality_


def default(x: Array, y: Array) -> Array:
    return -MislabelDetector(random_state=0).fit(x, y).label_quality_


def peer(x: Array, y: Array) -> Array:
    """Suspicion by cleanlab's self-confidence; the issues are found too, as a user would."""
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=100))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not every fold converges in so many iterations
        probabilities = cross_val_predict(model, x, y, cv=5, method="predict_proba")
    find_label_issues(y, probabilities, n_jobs=1)
    return -get_label_quality_scores(y, probabilities)


def alone(name: str, rows: int, queue: Any) -> None:
    """One fit, and the peak memory of the process beyond the table, in MiB."""
    x, y, wrong = table(rows)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    suspicion = METHODS[name](x, y)
    seconds = time.perf_counter() - began
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    queue.put({"rows": rows, "seconds": round(seconds, 1), "mebibytes": round(peak), **quality(wrong, suspicion)})


def in_a_process(name: str, rows: int) -> dict[str, Any]:
    context = get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=alone, args=(name, rows, queue))
    process.start()
    found: dict[str, Any] = queue.get()
    process.join()
    return found


def beside(rows: int, repeats: int, correlated: bool) -> dict[str, Any]:
    """All in turn on the same rows."""
    x, y, wrong = table(rows, correlated)
    seconds: dict[str, list[float]] = {name: [] for name in METHODS}
    found: dict[str, Any] = {}
    for _ in range(repeats):
        for name, method in METHODS.items():
            began = time.perf_counter()
            found[name] = quality(wrong, method(x, y))
            seconds[name].append(time.perf_counter() - began)
    medians = {name: float(np.median(values)) for name, values in seconds.items()}
    return {
        "rows": rows,
        "seconds": {name: [round(s, 1) for s in values] for name, values in seconds.items()},
        "ratio_of_medians": {name: round(medians["peer"] / medians[name], 1) for name in METHODS},
        **found,
    }


METHODS: dict[str, Callable[[Array, Array], Array]] = {"linear": linear, "default": default, "peer": peer}


def quality(wrong: Array, suspicion: Array) -> dict[str, float]:
    return {
        "auroc": round(float(roc_auc_score(wrong, suspicion)), 4),
        "average_precision": round(float(average_precision_score(wrong, suspicion)), 4),
    }


def tables(noisyag: Path | None) -> dict[str, Table]:
    """Small ones, for quality."""
    x, truth = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    wrong = rng.random(len(truth)) < WRONG
    found = {"digits": (x, np.where(wrong, (truth + rng.integers(1, 10, len(truth))) % 10, truth), wrong)}
    if noisyag is not None:
        from gwa_attrib.datasets.encoding.texts import embed_texts

        frame = pd.read_parquet(noisyag)
        embeddings = embed_texts(frame["text"].to_numpy().astype(str))
        found["noisyag"] = (embeddings, frame["noisy"].to_numpy(), (frame["noisy"] != frame["clean"]).to_numpy())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--beside", type=int, default=50_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--noisyag", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = {
        "quality": {
            name: {who: quality(wrong, method(x, y)) for who, method in METHODS.items()}
            for name, (x, y, wrong) in tables(options.noisyag).items()
        },
        "independent": beside(options.beside, options.repeats, correlated=False),
        "correlated": beside(options.beside, options.repeats, correlated=True),
        "large": {name: in_a_process(name, options.rows) for name in METHODS},
    }
    print(json.dumps(result) if options.json else json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
