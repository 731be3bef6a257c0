"""The coloured view of a token shift: one static page, no scripts, no network.

Everything that a model wrote is escaped, and characters that a page would obey without showing them are made visible.
"""

import math
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from boresight.measure.latent.token_shift.metrics import LABELS
from boresight.safe import visible

if TYPE_CHECKING:
    from boresight.measure.latent.token_shift.report import ShiftReport

MOST_TOKENS = 6000  # shown with their tables; about a kilobyte each
MOST_ROWS = 15  # of a frequency table
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 640, 210, 66, 32, 12  # of a picture, in its own units


def render(report: "ShiftReport") -> str:
    """The page as HTML text; answers are shown whole, in order, up to 6,000 tokens in all."""
    numbers = report.summary()
    return (
        _environment()
        .get_template("view.html.jinja")
        .render(
            report=report,
            numbers=numbers,
            labels=LABELS,
            lead=report.headline(),
            rows=_rows(numbers),
            absolute=_kl_picture(report.curve("absolute")),
            relative=_share_picture(report.curve("relative")),
            tables=[(kind, report.tokens(kind, 1)[:MOST_ROWS]) for kind in ("shifted", "unshifted")],
            answers=_answers(report),
            shown=MOST_TOKENS,
            size=(WIDTH, HEIGHT),
        )
    )


@cache
def _environment() -> Environment:
    env = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=lambda v: visible(v) if isinstance(v, str) and not isinstance(v, Markup) else v,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters |= {"percent": percent, "number": number, "shown": shown}
    return env


def percent(x: float | None) -> str:
    """A share in per cent, with one decimal."""
    return "–" if x is None else f"{100 * x:.1f}\u00a0%"


def number(x: float | None) -> str:
    """A number with three digits."""
    return "–" if x is None or math.isnan(x) else f"{x:.3g}" if abs(x) < 1000 else f"{x:,.0f}"


def shown(text: str) -> str:
    """A token's text in a table: what cannot be seen gets a sign."""
    signs = text.replace("\n", "↵").replace("\t", "⇥").replace("\r", "␍")
    return signs.replace(" ", "·") if not signs.strip() or signs[0] == " " else signs


def _rows(numbers: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """The table of numbers: what, and for each: value, interval, positions."""

    def cells(e: dict[str, Any], form: Any) -> list[str]:
        low, high = e["ci"]
        ends = "no interval" if low is None else f"{form(low)} to {form(high)}"
        return [form(e["value"]), ends, f"{e['n']:,}"]

    rows = [(f"{label}, of all tokens", cells(numbers["shares"]["micro"][label], percent)) for label in LABELS]
    rows += [
        (f"{label}, without end tokens", cells(numbers["shares_without_eos"]["micro"][label], percent))
        for label in LABELS
    ]
    rows += [(f"{label}, mean over answers", cells(numbers["shares"]["macro"][label], percent)) for label in LABELS]
    rows.append(("among the base's five best", cells(numbers["base_top5"], percent)))
    for key, name in (("kl_ab", "KL(aligned ‖ base)"), ("kl_ba", "KL(base ‖ aligned)"), ("js", "Jensen–Shannon")):
        rows.append((f"{name}, mean, nats", cells(numbers[key]["mean"], number)))
    rows.append(("KL(aligned ‖ base), first 5 positions", cells(numbers["kl_first"], number)))
    rows.append(("KL(aligned ‖ base), positions after 20", cells(numbers["kl_later"], number)))
    return rows


def _answers(report: "ShiftReport") -> list[dict[str, Any]]:
    """Answers with a view of each of their tokens, until MOST_TOKENS are shown."""
    p, found, at = report.positions, [], 0
    for answer in report.answers:
        n = len(answer.ids)
        if at + n > MOST_TOKENS and found:
            break
        here = slice(at, at + n)
        counts = {label: int((p["label"][here] == label).sum()) for label in LABELS}
        tokens = [_token(report, i) for i in range(at, at + n)]
        found.append({"answer": answer, "tokens": tokens, "counts": counts, "n": n})
        at += n
    return found


def _token(report: "ShiftReport", i: int) -> dict[str, Any]:
    p, tops = report.positions, report.tops
    text = str(p["token"][i])
    sides = []
    for side in ("base", "aligned"):
        ids, probs = tops[f"{side}_top_ids"][i], tops[f"{side}_top_probs"][i]
        sides.append(
            [(report.texts[int(t)], float(q), int(t) == int(p["token_id"][i])) for t, q in zip(ids, probs, strict=True)]
        )
    return {
        "text": text.replace("\n", "↵\n") if text else "∅",
        "label": str(p["label"][i]),
        "rank": int(p["base_rank"][i]),
        "kl": float(p["kl_ab"][i]),
        "p_base": float(p["p_base"][i]),
        "p_aligned": float(p["p_aligned"][i]),
        "eos": bool(p["is_eos"][i]),
        "sides": sides,
    }


def _kl_picture(curve: dict[str, np.ndarray]) -> dict[str, Any] | None:
    """Mean KL by position with its interval, as points of a path and a band."""
    if not len(curve["n"]):
        return None
    enough = curve["n"] >= max(1, curve["n"].max() / 4)  # the few longest answers alone tell little
    t, kl = curve["t"][enough], curve["kl_ab"][enough]
    low, high = (np.where(np.isnan(e), kl, e) for e in (curve["kl_ab_low"][enough], curve["kl_ab_high"][enough]))
    low, high, kl = (np.nan_to_num(x) for x in (low, high, kl))
    top = float(max(high.max(), 1e-9))
    xs = [LEFT + (WIDTH - LEFT - 8) * float(i) / max(float(t[-1]), 1.0) for i in t]
    ends = [(x, _y(v, top)) for x, v in zip(xs, high, strict=True)]
    ends += [(x, _y(v, top)) for x, v in reversed(list(zip(xs, low, strict=True)))]
    line = [(x, _y(v, top)) for x, v in zip(xs, kl, strict=True)]
    ticks = sorted({0, int(t[-1]) // 2, int(t[-1])})
    return {
        "band": _path(ends) + "Z",
        "line": _path(line),
        "top": number(top),
        "ticks": [(LEFT + (WIDTH - LEFT - 8) * i / max(int(t[-1]), 1), i) for i in ticks],
        "left": LEFT,
        "floor": HEIGHT - BOTTOM,
        "ceiling": TOP,
    }


def _share_picture(curve: dict[str, np.ndarray]) -> dict[str, Any] | None:
    """Stacked shares in ten bins of the relative position: (label, x, y, width, height) of every bar."""
    if not len(curve["n"]):
        return None
    step = (WIDTH - LEFT - 8) / 10
    bars = []
    for k, place in enumerate(curve["bin"]):
        below = 0.0
        for label in LABELS:
            share = float(curve[label][k])
            x, y = LEFT + step * int(place), _y(below + share, 1.0)
            bars.append((label, round(x + 1.5, 1), round(y, 1), round(step - 3, 1), round(_y(below, 1.0) - y, 1)))
            below += share
    ticks = [(LEFT + step * i, f"{10 * i} %") for i in (0, 5, 10)]
    return {"bars": bars, "ticks": ticks, "left": LEFT, "floor": HEIGHT - BOTTOM, "ceiling": TOP}


def _y(value: float, top: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * float(value) / top


def _path(points: list[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
