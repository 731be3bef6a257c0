"""Statistics of states that are seen once: counts, means and Gram matrices per axiom and label (sheet, section 5).

Each batch is centred on itself and joined by the pairwise update of Chan, Golub and LeVeque (1983), so that states far
from the origin cost no digits, batches may be of any size, and two machines' statistics can be merged.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from boresight.measure.latent.aqi import checks
from boresight.measure.latent.aqi.layers import gram, gram_indices


@dataclass
class Moments:
    """n rows: mean (L, d), scatter (L, L) = sum_i <h_i^l - mean^l, h_i^m - mean^m>."""

    n: int
    mean: np.ndarray
    scatter: np.ndarray

    def join(self, other: "Moments") -> "Moments":
        """The moments of both together."""
        if not self.n or not other.n:
            return other if not self.n else self
        n = self.n + other.n
        gap = other.mean - self.mean
        return Moments(
            n,
            self.mean + gap * (other.n / n),
            self.scatter + other.scatter + (gap @ gap.T) * (self.n * other.n / n),
        )


class TwoClasses(NamedTuple):
    """Within and between Gram matrices S and B (L, L) of n0 and n1 rows, with the centroids' difference D (L, d)."""

    S: np.ndarray
    B: np.ndarray
    n0: int
    n1: int
    D: np.ndarray


@dataclass
class LayerStats:
    """One pass over (rows, layers, dim) states, kept as Moments per (axiom, label); O(N L d + N L^2 d) time.

    Labels are 0 (unsafe) and 1 (safe). Memory does not grow with the rows.
    """

    layers: int
    dim: int
    groups: dict[tuple[str, int], Moments] = field(default_factory=dict)

    def add(self, states: ArrayLike, y: ArrayLike, axiom: Sequence[str] | None = None) -> None:
        """Take in a batch: states (b, layers, dim), y (b,) of 0 and 1, axiom (b,) (None: one for all, "").

        StatesError, and nothing taken in, for other shapes, another label, or a value not finite (layer and row named).
        """
        h = checks.layered(states, "the batch")
        if h.shape[1:] != (self.layers, self.dim):
            raise checks.StatesError(f"the batch has shape {h.shape}; rows x {self.layers} x {self.dim} is needed")
        labels = checks.per_row(y, len(h), "the label")
        wrong = ~np.isin(labels, (0, 1))
        if wrong.any():
            row = int(np.argmax(wrong))
            raise checks.StatesError(f"the label is {labels[row]:g} in row {row}; 0 (unsafe) or 1 (safe) is needed")
        names = np.array([""] * len(h) if axiom is None else [str(a) for a in axiom])
        if len(names) != len(h):
            raise checks.StatesError(f"there are {len(names)} axioms for {len(h)} rows; one for each is needed")
        for key in sorted({(str(a), int(v)) for a, v in zip(names, labels, strict=True)}):
            rows = h[(names == key[0]) & (labels == key[1])]
            mean = rows[0] + (rows - rows[0]).mean(0)
            self._join(key, Moments(len(rows), mean, gram(rows - mean)))

    def merge(self, other: "LayerStats") -> "LayerStats":
        """Take in what another pass saw, and return self. StatesError for other layers or dimensions."""
        if (other.layers, other.dim) != (self.layers, self.dim):
            raise checks.StatesError(
                f"statistics of {other.layers} layers x {other.dim} cannot join those of {self.layers} x {self.dim}"
            )
        for key, moments in list(other.groups.items()):
            self._join(key, moments)
        return self

    @property
    def axioms(self) -> list[str]:
        """The axioms seen, sorted."""
        return sorted({axiom for axiom, _ in self.groups})

    def moments(self, label: int, axioms: Iterable[str] | None = None) -> Moments:
        """Moments of one label over `axioms` (None: all)."""
        wanted = self.axioms if axioms is None else sorted(set(axioms))
        total = Moments(0, np.zeros((self.layers, self.dim)), np.zeros((self.layers, self.layers)))
        for axiom in wanted:
            found = self.groups.get((axiom, label))
            if found is not None:
                total = total.join(found)
        return total

    def two_classes(self, axioms: Iterable[str] | None = None) -> TwoClasses:
        """S, B, n0, n1 and D over `axioms` (None: all). StatesError, naming the axioms, if one class has no row."""
        wanted = self.axioms if axioms is None else sorted(set(axioms))
        unsafe, safe = self.moments(0, wanted), self.moments(1, wanted)
        if not unsafe.n or not safe.n:
            raise checks.StatesError(
                f"{', '.join(map(repr, wanted)) or 'no axiom'} has {unsafe.n} unsafe and {safe.n} safe rows; both are "
                "needed"
            )
        apart = safe.mean - unsafe.mean
        return TwoClasses(unsafe.scatter + safe.scatter, apart @ apart.T, unsafe.n, safe.n, apart)

    def indices(self, alpha: ArrayLike, axioms: Iterable[str] | None = None) -> tuple[float, float]:
        """(XBI, CHI) of the mixture alpha (layers,) over `axioms`, from the statistics alone."""
        found = self.two_classes(axioms)
        return gram_indices(found.S, found.B, alpha, found.n0, found.n1)

    def scales(self, axioms: Iterable[str] | None = None) -> np.ndarray:
        """Root mean square of ||h - mean|| per layer, (layers,), both labels together; 1 where a layer is constant."""
        wanted = None if axioms is None else list(axioms)
        every = self.moments(0, wanted).join(self.moments(1, wanted))
        size = np.sqrt(np.maximum(np.diag(every.scatter), 0) / max(every.n, 1))
        return np.where(size > 0, size, 1.0)

    def _join(self, key: tuple[str, int], moments: Moments) -> None:
        mine = self.groups.get(key)
        self.groups[key] = moments if mine is None else mine.join(moments)
