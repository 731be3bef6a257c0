"""Corpus numbers of token shift: shares, means with bootstrap intervals over answers, frequencies, curves."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from boresight.measure.latent.token_shift.metrics import LABELS
from boresight.stats import Estimate, bootstrap_mean

SCHEMA = "boresight.token-shift/1"
RESAMPLES = 1000
EARLY = 5  # the first positions of an answer
LATE = 20  # positions after this one are late
BINS = 10  # of the relative position
NOT_GREEDY = 0.01  # share of tokens that are not the aligned model's first choice, from which a warning is due

Table = dict[str, np.ndarray]


def summary(positions: Table, lengths: Sequence[int], truncated: int = 0) -> dict[str, Any]:
    """The corpus in numbers. lengths: tokens of every answer, empty ones included.

    answers, empty, truncated, positions: counts. shares and shares_without_eos: {"micro" (over positions), "macro"
    (mean over answers)} x label. kl_ab, kl_ba, js: {"mean", "median"} in nats. kl_first, kl_later: mean kl_ab of
    positions 0 to 4 and of those after 20. base_top5: share of tokens among the base's five best. not_greedy: share of
    tokens that are not the aligned model's first choice. masked_mass: mean. warnings: sentences.

    Every mean is {"value", "ci", "n", "answers"}: 95 % BCa bootstrap over answers (1000 resamples), which are resampled
    whole, n positions. A value that cannot be had is None.
    """
    answer, kl, t = positions["prompt_id"], positions["kl_ab"], positions["t"]
    inner = ~positions["is_eos"]
    found: dict[str, Any] = {
        "answers": len(lengths),
        "empty": sum(n == 0 for n in lengths),
        "truncated": truncated,
        "positions": len(t),
        "shares": shares(positions),
        "shares_without_eos": shares({name: column[inner] for name, column in positions.items()}),
    }
    for name in ("kl_ab", "kl_ba", "js"):
        median = _or_none(float(np.median(positions[name]))) if len(t) else None
        found[name] = {"mean": mean(positions[name], answer), "median": median}
    found["kl_first"] = mean(kl[t < EARLY], answer[t < EARLY])
    found["kl_later"] = mean(kl[t > LATE], answer[t > LATE])
    found["base_top5"] = mean(positions["base_rank"] <= 5, answer)
    found["not_greedy"] = mean(positions["aligned_rank"] > 1, answer)
    found["masked_mass"] = float(positions["masked_mass"].mean()) if len(t) else None
    found["warnings"] = _warnings(found)
    return found


def _warnings(found: dict[str, Any]) -> list[str]:
    lines = []
    share = found["not_greedy"]["value"]
    if share is not None and share > NOT_GREEDY:
        lines.append(
            f"{share:.1%} of the tokens are not the aligned model's first choice, so the answers were not written by "
            "greedy decoding of this model behind this prompt and their labels mix both causes"
        )
    if found["empty"]:
        lines.append(f"{found['empty']} of {found['answers']} answers are empty and in no mean")
    if found["truncated"]:
        lines.append(f"{found['truncated']} of {found['answers']} answers were cut where a context ends")
    return lines


def shares(positions: Table) -> dict[str, dict[str, Any]]:
    """The share of each label over positions ("micro") and as a mean over answers ("macro")."""
    answer = positions["prompt_id"]
    there = np.unique(answer)
    found: dict[str, dict[str, Any]] = {"micro": {}, "macro": {}}
    for label in LABELS:
        hit = positions["label"] == label
        found["micro"][label] = mean(hit, answer)
        found["macro"][label] = mean(np.array([hit[answer == i].mean() for i in there]), there)
    return found


def mean(values: np.ndarray, answer: np.ndarray) -> dict[str, Any]:
    """Mean of values, of which `answer` says whose they are, with its interval over answers.

    Infinite values (a token that one side excludes altogether) are left out, so n is then smaller.
    """
    values = np.asarray(values, dtype=float)
    finite = np.isfinite(values)
    e = bootstrap_mean(values[finite], resamples=RESAMPLES, clusters=answer[finite].tolist())
    return _record(e, len(np.unique(answer[finite])))


def _record(e: Estimate, answers: int) -> dict[str, Any]:
    value, low, high = map(_or_none, (e.value, e.low, e.high))
    return {"value": value, "ci": [low, high], "n": e.n, "answers": answers}


def frequencies(positions: Table, kind: str, min_count: int) -> list[dict[str, Any]]:
    """Tokens by how often they carry a label; see `ShiftReport.tokens`."""
    if kind not in LABELS:
        raise ValueError(f"kind is {kind!r}; one of {', '.join(LABELS)} is needed")
    rows = []
    tokens, first, inverse, totals = np.unique(
        positions["token_id"], return_index=True, return_inverse=True, return_counts=True
    )
    counts = {label: np.bincount(inverse[positions["label"] == label], minlength=len(tokens)) for label in LABELS}
    for i, token in enumerate(tokens):
        if counts[kind][i] >= max(min_count, 1):
            rows.append(
                {
                    "token_id": int(token),
                    "token": str(positions["token"][first[i]]),
                    "count": int(counts[kind][i]),
                    "total": int(totals[i]),
                    "shift_rate": float(counts["shifted"][i] / totals[i]),
                }
            )
    return sorted(rows, key=lambda row: (-row["count"], row["token_id"]))


def curve(positions: Table, lengths: Sequence[int], by: str) -> Table:
    """Means along the answers; see `ShiftReport.curve`."""
    if by not in ("absolute", "relative"):
        raise ValueError(f"by is {by!r}; absolute or relative is needed")
    t, answer = positions["t"], positions["prompt_id"]
    place = t if by == "absolute" else BINS * t // np.maximum(np.asarray(lengths, dtype=int)[answer], 1)
    rows: list[dict[str, float]] = []
    for at in np.unique(place):
        here = place == at
        kl = mean(positions["kl_ab"][here], answer[here])
        low, high = kl["ci"]
        row = {"t" if by == "absolute" else "bin": int(at), "n": int(here.sum())}
        row |= {"kl_ab": _nan(kl["value"]), "kl_ab_low": _nan(low), "kl_ab_high": _nan(high)}
        row |= {name: float(positions[name][here].mean()) for name in ("base_rank", "p_base")}
        row |= {label: float((positions["label"][here] == label).mean()) for label in LABELS}
        rows.append(row)
    counts = ("t" if by == "absolute" else "bin", "n")
    means = ("kl_ab", "kl_ab_low", "kl_ab_high", "base_rank", "p_base", *LABELS)
    kinds = dict.fromkeys(counts, int) | dict.fromkeys(means, float)
    return {name: np.array([row[name] for row in rows], kind) for name, kind in kinds.items()}


def _or_none(x: float) -> float | None:
    return float(x) if math.isfinite(x) else None


def _nan(x: float | None) -> float:
    return math.nan if x is None else x


def plain(column: np.ndarray) -> list[Any]:
    """A column as JSON has it: numbers that are not finite are null, floats keep nine digits."""
    if column.dtype.kind != "f":
        return column.tolist()
    return [float(f"{x:.9g}") if math.isfinite(x) else None for x in column.tolist()]
