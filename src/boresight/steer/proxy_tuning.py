"""Proxy tuning: a large base model is shifted by what tuning did to a small one, without touching its weights.

Liu et al., "Tuning Language Models by Proxy", arXiv 2401.08565; here as a baseline of nudging (nudging sheet, section
6): p is proportional to p_base * p_tuned / p_untuned, so the logits add up: base + tuned - untuned. All three must have
the same vocabulary.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from boresight.chat import Chat, plain, validate
from boresight.errors import TokenizerMismatch
from boresight.lm.base import Completion, OnDone, OnStep, Sampling, per_row
from boresight.steer.joint import Choice, logits_after, require_plain, sessions, write
from boresight.steer.stack import require, require_model

if TYPE_CHECKING:
    import numpy as np

    from boresight.lm.decode import Decoder
    from boresight.lm.local import LocalModel
    from boresight.lm.session import SharedPool


def proxy_logits(base: "np.ndarray", tuned: "np.ndarray", untuned: "np.ndarray") -> "np.ndarray":
    """Log-probabilities (nats) of p_base * p_tuned / p_untuned, renormalised, in float64.

    base, tuned, untuned: (..., vocabulary) logits or log-probabilities over the same tokens; adding a constant to one
    of them changes nothing. A token that `base` or `tuned` excludes (-inf) stays excluded. Raises ValueError for shapes
    that differ, and where `untuned` alone excludes a token, since nothing can be divided by 0.
    """
    import numpy as np
    from scipy.special import logsumexp

    shapes = {np.shape(x) for x in (base, tuned, untuned)}
    if len(shapes) > 1:
        raise ValueError(f"the three models' logits have shapes {sorted(shapes)}; the same vocabulary is needed")
    b, t, u = (np.asarray(x, dtype=np.float64) for x in (base, tuned, untuned))
    with np.errstate(invalid="ignore"):
        shifted = np.where(np.isneginf(b) | np.isneginf(t), -np.inf, b + t - u)
    if np.isposinf(shifted).any():
        raise ValueError("the untuned model excludes a token that the two others allow")
    return shifted - logsumexp(shifted, axis=-1, keepdims=True)


class ProxyTuning:
    """A LanguageModel: `base`, shifted by what makes `tuned` differ from `untuned`.

    base and untuned read the plain prompt, tuned its chat template if it has one. Raises TokenizerMismatch if the three
    do not share a vocabulary, ModelError for models that are not local.
    """

    step = "proxy-tuning"

    def __init__(
        self, base: "LocalModel", tuned: "LocalModel", untuned: "LocalModel", *, max_new_tokens: int = 512
    ) -> None:
        require(self.step, base)
        for role, model in (("tuned", tuned), ("untuned", untuned)):
            require_model(self.step, role, model)
            if model is not base and model.tokenizer.get_vocab() != base.tokenizer.get_vocab():
                raise TokenizerMismatch(
                    f"proxy-tuning multiplies probabilities token by token, and {base.name} and {model.name} have "
                    "different vocabularies; take models of one family, or nudging, which meets in text"
                )
        self.base, self.tuned, self.untuned = base, tuned, untuned
        self.sampling = Sampling(max_new_tokens)
        self.name = f"{base.name}+proxy-tuning"

    @staticmethod
    def check(settings: Mapping[str, Any]) -> None:
        """Refuse what no three models could make right, before they are loaded (ValueError)."""
        Sampling(settings.get("max_new_tokens", 1))

    def generate(
        self,
        chats: Sequence[Chat],
        sampling: Sampling | Sequence[Sampling] | None = None,
        *,
        on_done: OnDone | None = None,
        on_step: OnStep | None = None,
    ) -> list[Completion]:
        """Answer every chat. With a temperature the shifted distribution is tempered."""
        from boresight.lm.decode import drive

        how = per_row(sampling or self.sampling, len(chats))
        require_plain(self.step, how)
        models = (self.base, self.tuned, self.untuned)
        rows = [[m.encode(text) for m, text in zip(models, self._prompts(chat), strict=True)] for chat in chats]
        for row in rows:
            for model, ids in zip(models, row, strict=True):
                model.require_room(ids)
        pools = [model.pool() for model in models]
        makers = [partial(self._answer, row, pools, how[i], i) for i, row in enumerate(rows)]
        return drive(makers, self.base.width, on_done, on_step)

    def describe(self) -> dict[str, Any]:
        """Base, policy, and the revisions of the three models."""
        policy = f"proxy-tuning(tuned={self.tuned.name}, untuned={self.untuned.name})"
        others = {"tuned": self.tuned.describe(), "untuned": self.untuned.describe()}
        return {**self.base.describe(), "policy": policy, **others}

    def _prompts(self, chat: Chat) -> tuple[str, str, str]:
        return plain(validate(chat)), self.tuned.render(chat), plain(chat)

    def _answer(
        self, prompts: Sequence[list[int]], pools: "Sequence[SharedPool]", how: Sampling, row: int
    ) -> "Decoder[Completion]":
        import torch

        from boresight.lm.decode import TextStream

        models = (self.base, self.tuned, self.untuned)
        stream = TextStream(self.base.decode)
        size = len(self.base.tokenizer)

        def ask(tokens: list[int]) -> "Decoder[Choice | None]":
            said = []
            for model, prompt, session in zip(models, prompts, opened, strict=True):
                if len(prompt) + len(tokens) > model.context:
                    return None
                logits = yield from logits_after(session, [*prompt, *tokens])
                said.append(logits[:size].cpu().numpy())  # models may pad their vocabularies differently
            return Choice(range(size), torch.from_numpy(proxy_logits(*said)))

        def text_of(token: int) -> str | None:
            return None if token in self.base.eos_ids | self.tuned.eos_ids else stream.push(token)

        with sessions(models, pools) as opened:
            done = yield from write(ask, text_of, self.name, how, row)
        return done
