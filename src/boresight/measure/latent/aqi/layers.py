"""Which layers to mix: Gram matrices, the indices of any mixture in closed form, and its learned weights.

Sheet, section 2.2. For weights a the mixture sum_l a_l h^l has within scatter a'Sa and squared centroid distance a'Ba,
so that no mixture is ever built. The paper's own training loss is not published; the objective here is the sheet's.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from boresight.measure.latent.aqi import checks
from boresight.measure.latent.aqi.indices import COINCIDENT

_ROUNDS = 400
_RANDOM_STARTS = 16


def layer_gram(H: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Within and between Gram matrices S, B, both (L, L), of states H (n, L, d) with two labels y (n,), unscaled.

    S_lm = sum_i <h_i^l - c^l, h_i^m - c^m> with c the centroid of row i's class, B_lm = <D^l, D^m> with D^l = c_1^l -
    c_0^l. Raises StatesError unless there are two classes and all is finite (naming layer and row).
    """
    h = checks.layered(H)
    _, index = checks.classes(y, len(h), exactly=2)
    within = np.zeros((h.shape[1], h.shape[1]))
    centroids = []
    for label in (0, 1):
        rows = h[index == label]
        centre = rows[0] + (rows - rows[0]).mean(0)
        within += gram(rows - centre)
        centroids.append(centre)
    apart = centroids[1] - centroids[0]
    return within, apart @ apart.T


def gram(offsets: np.ndarray) -> np.ndarray:
    """sum_i <z_i^l, z_i^m>, (L, L), of offsets z (n, L, d)."""
    flat = offsets.transpose(1, 0, 2).reshape(offsets.shape[1], -1)
    return flat @ flat.T


def gram_indices(S: ArrayLike, B: ArrayLike, alpha: ArrayLike, n0: int, n1: int) -> tuple[float, float]:
    """(XBI, CHI) of the mixture with weights alpha (L,), two classes of n0 and n1 rows: a'Sa / (N a'Ba), and its dual.

    XBI is inf where a'Ba <= 1e-12. CHI = (N - 2) n0 n1 a'Ba / (N a'Sa), inf without scatter, 0 without distance.
    Raises StatesError for other shapes, values not finite, or fewer than one row in a class.
    """
    s, b = _square(S, B)
    a = checks.per_row(alpha, len(s), "alpha")
    if n0 < 1 or n1 < 1:
        raise checks.StatesError(f"the classes have {n0} and {n1} rows; at least one in each is needed")
    n = n0 + n1
    within, apart = max(0.0, float(a @ s @ a)), max(0.0, float(a @ b @ a))
    xbi = math.inf if apart <= COINCIDENT else within / (n * apart)
    if apart == 0:
        return xbi, 0.0
    return xbi, math.inf if within == 0 else (n - 2) * n0 * n1 * apart / (n * within)


def scale_gram(S: ArrayLike, B: ArrayLike, scale: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """S and B of the states divided layer by layer by scale (L,), all positive."""
    s, b = _square(S, B)
    by = checks.per_row(scale, len(s), "scale")
    if (by <= 0).any():
        raise checks.StatesError(f"the scale of layer {int(np.argmax(by <= 0))} is {by.min()}; it must be positive")
    return s / np.outer(by, by), b / np.outer(by, by)


def layer_scales(H: ArrayLike, mode: str = "rms") -> np.ndarray:
    """Scale (L,) of each layer of H (n, L, d): the root mean square of ||h - mean|| ("rms"), or 1 ("none").

    Norms grow with depth; unscaled, weights would say more about size than about use. A layer that is constant has the
    scale 1.
    """
    checks.one_of(mode, ("rms", "none"), "layer_scale")
    h = checks.layered(H)
    if mode == "none":
        return np.ones(h.shape[1])
    offsets = h - h[0]
    offsets -= offsets.mean(0)
    size = np.sqrt((offsets**2).sum(2).mean(0))
    return np.where(size > 0, size, 1.0)


def learn_layer_weights(S: ArrayLike, B: ArrayLike, mode: str = "sparse", mu: float = 0.0, seed: int = 0) -> np.ndarray:
    """Weights alpha (L,) >= 0 with sum 1 that minimise log(a'Sa) - log(a'Ba) + mu (1 - sum a^2) (section 2.2).

    Not convex: the search starts from every single layer, the uniform mixture and random points, and the best is kept;
    the result is never worse than the best single layer. "sparse" gives exact zeros, "softmax" all weights positive;
    mu > 0 pushes towards few layers. Fit on rows that are not scored, or the score means nothing.
    Raises StatesError for other shapes, a mode of another name, mu < 0, or if no layer tells the classes apart.
    """
    checks.one_of(mode, ("sparse", "softmax"), "mode")
    s, b = _square(S, B)
    if not (math.isfinite(mu) and mu >= 0):
        raise checks.StatesError(f"mu is {mu}; a finite number of at least 0 is needed")
    if not (np.diag(b) > 0).any():
        raise checks.StatesError("no layer has a distance between the classes; there is nothing to learn weights from")
    free = (np.diag(s) <= 0) & (np.diag(b) > 0)
    size = len(s)
    if free.any():  # a layer without scatter is as good as can be
        return np.eye(size)[int(np.argmax(np.where(free, np.diag(b), -1)))]
    if size == 1:
        return np.ones(1)
    # Ratios do not change when both matrices are scaled; near 1 the steps below have one meaning for all data.
    s, b = s / np.abs(np.diag(s)).max(), b / np.diag(b).max()
    rng = np.random.default_rng(seed)
    starts = np.vstack([np.eye(size), np.full((1, size), 1 / size), rng.dirichlet(np.ones(size), _RANDOM_STARTS)])
    if mu == 0:
        starts = np.vstack([starts, *(_cone_ascent(s, b, start) for start in starts)])
    ends = np.vstack([starts, _projected_descent(s, b, mu, starts)])
    best = ends[int(np.argmin(_objective(s, b, mu, ends)))]
    best = np.where(best < 1e-9, 0.0, best)
    best /= best.sum()
    return best if mode == "sparse" else _softmax_weights(s, b, mu, best, rng)


def _objective(s: np.ndarray, b: np.ndarray, mu: float, a: np.ndarray) -> np.ndarray:
    within, apart = np.einsum("rl,rl->r", a @ s, a), np.einsum("rl,rl->r", a @ b, a)
    with np.errstate(divide="ignore"):
        value = np.log(np.maximum(within, 1e-300)) - np.log(np.maximum(apart, 0.0))
    return value + mu * (1 - (a * a).sum(1))


def _gradient(s: np.ndarray, b: np.ndarray, mu: float, a: np.ndarray) -> np.ndarray:
    sa, ba = a @ s, a @ b
    within = np.maximum(np.einsum("rl,rl->r", sa, a), 1e-300)[:, None]
    apart = np.maximum(np.einsum("rl,rl->r", ba, a), 1e-300)[:, None]
    return 2 * sa / within - 2 * ba / apart - 2 * mu * a


def _cone_ascent(s: np.ndarray, b: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Climb a'Ba / a'Sa over a >= 0 from `start`: sqrt(a'Ba) lies above its tangent, and the ratio of a tangent to
    sqrt(a'Sa) is greatest at a non-negative least squares solution, so that every step is exact and none goes down.
    """
    from scipy.linalg import solve_triangular
    from scipy.optimize import nnls

    values, vectors = np.linalg.eigh(s)
    root = np.linalg.qr((vectors * np.sqrt(np.maximum(values, values.max() * 1e-12))).T, mode="r")
    a, reached = start, 0.0
    for _ in range(100):
        apart = float(a @ b @ a)
        ratio = apart / max(float(a @ s @ a), 1e-300)
        if apart <= 0 or ratio <= reached * (1 + 1e-10):
            break
        reached = ratio
        step = nnls(root, solve_triangular(root, b @ a / math.sqrt(apart), trans=1))[0]
        if step.sum() <= 0:
            break
        a = step / step.sum()
    return a


def _projected_descent(s: np.ndarray, b: np.ndarray, mu: float, starts: np.ndarray) -> np.ndarray:
    a = starts.copy()
    value = _objective(s, b, mu, a)
    step = np.full(len(a), 0.1)
    for _ in range(_ROUNDS):
        # A start without distance has no gradient to speak of; it stays where it is.
        moved = _to_simplex(a - step[:, None] * np.clip(_gradient(s, b, mu, a), -1e6, 1e6))
        found = _objective(s, b, mu, moved)
        better = found < value
        a[better], value[better] = moved[better], found[better]
        step = np.where(better, step * 1.5, step * 0.4)
        if (step < 1e-14).all():
            break
    return a


def _to_simplex(points: np.ndarray) -> np.ndarray:
    """Nearest points of the simplex to the rows of `points` (Duchi et al. 2008, by sorting)."""
    falling = -np.sort(-points, axis=1)
    excess = np.cumsum(falling, axis=1) - 1
    kept = (falling - excess / np.arange(1, points.shape[1] + 1) > 0).sum(1)
    threshold = excess[np.arange(len(points)), kept - 1] / kept
    return np.maximum(points - threshold[:, None], 0.0)


def _softmax_weights(s: np.ndarray, b: np.ndarray, mu: float, near: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    from scipy.optimize import minimize

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        a = _softmax(theta)[None]
        slope = _gradient(s, b, mu, a)[0]
        return float(_objective(s, b, mu, a)[0]), a[0] * (slope - a[0] @ slope)

    starts = [np.log(near + 1e-5), np.log(near + 1e-3), np.zeros(len(s)), *rng.normal(size=(4, len(s)))]
    found = [minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(-25, 25)] * len(s)) for start in starts]
    return _softmax(min(found, key=lambda end: end.fun).x)


def _softmax(theta: np.ndarray) -> np.ndarray:
    e = np.exp(theta - theta.max())
    return e / e.sum()


def _square(S: ArrayLike, B: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    s, b = checks.matrix(S, "S"), checks.matrix(B, "B")
    if s.shape != b.shape or s.shape[0] != s.shape[1]:
        raise checks.StatesError(f"S has shape {s.shape} and B {b.shape}; both must be layers x layers")
    return s, b
