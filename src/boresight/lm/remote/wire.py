"""The OpenAI API's JSON as our types, and back. Pure functions; a ValueError or KeyError means a malformed answer.

Two forms of token log-probabilities are read: the one of chats, which llama.cpp uses for plain completions too
({"content": [{"token", "logprob", "top_logprobs", "bytes"}]}), and the older one of completions, which vLLM uses
({"tokens", "token_logprobs", "top_logprobs", "text_offset"}).
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

from boresight.errors import ModelError
from boresight.lm.base import Completed, Completion, Sampling, Trace

KNOWN = ("llamacpp", "vllm")
"""Servers, as /models calls their owner, whose own extensions of the API are used."""

WHOLE_CONTEXT = 1 << 17
"""Tokens that llama.cpp is asked to look back for repetitions, prompt included; its own default is 64."""

FEW_STOPS = 4
"""Stop strings that the API promises to take; of a server that is not known, the others are looked for here."""


def drawing(how: Sampling, row: int, server: str | None) -> dict[str, Any]:
    """The part of a request that says how to draw an answer.

    Everything that these servers would otherwise add by themselves (llama.cpp: top_k 40, min_p 0.05) is switched off.
    Raises ModelError for a repetition penalty where the server is not known to have one.
    """
    asked: dict[str, Any] = {"max_tokens": how.max_new_tokens, "temperature": how.temperature}
    if how.temperature:
        asked |= {"top_p": how.top_p, "seed": seed_of(how.seed, how.row_at(row))}
    if how.stop:
        asked["stop"] = list(how.stop if server in KNOWN else how.stop[:FEW_STOPS])
    if server in KNOWN and how.temperature:
        asked |= {"top_k": how.top_k or -1, "min_p": 0.0}
    elif how.top_k and how.temperature:
        raise ModelError("this server is not known to take top_k; llama.cpp and vLLM do")
    if server == "llamacpp":
        asked["repeat_penalty"] = how.repetition_penalty
        if how.repetition_penalty != 1.0:
            asked["repeat_last_n"] = WHOLE_CONTEXT
    elif server == "vllm":
        asked["repetition_penalty"] = how.repetition_penalty
    elif how.repetition_penalty != 1.0:
        raise ModelError("this server is not known to take a repetition penalty; llama.cpp and vLLM do (1 means none)")
    return asked


def seed_of(seed: int, row: int) -> int:
    """The seed of row `row` of a call, in [0, 2**31)."""
    return int.from_bytes(hashlib.sha256(f"{seed},{row}".encode()).digest()[:4], "big") >> 1


def counts(answer: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """(prompt tokens, generated tokens) that the server counted, None where it did not."""
    usage = answer.get("usage") or {}
    prompt, generated = usage.get("prompt_tokens"), usage.get("completion_tokens")
    return (prompt if isinstance(prompt, int) else None), (generated if isinstance(generated, int) else None)


def completion(answer: Mapping[str, Any], how: Sampling, context: int | None) -> Completion:
    """The Completion of a chat's or a plain completion's answer.

    Stop strings that the server has left in are cut here. Where it does not tell the model's own end from a stop string
    (neither vLLM's `stop_reason` nor log-probabilities that show an end-of-sequence token), the reason is `stop`.
    """
    choice = answer["choices"][0]
    message = choice.get("message")
    text = choice["text"] if message is None else (message.get("content") or message.get("refusal") or "")
    if not isinstance(text, str):
        raise ValueError("the text of an answer is no text")
    prompt, generated = counts(answer)
    raw = choice.get("finish_reason") or ""
    reason = "stop"
    if raw == "length":
        full = context is not None and prompt is not None and generated is not None and prompt + generated >= context
        reason = "context" if full else "length"
    elif how.stop and raw == "stop" and _by_stop_string(choice, how.stop):
        reason = "stop_string"
    text, cut = before_stop(text, how.stop)
    reason = "stop_string" if cut else reason
    detail = {"reasoning": message["reasoning_content"]} if message and message.get("reasoning_content") else {}
    if how.alternatives and (first := alternatives(choice.get("logprobs"))):
        detail["first"] = first
    trace = Trace(stop_reason=raw, detail=detail)
    return Completion(text, generated or 0, reason, prompt_tokens=prompt or 0, trace=trace)


def alternatives(said: Mapping[str, Any] | None) -> dict[str, float]:
    """The likeliest first tokens, text -> log-probability; empty where the server tells none. Takes both forms."""
    if said and said.get("content"):
        told = [(str(t["token"]), t["logprob"]) for t in said["content"][0].get("top_logprobs") or ()]
    elif said and said.get("top_logprobs"):
        told = list((said["top_logprobs"][0] or {}).items())
    else:
        return {}
    if not all(isinstance(p, int | float) and not math.isnan(p) for _, p in told):
        raise ValueError("a log-probability is not a number")
    return {token: min(0.0, float(p)) for token, p in told if p != -math.inf}


def before_stop(text: str, stop: Sequence[str]) -> tuple[str, bool]:
    """(`text` up to the first of the stop strings, whether there was one)."""
    at = min((n for s in stop if (n := text.find(s)) >= 0), default=None)
    return (text, False) if at is None else (text[:at], True)


def _by_stop_string(choice: Mapping[str, Any], stop: Sequence[str]) -> bool:
    if isinstance(choice.get("stop_reason"), str):  # vLLM
        return choice["stop_reason"] in stop
    entries = (choice.get("logprobs") or {}).get("content")
    return bool(entries) and not (entries[-1]["token"] == "" and not entries[-1].get("bytes"))  # llama.cpp


def completed(answer: Mapping[str, Any]) -> Completed:
    """The token texts and top-1 log-probabilities of a plain completion.

    An end-of-sequence token is the text "". Raises ModelError if the answer has no log-probabilities.
    """
    choice = answer["choices"][0]
    text, ended = choice["text"], choice.get("finish_reason") == "stop"
    if not isinstance(text, str):
        raise ValueError("the text of an answer is no text")
    tokens, logprobs, opening = _top1(choice.get("logprobs"), text)
    if ended and tokens and "".join(tokens) != text and "".join(tokens[:-1]) == text:
        tokens[-1] = ""  # vLLM shows the end-of-sequence token's name, which is no part of the text
    if "".join(tokens) != text:
        tokens = align(text, tokens)
    if opening == (tokens[0] if tokens else None):
        opening = None
    return Completed(text, tokens, logprobs, "stop" if ended else "length", opening)


def _top1(said: Mapping[str, Any] | None, text: str) -> tuple[list[str], list[float], str | None]:
    """(token texts, top-1 log-probabilities, the text that the most likely first token shows by itself)."""
    if said and "content" in said:
        entries = said["content"] or []
        tokens = [e["token"] for e in entries]
        tops = [max((t["logprob"] for t in e.get("top_logprobs") or ()), default=e["logprob"]) for e in entries]
        first = entries[0].get("top_logprobs") if entries else None
        # llama.cpp puts the parts of a character together; the part alone is a replacement character
        opening = "\ufffd" if first and "\ufffd" in first[0]["token"] else None
    elif said and "tokens" in said:
        tokens = list(said["tokens"])
        each = zip(said["top_logprobs"] or [None] * len(tokens), said["token_logprobs"], strict=True)
        tops = [max(top.values()) if top else own for top, own in each]
        opening = "\ufffd" if tokens and _is_part(tokens[0]) else None
    elif not text:
        return [], [], None
    else:
        raise ModelError(
            "the server gives no log-probabilities of completions; llama.cpp and vLLM do (`logprobs` in /completions)"
        )
    if not all(map(math.isfinite, tops)):
        raise ValueError("a log-probability is not a finite number")
    return tokens, [min(0.0, float(t)) for t in tops], opening


def _is_part(token: str) -> bool:
    return "\ufffd" in token or token.startswith("bytes:")


def align(text: str, tokens: Sequence[str]) -> list[str]:
    """The stretch of `text` that each token stands for, where the tokens' own texts do not add up to it.

    Servers show a part of a character, or a special token, in ways of their own. A token that does not stand where it
    should gets nothing, and the characters up to the next one that fits go to the last such token.
    """
    parts, at, lost, last = [""] * len(tokens), 0, 0, -1
    for i, token in enumerate(tokens):
        # a token that is lost is at most a character
        here = -1 if not token or _is_part(token) else text.find(token, at, at + lost + len(token))
        if here < 0:
            lost, last = lost + 1, i
            continue
        if here > at:
            parts[last] = text[at:here]
        parts[i], at, lost = token, here + len(token), 0
    if parts and at < len(text):
        parts[last if lost else -1] += text[at:]
    return parts


def continuation(answer: Mapping[str, Any], prompt: str, text: str) -> list[float]:
    """Log-probabilities of the tokens of `text`, out of an answer that repeats prompt + text (`echo`).

    A token belongs to `text` if it ends after the prompt does. Raises ModelError if the answer does not repeat it.
    """
    choice = answer["choices"][0]
    said = choice.get("logprobs") or {}
    tokens, own, starts = said.get("tokens"), said.get("token_logprobs"), said.get("text_offset")
    if not tokens or not starts or not own or not str(choice.get("text", "")).startswith(prompt):
        raise ModelError(
            "the server gives no log-probabilities of a text that it is given (`echo` with `logprobs` in "
            "/completions); vLLM does, llama.cpp does not; load the model on this machine instead"
        )
    base = starts[0]
    ends = [*(s - base for s in starts[1:]), math.inf]
    inside = [
        logprob
        for start, end, logprob in zip(starts, ends, own, strict=True)
        if end > len(prompt) and start - base < len(prompt) + len(text) and logprob is not None
    ]
    if not all(isinstance(p, int | float) and math.isfinite(p) for p in inside):
        raise ValueError("a log-probability is not a finite number")
    return [float(p) for p in inside]
