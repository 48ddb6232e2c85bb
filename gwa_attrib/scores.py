"""Scores: the one results type. A value per training sample (and per query), with the direction that is suspicious."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.stats import rankdata

from gwa_attrib.display.notebook import ROWS, small_html
from gwa_attrib.errors import InputError
from gwa_attrib.value_types import Array


@dataclass(frozen=True, eq=False)
class Scores:
    """One value per training sample, or per training sample and query.

    Example:
        >>> scores = Scores(np.array([0.9, -0.4, 0.7]), np.array([10, 11, 12]), method="alignment", suspect="low")
        >>> scores.top(1)
        array([11])
    """

    values: Float[np.ndarray, " train"] | Float[np.ndarray, "train query"]
    """float32 or float64; NaN where a sample has no value (never seen)."""
    sample_ids: Int[np.ndarray, " train"]
    method: str
    suspect: Literal["low", "high"]
    """Which end of `values` is suspicious."""
    columns: Mapping[str, Array] = field(default_factory=dict)
    """Further facts, one value per sample: given_label, predicted_label, is_label_issue, label_score..."""
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, column in {"sample_ids": self.sample_ids, **self.columns}.items():
            if len(column) != len(self.values):
                raise InputError(
                    expected=f"{len(self.values)} entries in {name!r}, one per row of `values`",
                    found=f"{len(column)}",
                    todo="Give one entry per training sample.",
                )
        taken = sorted({self.method, "rank", "sample_id"} & set(self.columns))
        if taken:
            raise InputError(
                expected="columns with names other than sample_id, rank and the method",
                found=", ".join(taken),
                todo="Choose other names.",
            )
        if self.suspect not in ("low", "high"):
            raise InputError(
                expected="suspect to be 'low' or 'high'", found=repr(self.suspect), todo="State the direction."
            )
        object.__setattr__(self, "columns", dict(self.columns))
        object.__setattr__(self, "meta", dict(self.meta))

    def __len__(self) -> int:
        return len(self.values)

    def suspicion(self) -> Float[np.ndarray, " train"]:
        """The values turned so that high is suspicious; samples without a value get -inf."""
        if self.values.ndim != 1:
            raise InputError(
                expected="one value per training sample",
                found=f"a matrix of shape {self.values.shape}",
                todo="Choose a query, or reduce over queries, before ranking training samples.",
            )
        turned = np.asarray(self.values if self.suspect == "high" else -self.values)
        return np.where(np.isnan(turned), -np.inf, turned)

    def order(self) -> Int[np.ndarray, " train"]:
        """Row numbers, most suspicious first; ties in the order of the samples."""
        order: Int[np.ndarray, " train"] = np.lexsort((-self.suspicion(), np.isnan(self.values)))
        return order

    def top(self, k: int) -> Int[np.ndarray, " top"]:
        """The `k` most suspicious sample ids, worst first. Samples without a value are left out."""
        order = self.order()
        return np.asarray(self.sample_ids[order[~np.isnan(self.values[order])][:k]])

    def ranks(self) -> Float[np.ndarray, " train"]:
        """1 for the most suspicious sample; equal values share the mean of their ranks; without a value: last."""
        suspicion, missing = self.suspicion(), np.isnan(self.values)
        ranks = np.empty(len(self), dtype=np.float64)
        ranks[~missing] = rankdata(-suspicion[~missing], method="average")
        ranks[missing] = (~missing).sum() + (missing.sum() + 1) / 2
        return ranks

    def to_frame(self) -> pd.DataFrame:
        """A data frame whose row i is sample i, indexed by sample_id: the value, its rank, and all `columns`."""
        index = pd.Index(self.sample_ids, name="sample_id")
        if self.values.ndim == 2:
            return pd.DataFrame(self.values, index=index).rename_axis(columns="query")
        return pd.DataFrame({**self.columns, self.method: self.values, "rank": self.ranks()}, index=index)

    def _repr_html_(self) -> str:
        facts: dict[str, object] = {"samples": len(self), self.suspect: "is suspicious"}
        ids, of = pd.Index(self.sample_ids, name="sample_id"), len(self)
        if self.values.ndim == 2:
            facts["queries"] = self.values.shape[1]
            part = pd.DataFrame(self.values[:ROWS], index=ids[:ROWS])
            return small_html(f"Scores {self.method}", facts, part, of=of, what="samples, the first")
        facts["without a value"] = int(np.isnan(self.values).sum()) or None
        worst = self.order()[:ROWS]
        columns = {self.method: self.values, "rank": self.ranks(), **self.columns}
        part = pd.DataFrame({name: np.asarray(column)[worst] for name, column in columns.items()}, index=ids[worst])
        return small_html(f"Scores {self.method}", facts, part, of=of, what="samples, the most suspicious")

    def __repr__(self) -> str:
        shape = "×".join(str(s) for s in self.values.shape)
        return f"Scores({self.method!r}, {shape}, suspect={self.suspect!r}, columns={list(self.columns)})"
