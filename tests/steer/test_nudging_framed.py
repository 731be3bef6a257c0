"""Nudging over URIAL: the base reads URIAL's prompt, and the end of its frame is its end of the answer."""

import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boresight.errors import ModelError
from boresight.lm.base import Completed, LanguageModel, Sampling
from boresight.steer.nudging import Nudging
from boresight.steer.nudging.writers import LOOK, Framed, Given
from boresight.steer.urial import Urial, UrialPrompt, clean
from boresight.steer.urial import policy as urial_policy
from boresight.steer.urial.frame import AnswerEnd
from random_pairs import random_pair

SMALL = UrialPrompt("small", "Answers stand under {answer}.\n", (("Is it?", "Yes, it is."), ("Why?", "Because.")))
CHAT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is an apple?"}]
PIECES = st.lists(st.sampled_from(["```", "`", "``", "\n", " ", "python", "# Query", "#", " Qu", "ery", "x", ":"]))


def urial(model, prompt=SMALL, **settings) -> Urial:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Urial(model, prompt=prompt, **settings)


# -- where an answer ends ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "text", "answer", "ends"),
    [
        ("", "It is.\n```\n\n# Query:", "It is.\n", True),
        ("", "It is.\n```", "It is.\n", False),  # may become ```python
        ("", "See:\n```python\nx\n```\nDone.\n```\n", "See:\n```python\nx\n```\nDone.\n", True),
        ("It is.", "\n```\n", "\n", True),
        ("See:\n```python\nx = 1", "\n```\nDone.", "\n```\nDone.", False),  # closes the block that was written
        ("See:\n```\nx = 1", "\n```\nDone.", "\n```\nDone.", False),  # so does this: what is written is the answer's
        ("See:\n``", "`\n", "", True),
        ("", "a ```\n", "a ```\n", False),
        ("", "One. # Query: two", "One. ", True),
        ("", "One. #", "One. ", False),
        ("", "One. # Que", "One. ", False),
        ("", "One. # Quick", "One. # Quick", False),
        ("One. #", " Query:", "", True),
        ("Look: # Query", " is fine", " is fine", False),
        ("", "``` # Query:", "", True),
        ("", "a\n  ```\nb", "a\n  ", True),
    ],
)
def test_the_end_of_an_answer(written, text, answer, ends):
    n, ended = AnswerEnd(written).safe(text)
    assert (text[:n], ended) == (answer, ends)


def test_without_a_frame_only_stop_strings_end_it():
    assert AnswerEnd("", fenced=False).safe("a\n```\nb") == (7, False)
    assert AnswerEnd("", ("END",), False).safe("a\n```\nEND") == (6, True)
    assert AnswerEnd("").safe("Bye.\n```", final=True) == (5, True)
    assert AnswerEnd("").safe("One. #", final=True) == (6, False)


@given(PIECES, PIECES)
def test_what_was_safe_stays_so_and_the_whole_is_urial_s_answer(before, pieces):
    written, text, safe, over = "".join(before), "", 0, False
    for piece in pieces:
        text += piece
        n, ended = AnswerEnd(written).safe(text)
        assert n >= safe
        assert not over or (n, ended) == (safe, True)
        safe, over = n, ended
    n, ended = AnswerEnd(written).safe(text, final=True)
    assert n >= safe
    assert not over or n == safe
    n, ended = AnswerEnd("", ()).safe(text, final=True)
    assert text[:n].strip() == clean(text)
    assert ended == (n < len(text))


@given(PIECES, st.integers(1, 9))
def test_tokens_do_not_depend_on_how_far_the_chunk_is_generated(pieces, limit):
    tokens = [p for p in [*pieces, *"wxyz" * 4] if p][: limit + LOOK]
    logprobs = [-0.01 * i for i in range(len(tokens))]
    at_once = Framed(Given(Completed("".join(tokens), tokens, logprobs, "length")), AnswerEnd(""), limit)
    assert list(at_once.fill()) == []
    growing = Framed(_Growing(tokens, logprobs), AnswerEnd(""), limit)  # type: ignore[arg-type]
    seen: list[str] = []
    while True:
        more = growing.more()
        with pytest.raises(StopIteration) as stop:
            next(more)
        assert growing.tokens[: len(seen)] == seen
        if not stop.value.value:
            break
        seen = list(growing.tokens)
    for name in ("tokens", "logprobs", "ended", "opening", "text"):
        assert getattr(growing, name) == getattr(at_once, name)
    assert len(at_once.tokens) <= limit
    assert "".join(tokens).startswith(at_once.text)
    assert "# Query" not in at_once.text


class _Growing:
    """A continuation that grows by a token when asked."""

    def __init__(self, tokens, logprobs):
        self._tokens, self._logprobs = tokens, logprobs
        self.tokens, self.logprobs, self.ended = [], [], False

    @property
    def finished(self):
        return len(self.tokens) == len(self._tokens)

    @property
    def opening(self):
        return self._tokens[0]

    @property
    def text(self):
        return "".join(self.tokens)

    def more(self):
        if self.finished:
            return False
        n = len(self.tokens) + 1
        self.tokens, self.logprobs = self._tokens[:n], self._logprobs[:n]
        return True
        yield


# -- the stack ---------------------------------------------------------------------------------------------------------


def told(result):
    segments = [(s.source, s.text) for s in result.segments]
    return result.text, result.raw_text, result.stop_reason, result.rounds, segments


@pytest.mark.parametrize("seed", range(24))
def test_the_modes_agree_over_urial(seed, monkeypatch):
    stops = ((" an", "# Query"), ("e t",), ("o", " w"), ("s a", "er"))[seed % 4]
    monkeypatch.setattr(urial_policy, "STOPS", stops)  # short ones, so that random models write them
    base, nudger = random_pair(seed)
    template = ("backticks", "v6")[seed // 4 % 2]
    numbers = {"gamma": (0.1, 0.3, 0.5)[seed % 3], "max_new_tokens": 24, "base_chunk": (16, 5)[seed % 2]}
    policies = [
        Nudging(urial(base, template=template), nudger, mode=mode, **numbers)
        for mode in ("reference", "cached", "speculative")
    ]
    prompts = policies[0].prompts(CHAT)
    reference, cached, speculative = (policy.run(*prompts) for policy in policies)
    assert told(cached) == told(reference)
    assert told(speculative) == told(reference)
    for segment in reference.segments:
        assert segment.source == "nudge" or not any(s in segment.text for s in stops)
    batch = policies[1].run_batch([prompts, policies[1].prompts(CHAT[1:]), prompts])
    assert [told(r) for r in (batch[0], batch[2])] == [told(cached)] * 2
    assert told(batch[1]) == told(policies[0].run(*policies[0].prompts(CHAT[1:])))


def test_some_answers_do_meet_the_end_of_the_frame(monkeypatch):
    monkeypatch.setattr(urial_policy, "STOPS", ("o", " w"))
    met = 0
    for seed in range(8):
        base, nudger = random_pair(seed)
        with_end = Nudging(urial(base), nudger, max_new_tokens=24)
        prompts = with_end.prompts(CHAT)
        monkeypatch.setattr(urial_policy, "STOPS", ("\x00",))
        without = Nudging(urial(base), nudger, max_new_tokens=24).run(*prompts)
        monkeypatch.setattr(urial_policy, "STOPS", ("o", " w"))
        met += told(with_end.run(*prompts)) != told(without)
    assert met >= 3


def test_the_prompt_is_urial_s_and_its_prefix_is_shared():
    base, nudger = random_pair(2)
    below = urial(base)
    nudging = Nudging(below, nudger, max_new_tokens=12, question_prefix="Q: ", answer_start="Well,")
    text = nudging.prompt_text(CHAT)
    asked = [CHAT[0], {"role": "user", "content": "Q: What is an apple?"}]
    assert text == below.prompt_text(asked) + "Well,"
    assert text == SMALL.render(["Be brief.\n\nQ: What is an apple?"]) + "Well,"
    pool, _ = nudging._pools([nudging.prompts(CHAT)])
    assert pool.prefix is not None
    assert len(pool.prefix) >= len(base.encode(SMALL.prefix())) - 2
    (answer,) = nudging.generate([CHAT], Sampling(max_new_tokens=12))
    assert isinstance(nudging, LanguageModel)
    assert nudging.name == f"{base.name}+urial+nudging"
    assert nudging.describe()["policy"].startswith("urial(prompt=small, ")
    assert " + nudging(nudger=" in nudging.describe()["policy"]
    assert {s.source for s in answer.trace.spans} <= {base.name, nudger.name}


def test_a_code_block_in_answer_start_is_open():
    base, nudger = random_pair(2)
    nudging = Nudging(urial(base), nudger, answer_start="```python\n")
    end = nudging._end(nudging.prompts(CHAT)[0])
    assert end is not None
    assert end(nudging.prompts(CHAT)[0] + "x = 1").safe("\n```\nIt is.\n```\n") == (len("\n```\nIt is.\n"), True)


def test_old_turns_make_room():
    base, nudger = random_pair(3, context=400)
    chat = [{"role": ("user", "assistant")[i % 2], "content": f"turn {i} " + "apples " * 30} for i in range(9)]
    below = urial(base)
    text = below.prompt_text(chat)
    assert "turn 0" not in text
    assert "turn 8" in text
    assert Nudging(below, nudger).prompt_text(chat) == text


def test_what_cannot_stand_is_refused():
    base, nudger = random_pair(0)
    with pytest.raises(ModelError, match="urial cannot stand on nudging"):
        urial(Nudging(base, nudger))  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="urial cannot stand on urial"):
        urial(urial(base))  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=r"as its nudger, and .*\+urial is a policy"):
        Nudging(base, urial(nudger))


@pytest.mark.model
def test_the_real_pair_over_urial(gemma, smollm):
    below = urial(gemma, "zero-shot")
    chat = [{"role": "user", "content": "Name three fruits."}]
    reference, cached, speculative = (
        Nudging(below, smollm, mode=mode, max_new_tokens=16) for mode in ("reference", "cached", "speculative")
    )
    prompts = cached.prompts(chat)
    assert told(cached.run(*prompts)) == told(speculative.run(*prompts)) == told(reference.run(*prompts))
    behind = Nudging(urial(gemma, "urial-1shot"), smollm)
    (answer,) = behind.generate([chat], Sampling(max_new_tokens=64))
    for span in answer.trace.spans:
        assert span.role == "nudge" or ("# Query" not in span.text and "# User" not in span.text)
