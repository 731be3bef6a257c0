"""Token shift with models: two teacher-forced passes over answers that one of them wrote."""

from collections.abc import Callable, Sequence

import numpy as np

from boresight.chat import Chat, user, validate
from boresight.lm.base import LanguageModel, OnStep, Sampling
from boresight.measure.latent.token_shift.metrics import COLUMNS, compare_block, join
from boresight.measure.latent.token_shift.prompts import (
    BASE_TEMPLATES,
    Side,
    UnfitArgument,
    answer_tokens,
    base_prompts,
    room_for,
    side_of,
    write,
)
from boresight.measure.latent.token_shift.report import Answer, ShiftReport, build
from boresight.measure.latent.token_shift.vocabulary import common_vocabulary

BLOCK = 64  # positions whose logits of both models are alive at once


def score_answer(
    base: LanguageModel,
    aligned: LanguageModel,
    base_prompt_ids: Sequence[int],
    aligned_prompt_ids: Sequence[int],
    answer_ids: Sequence[int],
) -> dict[str, np.ndarray]:
    """The columns of `position_metrics` for one answer, by one teacher-forced pass of each model.

    base, aligned: local models, or policies that put a prompt before one. All arguments after them are token ids; the
    logits of 64 positions of each model are alive at once. Raises TokenizerMismatch if the models do not share a
    tokenizer, ValueError for an empty prompt, ModelError where a prompt and the answer exceed a context.
    """
    sides = side_of(base), side_of(aligned)
    common = common_vocabulary(sides[0].engine, sides[1].engine)
    prompts = [list(base_prompt_ids)], [list(aligned_prompt_ids)]
    (found,) = _score(sides, prompts, [list(answer_ids)], common, 0)
    return {name: found[name] for name in COLUMNS}


def token_shift(
    base: LanguageModel,
    aligned: LanguageModel,
    prompts: Sequence[str | Chat],
    *,
    answers: Sequence[str | Sequence[int]] | None = None,
    base_template: str = "query",
    max_new_tokens: int = 256,
    top_k: int = 10,
    batch_size: int = 8,
    on_done: Callable[[], None] | None = None,
    on_step: OnStep | None = None,
) -> ShiftReport:
    """What alignment changed, token by token: the aligned model's answers in the eyes of the base model.

    base, aligned: local models that share a tokenizer, or policies that put a prompt before one (URIAL). prompts: texts
    or chats. The aligned side reads its own prompt (chat template, policy); its answer is greedy, or what the policy
    writes. The base reads `base_template`: "query" (the frame of the published code), "raw" (the question and a line
    break), "chat" (the very ids of the aligned side) or "urial" (behind the default URIAL prompt); a policy as base
    keeps its own prompt.

    answers: one list of token ids or one text for each prompt; nothing is generated then. Texts, and those of
    policies, are cut into tokens behind their prompt. max_new_tokens: longest answer. top_k: best tokens of both sides
    that are kept for each position, at least 3. batch_size: answers scored together, one pass of each model per batch
    (more where their tokens exceed PASS_TOKENS). on_done: called once for every answer that has been scored;
    on_step: after every pass of the generation, with the rows that it served.

    An answer that does not fit a context behind its prompt is cut there and marked as truncated.
    Raises TokenizerMismatch, DataError (a ValueError too) for arguments that do not fit, ModelError for models without
    logits at every position and prompts without room.
    """
    _check(prompts, answers, base_template, max_new_tokens, top_k, batch_size)
    sides = b, a = side_of(base), side_of(aligned)
    given = answers
    common = common_vocabulary(b.engine, a.engine)
    chats = [user(p) if isinstance(p, str) else p for p in prompts]
    texts = [a.prompt_text(validate(chat, f"prompt {i}")) for i, chat in enumerate(chats, 1)]
    aligned_ids = [a.engine.encode(text) for text in texts]
    base_ids = aligned_ids if base_template == "chat" and not b.is_policy else base_prompts(b, chats, base_template)
    for side, rows in ((a, aligned_ids), (b, base_ids)):
        for i, row in enumerate(rows, 1):
            side.engine.require_room(row, f"prompt {i} of {len(rows)}")
    if answers is None and a.is_policy:
        answers = [c.text for c in aligned.generate(chats, Sampling(max_new_tokens=max_new_tokens), on_step=on_step)]
    if answers is None:
        written = write(a.engine, aligned_ids, max_new_tokens, on_step)
    else:
        rows = zip(texts, aligned_ids, answers, strict=True)
        written = [answer_tokens(a.engine, text, ids, answer, i) for i, (text, ids, answer) in enumerate(rows, 1)]
    cut = [
        ids[: room_for(sides, pair, ids)]
        for pair, ids in zip(zip(base_ids, aligned_ids, strict=True), written, strict=True)
    ]
    parts = []
    for at in range(0, len(cut), batch_size):
        now = slice(at, at + batch_size)
        parts += _score(sides, (base_ids[now], aligned_ids[now]), cut[now], common, top_k)
        if on_done:
            for _ in cut[now]:
                on_done()
    full = [a.engine.context - len(p) for p in aligned_ids]
    held = [
        Answer(chat[-1]["content"], ids, len(ids) < len(w) or (len(ids) == room and ids[-1] not in a.engine.eos_ids))
        for chat, ids, w, room in zip(chats, cut, written, full, strict=True)
    ]
    settings = {
        "base_template": "policy" if b.is_policy else base_template,
        "answers": "greedy" if answers is None else "policy" if given is None else "given",
        "max_new_tokens": max_new_tokens if given is None else None,
        "top_k": top_k,
    }
    return build(base.name, aligned.name, held, parts, a.engine, settings)


def _check(
    prompts: Sequence[str | Chat],
    answers: Sequence[str | Sequence[int]] | None,
    base_template: str,
    max_new_tokens: int,
    top_k: int,
    batch_size: int,
) -> None:
    """UnfitArgument for what `token_shift` cannot work with."""
    if base_template not in BASE_TEMPLATES:
        raise UnfitArgument(f"base_template is {base_template!r}; one of {', '.join(BASE_TEMPLATES)} is needed")
    if top_k < 3:
        raise UnfitArgument(f"top_k is {top_k}; at least 3 is needed, or shifted could not be told from marginal")
    if answers is not None and len(answers) != len(prompts):
        raise UnfitArgument(f"there are {len(answers)} answers for {len(prompts)} prompts; one each is needed")
    for name, number in (("max_new_tokens", max_new_tokens), ("batch_size", batch_size)):
        if number < 1:
            raise UnfitArgument(f"{name} is {number}; at least 1 is needed")
    if isinstance(prompts, str) or not prompts:
        raise UnfitArgument("a list of prompts is needed, at least one")


def _score(
    sides: tuple[Side, Side],
    prompts: tuple[Sequence[list[int]], Sequence[list[int]]],
    answers: Sequence[list[int]],
    common: int,
    top_k: int,
) -> list[dict[str, np.ndarray]]:
    """Columns of every answer. sides and prompts: base first."""
    from boresight.lm.scoring import answer_logits

    of_base, of_aligned = (
        answer_logits(side.engine, [(p + a, len(p)) for p, a in zip(mine, answers, strict=True)], block=BLOCK)
        for side, mine in zip(sides, prompts, strict=True)
    )
    parts: list[list[dict[str, np.ndarray]]] = [[] for _ in answers]
    for row, first, logits in of_base:
        _, _, other = next(of_aligned)  # same answers, same blocks
        ids = answers[row][first : first + len(logits)]
        parts[row].append(compare_block(logits, other, ids, common, top_k))
        del logits, other  # before the next ones are computed
    return [join(part) for part in parts]
