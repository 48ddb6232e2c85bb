#!/usr/bin/env bash
# numpy 2.4.6 with torch 2.13.0 tensors.
#
# numpy's functions take tensors: np.sum, np.ndim and np.shape of one are numbers and tuples.
# Expected: np.size(tensor) is the number of its elements.
# Found: it is the tensor's bound method `size`, which equals no number. `np.size(mask) == 5` is False for every mask,
# without an error. numpy asks for the attribute `size` first, which is a number on arrays and a method on tensors.
# Seen on 2026-11-29:   ndim 1   shape (5,)   size <built-in method size of Tensor object ...>   equal to 5: False
# Here: masks are made arrays before they are measured; those of tokenizers that gave tensors had been passed over.
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0
cd "$folder" && env/bin/python - <<'PY'
import sys
import numpy as np, torch

mask = torch.ones(5)
size = np.size(mask)
print(f"ndim {np.ndim(mask)}   shape {tuple(np.shape(mask))}   size {size}   equal to 5: {size == 5}")
sys.exit(not (np.ndim(mask) == 1 and tuple(np.shape(mask)) == (5,) and callable(size) and size != 5))
PY
