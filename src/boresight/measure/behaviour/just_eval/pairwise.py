"""Two answers to one request, compared aspect by aspect in both orders (sheet, section 3.4).

The first order shows the subject's answer as A, the second one the baseline's. Only an answer that is named in both is
the better one, so a judge that goes by position names neither.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from boresight.measure.base import GRADER, Metric, Record
from boresight.measure.behaviour.just_eval.metrics import Choice, combine_orders, pairwise_shares
from boresight.measure.behaviour.just_eval.model_judge import MAX_TOKENS, Method, max_words
from boresight.measure.behaviour.just_eval.parse import parse_choices
from boresight.measure.behaviour.just_eval.prompts import ASPECTS, known_aspects, pairwise_prompt, shorten
from boresight.measure.blocks import Table
from boresight.measure.judge import Judge, Verdict

if TYPE_CHECKING:
    from inspect_ai.model import Model

CHOICES: tuple[Choice, ...] = ("A", "B", "tie")
Pair = tuple[Choice | None, Choice | None]
"""What was named in the first order and in the swapped one; None: it could not be read."""


@dataclass(frozen=True)
class Compared:
    """What a judge said of two answers: aspect -> (first, swapped); aspect -> why a choice could not be read; its own
    words, one text for each order; and whether an answer was shortened for it."""

    pairs: dict[str, Pair]
    errors: dict[str, str]
    raw: tuple[str, str]
    shortened: bool


class PairJudge:
    """A model that compares, greedy, each order by itself.

    method "json": one reply with all choices, asked again up to three times if it cannot be read; "expected": for each
    aspect the likeliest of A, B and tie at the choice's place, without a rationale, which needs a model that scores
    given texts (one on this machine); "auto": that where the model can.
    """

    def __init__(self, model: "Model | Judge", method: Method = "auto") -> None:
        from boresight.errors import DataError
        from boresight.measure import likelihood

        self._judge = model if isinstance(model, Judge) else Judge(model)
        can = likelihood.tells(self._judge.model)
        if method == "expected" and not can:
            raise DataError(f"{self._judge.name} does not score given texts; compare with judge_method=json")
        self.method = "likeliest choice" if can and method != "json" else "json"
        self.name = f"{self._judge.name} ({self.method}, both orders)"
        self.max_words = max_words(self._judge.model, 2)

    async def compare(
        self, instruction: str, subject: str, baseline: str, aspects: Sequence[str] = ASPECTS
    ) -> Compared:
        """Both orders of two answers; DataError for an unknown aspect."""
        asked = known_aspects(aspects)
        (a, cut), (b, cut_too) = (shorten(text, self.max_words) for text in (subject, baseline))
        one = self._read if self.method == "json" else self._likeliest
        first, why, raw = await one(pairwise_prompt(instruction, a, b, asked), asked)
        swapped, why_too, raw_too = await one(pairwise_prompt(instruction, b, a, asked), asked)
        pairs: dict[str, Pair] = {aspect: (first.get(aspect), swapped.get(aspect)) for aspect in asked}
        return Compared(pairs, {**why_too, **why}, (raw, raw_too), cut or cut_too)

    async def _read(self, prompt: str, aspects: Sequence[str]) -> tuple[dict[str, Choice], dict[str, str], str]:
        said: dict[str, Choice] = {}
        errors: dict[str, str] = {}

        def read(raw: str) -> bool:
            found, wrong = parse_choices(raw, aspects)
            said.update({aspect: choice for aspect, choice in found.items() if aspect not in said})
            errors.clear()
            errors.update({aspect: why for aspect, why in wrong.items() if aspect not in said})
            if errors:
                raise ValueError("; ".join(errors.values()))
            return True

        verdict: Verdict[bool] = await self._judge.ask(prompt, read, max_tokens=MAX_TOKENS)
        return said, errors, verdict.raw

    async def _likeliest(self, prompt: str, aspects: Sequence[str]) -> tuple[dict[str, Choice], dict[str, str], str]:
        from boresight.chat import user
        from boresight.measure.likelihood import option_logprobs

        said: dict[str, Choice] = {}
        told: dict[str, dict[str, float]] = {}
        for aspect in aspects:
            logprobs = await option_logprobs(self._judge.model, user(prompt), openings(aspect))
            said[aspect] = CHOICES[logprobs.index(max(logprobs))]
            told[aspect] = {c: round(x - max(logprobs), 4) for c, x in zip(CHOICES, logprobs, strict=True)}
        return said, {}, json.dumps(told)


def openings(aspect: str) -> list[str]:
    """The beginnings of a reply that make each of CHOICES."""
    return [f'{{"choices": {{"{aspect}": "{choice}"' for choice in CHOICES]


def scores(pairs: dict[str, Pair], aspects: Sequence[str] = ASPECTS) -> dict[str, float]:
    """The entries of one item: for each aspect win, tie and lose (0 or 1, nan if a choice could not be read), and for
    all of its aspects together `flipped`, `first_named` and `unread`."""
    found: dict[str, float] = {}
    flips: list[bool] = []
    for aspect in aspects:
        first, swapped = pairs.get(aspect, (None, None))
        outcome = combine_orders(first, swapped) if first and swapped else None
        for way in ("win", "tie", "lose"):
            found[f"{aspect}_{way}"] = math.nan if outcome is None else float(outcome == way)
        if first and swapped:
            flips.append(first == swapped != "tie")
    named = [c == "A" for pair in pairs.values() for c in pair if c in ("A", "B")]
    found["flipped"] = sum(flips) / len(flips) if flips else math.nan
    found["first_named"] = sum(named) / len(named) if named else math.nan
    found["unread"] = float(any(None in pair for pair in pairs.values()))
    return found


def metrics(aspects: Sequence[str], baseline: str) -> tuple[Metric, ...]:
    """The metrics of a comparison with `baseline`, grader: the model in that role."""
    name = baseline.replace("{", "{{").replace("}", "}}")
    ways: tuple[tuple[str, Literal["higher", "lower", "none"], str], ...] = (
        ("win", "higher", f"Share of answers that both orders name as better in {{}} than those of {name}."),
        ("tie", "none", "Share of answers where the two orders do not name the same one as better in {}."),
        ("lose", "lower", f"Share of answers where both orders name those of {name} as better in {{}}."),
    )
    found = [
        Metric(f"{aspect}_{way}", f"{aspect}: {way}", "fraction", better, GRADER, about.format(aspect))
        for aspect in aspects
        for way, better, about in ways
    ]
    flipped = "Share of choices, aspect by aspect, that named the same position in both orders: the order decided."
    first = "Share of all named answers that stood first. One half is a judge without a position bias."
    unread = "Share of answers with a choice that could not be read after three tries."
    return (
        *found,
        Metric("flipped", "order decided", "share", "none", GRADER, flipped),
        Metric("first_named", "first answer named", "share", "none", GRADER, first),
        Metric("unread", "judgments unread", "fraction", "none", GRADER, unread),
    )


def blocks(records: Sequence[Record], baseline: str) -> list[Table]:
    """For each subject a table by aspect: win, tie and lose with intervals, and how often the order decided."""
    head = ("aspect", "n", "win", "95 %", "tie", "lose", "95 %", "order decided", "unread")
    found: list[Table] = []
    for subject in dict.fromkeys(r.subject for r in records):
        own = [r.detail["choices"] for r in records if r.subject == subject and r.detail.get("choices")]
        judge = next((r.detail["judge"] for r in records if r.subject == subject and r.detail.get("judge")), "")
        rows: list[Sequence[str | float | int | None]] = []
        for aspect in ASPECTS:
            asked = [tuple(choices[aspect]) for choices in own if aspect in choices]
            pairs: list[Any] = [pair for pair in asked if None not in pair]
            shares = pairwise_shares(pairs)
            if shares:
                n = shares.n
                win, lose = (_ends(round(x * n), n) for x in (shares.win, shares.lose))
                rows.append((aspect, n, shares.win, win, shares.tie, shares.lose, lose, shares.flipped, len(asked) - n))
            elif asked:
                rows.append((aspect, 0, None, "", None, None, "", None, len(asked)))
        if rows:
            note = f"Judge: {judge}. Better only where both orders name the same answer. Shares of n; Wilson intervals."
            found.append(Table(f"{subject} against {baseline}", head, rows, note))
    return found


def _ends(k: int, n: int) -> str:
    from boresight.stats import proportion

    found = proportion(k, n)
    return f"{found.low:.2f} to {found.high:.2f}"
