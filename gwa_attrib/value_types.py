"""Types of values that all rooms share: arrays by what they hold, and parsed JSON.

Where the axes are known, jaxtyping says more: ``Float[np.ndarray, "sample class"]``.
"""

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
"""Numbers, texts or objects."""
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Bools = NDArray[np.bool_]

if TYPE_CHECKING:
    Json: TypeAlias = str | int | float | bool | list["Json"] | dict[str, "Json"] | None
    """Values that `json.loads` returns."""
else:
    Json = object  # a type that holds itself cannot be checked where a function is called
