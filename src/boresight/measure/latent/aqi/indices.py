"""Internal validity indices of given clusters: Davies-Bouldin, Dunn, Xie-Beni, Calinski-Harabasz, silhouette.

Borah et al., arXiv 2506.13901; sheet, section 2.3. The clusters are the known labels, nothing is clustered. For two
classes Xie-Beni and Calinski-Harabasz are one statistic: XBI * CHI = (N - 2) n0 n1 / N^2 (section 2.5).
"""

import math
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from boresight.measure.latent.aqi import checks, distances

COINCIDENT = 1e-12  # squared distance of centroids up to which XBI is infinite (section 2.3)


@dataclass(frozen=True)
class ClusterIndices:
    """Indices of n points: dbs and xbi low is good, di, chi and ss high is good; nan where one is not defined."""

    dbs: float
    di: float
    xbi: float
    chi: float
    ss: float
    n: int


def cluster_indices(X: ArrayLike, y: ArrayLike) -> ClusterIndices:
    """The five indices of points X (n, d) with labels y (n,) of two classes or more, in float64 (section 2.3).

    No scatter at all gives dbs 0, di inf, xbi 0, chi inf, ss 1. Coincident centroids give xbi inf and dbs inf, and of
    two classes chi 0; with no scatter besides (all points equal) these stay, and di, 0 / 0, is nan. A class of one
    point leaves di and ss nan, with a warning. O(n^2 d) time for di and ss, memory of one block of distances.
    Raises StatesError (a ValueError) for one class, other lengths, or a value not finite, naming row and column.
    """
    x = checks.matrix(X)
    _, index = checks.classes(y, len(x))
    k = int(index.max()) + 1
    sizes = np.bincount(index, minlength=k)
    # Shifted to one of the points and scaled by a power of two: neither offset nor unit can cost digits.
    x = x - x[0]
    reach = float(np.abs(x).max())
    unit = 2.0 ** math.floor(math.log2(reach)) if reach > 0 else 1.0
    x = x / unit
    centroids = np.array([_centroid(x[index == c]) for c in range(k)])
    offsets = x - centroids[index]
    squares = np.einsum("id,id->i", offsets, offsets)
    within = float(squares.sum())
    spread = np.bincount(index, np.sqrt(squares), k) / sizes
    apart = np.linalg.norm(centroids[:, None] - centroids[None], axis=2)
    apart[apart <= 4 * np.finfo(float).eps * np.sqrt(x.shape[1])] = 0.0  # equal up to rounding
    nearest = float(apart[~np.eye(k, dtype=bool)].min())
    middle = sizes @ centroids / len(x)
    between = 0.0 if not apart.any() else float(sizes @ ((centroids - middle) ** 2).sum(1))
    di, ss = _pairwise(x, index, sizes)
    return ClusterIndices(
        dbs=_davies_bouldin(spread, apart),
        di=di,
        xbi=_xie_beni(within, nearest, unit, len(x)),
        chi=_calinski_harabasz(between, within, len(x), k),
        ss=ss,
        n=len(x),
    )


def _centroid(points: np.ndarray) -> np.ndarray:
    # From its first point on: the mean of equal points is then that point, not one rounding away from it.
    return points[0] + (points - points[0]).mean(0)


def _davies_bouldin(spread: np.ndarray, apart: np.ndarray) -> float:
    both = spread[:, None] + spread[None, :]
    ratios = np.divide(both, apart, out=np.full_like(both, np.inf), where=apart > 0)
    np.fill_diagonal(ratios, -np.inf)
    return float(ratios.max(1).mean())


def _xie_beni(within: float, nearest: float, unit: float, n: int) -> float:
    if nearest == 0 or (nearest * unit) ** 2 <= COINCIDENT:
        return math.inf
    return within / (n * nearest * nearest)


def _calinski_harabasz(between: float, within: float, n: int, k: int) -> float:
    if between == 0:
        return 0.0
    return math.inf if within == 0 else (between / (k - 1)) / (within / (n - k))


def _pairwise(x: np.ndarray, index: np.ndarray, sizes: np.ndarray) -> tuple[float, float]:
    if sizes.min() < 2:
        warnings.warn("a class has one point: the Dunn index and the silhouette are not defined", stacklevel=3)
        return math.nan, math.nan
    parts = [x[index == c] for c in range(len(sizes))]
    near = min(distances.separation(p, q) for i, p in enumerate(parts) for q in parts[i + 1 :])
    far = max(distances.diameter(p) for p in parts)
    if far == 0:
        di = math.inf if near > 0 else math.nan
    else:
        di = near / far
    return di, distances.silhouette(x, index)
