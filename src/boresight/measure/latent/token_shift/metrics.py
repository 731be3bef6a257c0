"""The numbers of token shift: arrays in, arrays out (token-shift sheet, section 2). torch is loaded when it is used."""

import math
from collections.abc import Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

LABELS = ("unshifted", "marginal", "shifted")
COLUMNS = (
    "base_rank",
    "aligned_rank",
    "label",
    "kl_ab",
    "kl_ba",
    "js",
    "entropy_base",
    "entropy_aligned",
    "p_base",
    "p_aligned",
    "base_top1",
    "base_top1_prob",
)
"""What `position_metrics` gives for each position."""

_ELEMENTS = 1 << 20  # logits worked on at once: a few rows of a large vocabulary stay in the processor's cache


def shift_label(rank: int) -> str:
    """ "unshifted" (rank 1), "marginal" (2 or 3) or "shifted" (above 3) for a token's 1-based rank in the base model.

    Raises ValueError for a rank below 1.
    """
    if rank < 1:
        raise ValueError(f"rank is {rank}; ranks count from 1")
    return LABELS[0 if rank == 1 else 1 if rank <= 3 else 2]


def position_metrics(base_logits: Any, aligned_logits: Any, token_ids: Any, block: int = 64) -> dict[str, np.ndarray]:
    """Compare two models at every position of one answer.

    base_logits, aligned_logits: (T, V) arrays or tensors, over the same vocabulary; token_ids: (T,), the answer. Works
    in the dtype of its input, at least float32, `block` positions at a time.

    Returns T-long columns: base_rank and aligned_rank of the answer's token (1 + tokens with a strictly greater logit),
    label (see `shift_label`), kl_ab = KL(aligned || base), kl_ba, js and both entropies in nats over the whole
    vocabulary, p_base and p_aligned of the answer's token, base_top1 (id; ties: the lowest) and base_top1_prob. A token
    that only the base excludes (logit -inf) makes kl_ab infinite.

    Raises ValueError for shapes that do not fit, ids outside the vocabulary, and logits that are nan or +inf.
    """
    base, aligned = _matrix("base_logits", base_logits), _matrix("aligned_logits", aligned_logits)
    ids = [int(i) for i in token_ids]
    if base.shape != aligned.shape:
        raise ValueError(f"base_logits are {tuple(base.shape)} and aligned_logits {tuple(aligned.shape)}")
    if len(ids) != len(base):
        raise ValueError(f"there are {len(ids)} token ids for {len(base)} positions")
    if block < 1:
        raise ValueError(f"block is {block}; at least 1 is needed")
    if any(not 0 <= i < base.shape[1] for i in ids):
        raise ValueError(f"a token id lies outside the vocabulary of {base.shape[1]}")
    parts = [
        compare_block(base[at : at + block], aligned[at : at + block], ids[at : at + block])
        for at in range(0, len(ids), block)
    ]
    found = join(parts)
    return {name: found[name] for name in COLUMNS}


def join(parts: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Blocks of columns put end to end; of no blocks at all, the columns of `position_metrics` without a row."""
    if parts:
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    whole = {"base_rank": np.int64, "aligned_rank": np.int64, "base_top1": np.int64, "label": np.dtype("<U9")}
    return {name: np.empty(0, whole.get(name, np.float64)) for name in COLUMNS}


def compare_block(
    base: "Tensor", aligned: "Tensor", ids: Sequence[int], common: int | None = None, top_k: int = 0
) -> dict[str, np.ndarray]:
    """`position_metrics` of one block, for models of which one may know more tokens than the other.

    base: (n, V_base), aligned: (n, V_aligned). Both are compared on the first `common` ids (default: as many as both
    have) and renormalised there; `masked_mass` is what the aligned model gave to the others. A token beyond them has a
    base probability of 0 and ranks behind all common ones; its p_aligned is that before the mask. aligned_rank counts
    the aligned model's whole vocabulary.

    top_k: adds base_top_ids, base_top_probs, aligned_top_ids and aligned_top_probs, each (n, top_k).
    """
    import torch

    shared = min(base.shape[1], aligned.shape[1], common or base.shape[1])
    rows = max(1, _ELEMENTS // shared)
    parts = []
    for at in range(0, len(ids), rows):
        token = torch.tensor(ids[at : at + rows], device=base.device)[:, None]
        parts.append(_compare(base[at : at + rows], aligned[at : at + rows].to(base.device), token, shared, top_k))
    return join(parts)


def _compare(base: "Tensor", aligned: "Tensor", token: "Tensor", shared: int, top_k: int) -> dict[str, np.ndarray]:
    import torch

    base, aligned = _wide(base), _wide(aligned)
    known = (token < shared)[:, 0]
    inside = token.clamp_max(shared - 1)
    whole = aligned
    base, aligned = base[:, :shared], aligned[:, :shared]
    ls_b, ls_a = base.log_softmax(-1), aligned.log_softmax(-1)
    p_b, p_a = ls_b.exp(), ls_a.exp()
    mixed = torch.logaddexp(ls_a, ls_b) - math.log(2)
    best = base.argmax(-1)
    rank_b = torch.where(known, (base > base.gather(1, inside)).sum(-1) + 1, shared + 1)
    own = whole.log_softmax(-1) if whole.shape[1] > shared else ls_a
    columns = {
        "base_rank": rank_b,
        "aligned_rank": (whole > whole.gather(1, token)).sum(-1) + 1,
        "kl_ab": _expected(p_a, ls_a - ls_b),
        "kl_ba": _expected(p_b, ls_b - ls_a),
        "js": (_expected(p_a, ls_a - mixed) + _expected(p_b, ls_b - mixed)) / 2,
        "entropy_base": _expected(p_b, -ls_b),
        "entropy_aligned": _expected(p_a, -ls_a),
        "p_base": torch.where(known, p_b.gather(1, inside)[:, 0], 0.0),
        "p_aligned": torch.where(known, p_a.gather(1, inside)[:, 0], own.gather(1, token)[:, 0].exp()),
        "base_top1": best,
        "base_top1_prob": p_b.gather(1, best[:, None])[:, 0],
        "masked_mass": own[:, shared:].exp().sum(-1),
    }
    for side in ("base", "aligned"):
        if bool(columns[f"entropy_{side}"].isnan().any()):
            raise ValueError(f"the {side} logits hold nan, +inf, or nothing but -inf at a position")
    for side, probs in (("base", p_b), ("aligned", p_a)) if top_k else ():
        top = probs.topk(min(top_k, shared))
        columns |= {f"{side}_top_ids": top.indices, f"{side}_top_probs": top.values}
    found = {name: values.cpu().numpy() for name, values in columns.items()}
    found["label"] = np.array(LABELS)[(found["base_rank"] > 1) + (found["base_rank"] > 3).astype(int)]
    return found


def _expected(p: "Tensor", values: "Tensor") -> "Tensor":
    """Sum of p * values over the vocabulary, 0 where p is 0; rounding does not take it below 0."""
    return (p * values).masked_fill_(p == 0, 0.0).sum(-1).clamp_min(0.0)


def _wide(logits: "Tensor") -> "Tensor":
    import torch

    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _matrix(name: str, values: Any) -> "Tensor":
    import torch

    if not isinstance(values, torch.Tensor):
        array = np.asarray(values)
        kind = array.dtype.newbyteorder("=") if array.dtype.kind == "f" else np.dtype(float)
        # torch takes neither reversed nor read-only memory
        values = torch.from_numpy(np.require(array.astype(kind, copy=False), requirements=("C", "W")))
    if values.ndim != 2:
        raise ValueError(f"{name} have shape {tuple(values.shape)}; (positions, vocabulary) is needed")
    return values.detach()


# -- lists of the best tokens: the measures of the published code -------------------------------------------------

Saved = Sequence[tuple[Hashable, float]]
"""The best tokens of a position with their logits, 30 of them in the published runs."""


def topk_metrics(base_list: Saved, aligned_list: Saved, k: int) -> dict[str, float]:
    """Compare the best tokens of two models at one position, as the published code does (sheet, section 2).

    base_list, aligned_list: (token, logit) of the whole saved lists, in any order. k: how many of each are looked at.
    norm_prob is the softmax over a whole saved list; w1 is that of the base, w2 of the aligned model.

    Returns jaccard of the two sets of k; kl: sum of w1 ln(w1 / w2) over the tokens in both, base to aligned (truncated,
    so it may be negative); weighted_sum of w1 w2 over them; ndcg of the whole base list with relevances by place in the
    aligned one; top_rank: 0-based place of the aligned model's first token among the base's k, k if it is not there;
    top_prob: its w1, else 0; bi_top_prob: mean of top_prob and of w2 of the base's first token (0 if not among the
    aligned k).

    A logit of -inf is a probability of 0. Raises ValueError for k below 1, an empty list, a token that is twice in a
    list, and logits that are nan, +inf or nothing but -inf.
    """
    if k < 1:
        raise ValueError(f"k is {k}; at least 1 is needed")
    base, aligned = _ranked("base_list", base_list), _ranked("aligned_list", aligned_list)
    log1, log2 = _log_norm_prob(base), _log_norm_prob(aligned)
    w1, w2 = ({t: math.exp(x) for t, x in side.items()} for side in (log1, log2))
    first, second = list(w1)[:k], list(w2)[:k]
    both = [t for t in first if t in set(second)]
    best, base_best = second[0], first[0]
    there = best in first
    top_prob = w1[best] if there else 0.0
    gain = dict(zip(w2, _discounts(), strict=False))
    return {
        "jaccard": len(both) / (len(first) + len(second) - len(both)),
        "kl": math.fsum(w1[t] * (log1[t] - log2[t]) for t in both if w1[t]),
        "ndcg": math.fsum(gain.get(t, 0.0) * d for t, d in zip(w1, _discounts(), strict=False))
        / math.fsum(g * g for g in gain.values()),
        "weighted_sum": math.fsum(w1[t] * w2[t] for t in both),
        "top_rank": first.index(best) if there else k,
        "top_prob": top_prob,
        "bi_top_prob": (top_prob + (w2[base_best] if base_best in second else 0.0)) / 2,
    }


def _ranked(name: str, saved: Saved) -> list[tuple[Any, float]]:
    """Best logit first; ties: the lower id."""
    if not len(saved):
        raise ValueError(f"{name} is empty; at least one (token, logit) is needed")
    ranked = sorted(((t, float(x)) for t, x in saved), key=lambda pair: (-pair[1], pair[0]))
    if len({t for t, _ in ranked}) < len(ranked):
        raise ValueError(f"{name} holds a token twice")
    if any(math.isnan(x) for _, x in ranked) or math.isinf(ranked[0][1]):
        raise ValueError(f"{name} holds logits that are nan, +inf, or nothing but -inf")
    return ranked


def _log_norm_prob(ranked: Sequence[tuple[Any, float]]) -> dict[Any, float]:
    best = ranked[0][1]
    total = math.log(math.fsum(math.exp(x - best) for _, x in ranked))
    return {token: x - best - total for token, x in ranked}


def _discounts() -> Iterator[float]:
    """1 / log2(i + 2) for i = 0, 1, ..."""
    i = 2
    while True:
        yield 1 / math.log2(i)
        i += 1
