"""Reduction to three dimensions before the indices, as the reference code does it (sheet, section 2.4)."""

import numpy as np

REDUCTIONS = ("none", "pca", "tsne")
_DIMENSIONS = 3


def reduced(x: np.ndarray, how: str = "none", *, overall: bool = False) -> np.ndarray:
    """x (n, d) as it is ("none"), its three principal components ("pca") or its t-SNE map ("tsne", parity only).

    t-SNE: perplexity 50 overall, else min(30, max(5, n - 2)), always below n; 500 iterations, init pca, seed 42. It
    moves topics apart, so that the row of all axioms together is bad by construction.
    """
    if how == "none":
        return x
    if how == "pca":
        offsets = x - x.mean(0)
        _, _, axes = np.linalg.svd(offsets, full_matrices=False)
        return offsets @ axes[:_DIMENSIONS].T
    from sklearn.manifold import TSNE

    perplexity = min(50 if overall else min(30, max(5, len(x) - 2)), len(x) - 1)
    # init="pca" takes as many components as there are dimensions; narrow or few data have not got three.
    start = "pca" if min(x.shape) >= _DIMENSIONS else "random"
    map_ = TSNE(_DIMENSIONS, perplexity=perplexity, max_iter=500, init=start, random_state=42)
    return map_.fit_transform(x).astype(float)
