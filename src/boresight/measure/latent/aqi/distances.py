"""Nearest, farthest and mean distances in blocks: exact values, memory of one block (sheet, section 5).

Squared distances come from one matrix product, |p|^2 + |q|^2 - 2 p.q. Where that difference cancels (near duplicates)
it has lost its digits, so those entries are computed again from p - q.
"""

import numpy as np

BLOCK = 2048
_CANCELS = 1e-4  # below this share of |p|^2 + |q|^2 more than four of the sixteen digits are gone


def squared(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances (len(p), len(q)), to about 1e-11 relative, exactly 0 for equal points."""
    norms = np.einsum("id,id->i", p, p)[:, None] + np.einsum("id,id->i", q, q)[None, :]
    out = p @ q.T
    out *= -2
    out += norms
    norms *= _CANCELS
    lost = out <= norms
    count = np.count_nonzero(lost)
    if count * 8 > out.size:
        from scipy.spatial.distance import cdist

        return cdist(p, q, "sqeuclidean")
    if count:
        rows, columns = np.nonzero(lost)
        for at in range(0, count, BLOCK):  # a bounded number of differences at once
            i, j = rows[at : at + BLOCK], columns[at : at + BLOCK]
            out[i, j] = ((p[i] - q[j]) ** 2).sum(1)
    return out


def separation(a: np.ndarray, b: np.ndarray, block: int = BLOCK) -> float:
    """Smallest distance between a point of a (n, d) and one of b (m, d).

    Both are sorted along the line through their centroids: a distance is never below its own shadow on that line, so
    pairs of blocks whose shadows lie further apart than the best pair found are never looked at.
    """
    middle = a.mean(0)
    a, b = a - middle, b - middle  # what lies far from the origin would cancel
    line = b.mean(0)
    length = float(np.linalg.norm(line))
    line = line / length if length else np.zeros_like(line)
    (a, at), (b, bt) = _along(a, line), _along(b, line)
    gaps = []
    for i in range(0, len(a), block):
        for j in range(0, len(b), block):
            mine, theirs = at[i : i + block], bt[j : j + block]
            gaps.append((max(0.0, theirs[0] - mine[-1], mine[0] - theirs[-1]), i, j))
    best = np.inf
    for gap, i, j in sorted(gaps):
        # The shadows carry rounding of their own; a hair of slack keeps the bound a bound.
        if gap * (1 - 1e-12) > best:
            break
        p, q = a[i : i + block], b[j : j + block]
        found, size = _roughly(p, q)
        at = int(found.argmin())
        if found.flat[at] <= _CANCELS * size:
            found = squared(p, q)
            at = int(found.argmin())
        k, m = divmod(at, len(q))
        best = min(best, float(np.linalg.norm(p[k] - q[m])))
    return best


def diameter(a: np.ndarray, block: int = BLOCK) -> float:
    """Largest distance between two points of a (n, d); 0 for one point.

    Sorted by distance from the centroid, farthest first: two points are no further apart than the sum of these, so the
    search ends where no remaining pair of blocks can beat the best.
    """
    radii = np.linalg.norm(a - a.mean(0), axis=1)
    order = np.argsort(-radii, kind="stable")
    a, radii = a[order] - a.mean(0), radii[order]
    best = 0.0
    for i in range(0, len(a), block):
        if 2 * radii[i] * (1 + 1e-12) <= best:
            break
        for j in range(i, len(a), block):
            if (radii[i] + radii[j]) * (1 + 1e-12) <= best:
                break
            p, q = a[i : i + block], a[j : j + block]
            # Centred, the largest is of the size of what it is computed from: nothing cancels.
            k, m = divmod(int(_roughly(p, q)[0].argmax()), len(q))
            best = max(best, float(np.linalg.norm(p[k] - q[m])))
    return best


def silhouette(x: np.ndarray, index: np.ndarray, block: int = BLOCK) -> float:
    """Mean silhouette (Rousseeuw 1987) of x (n, d) with classes index (n,) in 0..K-1, each of two points or more.

    A point at distance 0 from its own class and from the nearest other one counts 0.
    """
    n, k = len(x), int(index.max()) + 1
    member = np.eye(k)[index]
    sums = np.zeros((n, k))
    for i in range(0, n, block):
        for j in range(i, n, block):
            away = np.sqrt(squared(x[i : i + block], x[j : j + block]))
            if i == j:
                np.fill_diagonal(away, 0.0)
            else:
                sums[j : j + block] += away.T @ member[i : i + block]
            sums[i : i + block] += away @ member[j : j + block]
    sizes = member.sum(0)
    own = sums[np.arange(n), index] / (sizes[index] - 1)
    others = sums / sizes
    others[np.arange(n), index] = np.inf
    nearest = others.min(1)
    larger = np.maximum(own, nearest)
    return float(np.divide(nearest - own, larger, out=np.zeros(n), where=larger > 0).mean())


def _roughly(p: np.ndarray, q: np.ndarray) -> tuple[np.ndarray, float]:
    """Squared distances by one product alone, and the size of its terms: rounding is some 1e-15 of that."""
    pp, qq = np.einsum("id,id->i", p, p), np.einsum("id,id->i", q, q)
    ones_p, ones_q = np.ones_like(pp), np.ones_like(qq)
    left, right = np.column_stack([-2 * p, pp, ones_p]), np.column_stack([q, ones_q, qq])
    return left @ right.T, float(pp.max() + qq.max())


def _along(points: np.ndarray, line: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    shadow = points @ line
    order = np.argsort(shadow, kind="stable")
    return points[order], shadow[order]
