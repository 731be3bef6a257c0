"""A model as the judge of one answer (sheet, sections 3.1, 3.2 and 3.5): a reply in JSON, or an expected score."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from boresight.errors import DataError
from boresight.measure.behaviour.just_eval.metrics import expected_score
from boresight.measure.behaviour.just_eval.parse import parse_judgment
from boresight.measure.behaviour.just_eval.prompts import MAX_WORDS, judge_prompt, known_aspects, slot_opening
from boresight.measure.judge import Judge, Verdict

if TYPE_CHECKING:
    from inspect_ai.model import Model

Said = tuple[float | str | None, str, str]
"""(score in [1, 5], "N/A" or None; the reason; the judge's own words)."""

Method = Literal["auto", "json", "expected"]
REASON_TOKENS = 48
MAX_TOKENS = 1024
DIGITS = "12345"
_ALTERNATIVES = 20  # as many as providers tell
_ABOUT = 600  # tokens of a judge's prompt without request and answer
_TOKENS_A_WORD = 2  # more than English needs, so that code and names fit too


class ModelJudge:
    """A model as the judge, greedy.

    method "json": one reply with reasons and scores, asked again up to three times if it cannot be read; "expected":
    for each aspect a free reason of at most `reason_tokens` tokens (0: none), then the expected value over the five
    digits at the score's place. A model that scores given texts (one on this machine) reads all five digits there;
    another is asked for the digit alone, and its likeliest first tokens are read: digits that are not among them count
    as impossible. "auto": "expected" where the model scores given texts, else "json".
    """

    def __init__(self, model: "Model | Judge", method: Method = "auto", reason_tokens: int = REASON_TOKENS) -> None:
        from boresight.measure import likelihood

        self._judge = model if isinstance(model, Judge) else Judge(model)
        self._scores_texts = likelihood.tells(self._judge.model)
        self.method = ("expected" if self._scores_texts else "json") if method == "auto" else method
        self.reason_tokens = reason_tokens
        how = "json" if self.method == "json" else "expected" if self._scores_texts else "expected, first tokens"
        self.name = f"{self._judge.name} ({how})"
        self.max_words = max_words(self._judge.model)

    async def score(self, instruction: str, answer: str, aspects: Sequence[str]) -> dict[str, Said]:
        """A verdict on each aspect; DataError for an unknown one, or if expected scores cannot be had of this model."""
        asked = known_aspects(aspects)
        if self.method == "json":
            return await self._read(instruction, answer, asked)
        return {aspect: await self._expected(instruction, answer, aspect) for aspect in asked}

    async def _read(self, instruction: str, answer: str, aspects: Sequence[str]) -> dict[str, Said]:
        best: dict[str, Said] = {}

        def read(raw: str) -> bool:
            found = parse_judgment(raw, aspects)
            for aspect in aspects:
                if best.get(aspect, (None,))[0] is None:  # what was read once stays as it was said
                    said: float | str | None = found.scores.get(aspect, "N/A" if aspect in found.na else None)
                    best[aspect] = (said, found.errors.get(aspect) or found.reasons.get(aspect, ""), raw)
            if any(best[a][0] is None for a in aspects):
                raise ValueError("; ".join(found.errors.values()) or "an aspect is missing")
            return True

        _: Verdict[bool] = await self._judge.ask(
            judge_prompt(instruction, answer, aspects), read, max_tokens=MAX_TOKENS
        )
        return best

    async def _expected(self, instruction: str, answer: str, aspect: str) -> Said:
        from inspect_ai.model import ChatMessageUser, GenerateConfig

        prompt, reason = judge_prompt(instruction, answer, [aspect]), ""
        if self.reason_tokens:
            ask = f"{prompt}\n\nFor now give only the reason, in one sentence."
            how = GenerateConfig(max_tokens=self.reason_tokens, temperature=0.0)
            output = await self._judge.model.generate([ChatMessageUser(content=ask)], config=how)
            reason = " ".join(output.completion.split())
        found = await (self._texts(prompt, aspect, reason) if self._scores_texts else self._first(prompt, reason))
        if max(found) == -math.inf:
            return None, "no digit from 1 to 5 is among the likeliest first tokens", reason
        told = {digit: round(x, 4) for digit, x in zip(DIGITS, found, strict=True) if x > -math.inf}
        return expected_score(found), reason, json.dumps(told)

    async def _texts(self, prompt: str, aspect: str, reason: str) -> list[float]:
        """Log-probability of each digit at the score's place of a reply that was begun for the judge."""
        from boresight.chat import user
        from boresight.measure.likelihood import token_logprobs

        start = slot_opening(aspect, reason)
        logprobs = await token_logprobs(self._judge.model, user(prompt), [f"{start}{digit}" for digit in DIGITS])
        totals = [sum(tokens) for tokens in logprobs]
        return [x - max(totals) for x in totals]  # what all five begin with says nothing about the score

    async def _first(self, prompt: str, reason: str) -> list[float]:
        """Log-probability of each digit as the first token of an answer that is to be the digit alone."""
        from boresight.measure.likelihood import first_token

        alone = "one digit from 1 to 5 and nothing else."
        chat = [{"role": "user", "content": f"{prompt}\n\nThis time reply with the score alone: {alone}"}]
        if reason:
            chat = [
                {"role": "user", "content": f"{prompt}\n\nFor now give only the reason, in one sentence."},
                {"role": "assistant", "content": reason},
                {"role": "user", "content": f"Now give the score alone: {alone}"},
            ]
        told = await first_token(self._judge.model, chat, _ALTERNATIVES)
        if told is None:
            raise DataError(
                f"{self._judge.name} does not tell likelihoods, which expected scores need; use judge_method=json"
            )
        return digit_logprobs(told)


def digit_logprobs(told: Mapping[str, float]) -> list[float]:
    """Log-probabilities (nats) of the digits 1 to 5 among first tokens, whatever the spaces; -inf where absent."""
    found = []
    for digit in DIGITS:
        mass = math.fsum(math.exp(x) for token, x in told.items() if token.strip() == digit)
        found.append(math.log(mass) if mass > 0 else -math.inf)
    return found


def max_words(model: "Model", answers: int = 1) -> int:
    """Words of each of `answers` answers that a judge is shown: fewer where its context is known to be small."""
    context = getattr(getattr(getattr(model.api, "engine", None), "model", None), "context", None)
    if not context:
        return MAX_WORDS
    room = (context - MAX_TOKENS - _ABOUT) // (_TOKENS_A_WORD * answers)
    return min(MAX_WORDS, max(room, 50))
