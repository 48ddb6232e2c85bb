"""What is in a run, what is missing, and what it costs on disk."""

from typing import Any

import numpy as np

from gwa_attrib.store.files import open_parquet, parts
from gwa_attrib.store.run import Run
from gwa_attrib.store.schema import EPOCHS, LAYERS, OBSERVATIONS, TMP


def inspect(run: Run) -> dict[str, Any]:
    """Facts about a run, read from the files' own statistics where possible: cheap also for large runs."""
    files = parts(run.path / OBSERVATIONS)
    bytes_of: dict[str, int] = {}
    observations = 0
    for path in (path for paths in files.values() for path in paths):
        with open_parquet(path) as file:
            observations += file.metadata.num_rows
            for group in range(file.metadata.num_row_groups):
                for i in range(file.metadata.num_columns):
                    column = file.metadata.row_group(group).column(i)
                    name = column.path_in_schema.partition(".")[0]
                    bytes_of[name] = bytes_of.get(name, 0) + column.total_compressed_size
    epochs = run.epochs()
    numbers = list(files)
    folders = (OBSERVATIONS, EPOCHS, *((LAYERS,) if run.layers else ()))
    expected = range(numbers[-1] + 1) if numbers else range(0)
    total = sum(path.stat().st_size for path in run.path.rglob("*") if path.is_file())
    return {
        "run": str(run.path),
        "run_id": run.info["run_id"],
        "status": run.info["status"],
        "samples": len(run.sample_ids) if files else run.info["num_samples"],
        "never_seen": int(np.sum(run.labels < 0)) if files else run.info["num_samples"],
        "classes": len(run.class_names),
        "epochs": len(numbers),
        "missing_epochs": [e for e in expected if any(e not in parts(run.path / folder) for folder in folders)],
        "half_written": len(list((run.path / TMP).glob("*"))) if (run.path / TMP).is_dir() else 0,
        "lowest_coverage": float(epochs["coverage"].min()) if len(epochs) else 0.0,
        "undefined_alignments": int(epochs["undefined"].sum()) if len(epochs) else 0,
        "observations": observations,
        "bytes": total,
        "bytes_per_observation": total / observations if observations else 0.0,
        "bytes_of_column": dict(sorted(bytes_of.items(), key=lambda item: -item[1])),
    }
