"""Ensemble: two models write one answer, the next token is the best of the mean of their probabilities.

A baseline of Fei, Razeghi, Singh, "Nudging", arXiv 2410.09300 (nudging sheet, sections 5 and 6): average the base
model's and a small aligned model's next-token probabilities, over the top tokens of each. They meet in text, as in
nudging: tokens are compared by the text that they add, so tokenizers may differ.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from boresight.chat import Chat, plain, validate
from boresight.lm.base import Completion, OnDone, OnStep, Sampling, per_row
from boresight.steer.joint import Choice, logits_after, require_plain, sessions, write
from boresight.steer.stack import require, require_model

if TYPE_CHECKING:
    from boresight.lm.decode import Decoder
    from boresight.lm.local import LocalModel
    from boresight.lm.session import SharedPool

Token = TypeVar("Token", bound=Hashable)
END = ""  # the text of an end-of-sequence token
BEHIND = 6  # tokens that a token is decoded behind, as its text may depend on them


def ensemble_probs(first: Mapping[Token, float], second: Mapping[Token, float]) -> dict[Token, float]:
    """Mean probability of every token that either model lists among its top ones.

    A token that a model does not list counts as 0 there, so the sum may stay below 1 (by the tails that were cut off).
    Raises ValueError for a negative number or a sum above 1.
    """
    for given in (first, second):
        if any(p < 0 for p in given.values()) or sum(given.values()) > 1 + 1e-6:
            raise ValueError("probabilities of one model must not be negative, and their sum not above 1")
    return {token: (first.get(token, 0.0) + second.get(token, 0.0)) / 2 for token in {**first, **second}}


class Ensemble:
    """A LanguageModel: `base` on the plain prompt and `partner` on its chat template, if it has one, write together.

    top: how many of its most likely tokens each model puts in. Tokens that are a part of a character have no text and
    are left out. Raises ValueError for settings out of range, ModelError for models that are not local.
    """

    step = "ensemble"

    def __init__(self, base: "LocalModel", partner: "LocalModel", *, top: int = 100, max_new_tokens: int = 512) -> None:
        self.check({"top": top, "max_new_tokens": max_new_tokens})
        require(self.step, base)
        require_model(self.step, "partner", partner)
        self.base, self.partner, self.top = base, partner, top
        self.sampling = Sampling(max_new_tokens)
        self.name = f"{base.name}+ensemble"

    @staticmethod
    def check(settings: Mapping[str, Any]) -> None:
        """Refuse what no two models could make right, before they are loaded (ValueError)."""
        if settings.get("top", 1) < 1:
            raise ValueError(f"top is {settings['top']}; it must be at least 1")
        Sampling(settings.get("max_new_tokens", 1))

    def generate(
        self,
        chats: Sequence[Chat],
        sampling: Sampling | Sequence[Sampling] | None = None,
        *,
        on_done: OnDone | None = None,
        on_step: OnStep | None = None,
    ) -> list[Completion]:
        """Answer every chat. With a temperature the averaged distribution is tempered."""
        from boresight.lm.decode import drive

        how = per_row(sampling or self.sampling, len(chats))
        require_plain(self.step, how)
        prompts = [(plain(validate(chat)), self.partner.render(chat)) for chat in chats]
        for texts in prompts:
            for model, text in zip((self.base, self.partner), texts, strict=True):
                model.require_room(model.encode(text))
        pools = [self.base.pool(), self.partner.pool()]
        makers = [partial(self._answer, prompts[i], pools, how[i], i) for i in range(len(chats))]
        return drive(makers, self.base.width, on_done, on_step)

    def describe(self) -> dict[str, Any]:
        """Base, policy with its settings, and the revisions of both models."""
        policy = f"ensemble(partner={self.partner.name}, top={self.top})"
        return {**self.base.describe(), "policy": policy, "partner": self.partner.describe()}

    def _answer(
        self, prompts: tuple[str, str], pools: "Sequence[SharedPool]", how: Sampling, row: int
    ) -> "Decoder[Completion]":
        import torch

        models = (self.base, self.partner)

        def ask(tokens: list[str]) -> "Decoder[Choice | None]":
            found: list[dict[str, float]] = []
            for model, prompt, session in zip(models, prompts, opened, strict=True):
                ids = model.encode(prompt + "".join(tokens))
                if len(ids) >= model.context:
                    return None
                logits = yield from logits_after(session, ids)
                found.append(self._top(model, ids, logits))
            probs = ensemble_probs(*found)
            if not probs:
                return None
            return Choice(list(probs), torch.tensor(list(probs.values()), dtype=torch.float64).log())

        with sessions(models, pools) as opened:
            done = yield from write(ask, lambda text: None if text == END else text, self.name, how, row)
        return done

    def _top(self, model: "LocalModel", ids: Sequence[int], logits: Any) -> dict[str, float]:
        """Text -> probability of the likeliest tokens; tokens of the same text are added up."""
        logprobs = logits.log_softmax(-1)
        best = logprobs.topk(min(self.top, len(logprobs)))
        tail = list(ids[-BEHIND:])
        before = model.decode(tail)
        found: dict[str, float] = {}
        for logprob, token in zip(best.values.tolist(), best.indices.tolist(), strict=True):
            text = END if token in model.eos_ids else model.decode([*tail, token])[len(before) :]
            if (text or token in model.eos_ids) and "\ufffd" not in text:
                found[text] = found.get(text, 0.0) + math.exp(min(0.0, logprob))
        return found
