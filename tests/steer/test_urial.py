import warnings
from dataclasses import replace

import numpy as np
import pytest

from boresight.data import load_set
from boresight.errors import DataError, ModelError
from boresight.lm.base import LanguageModel, Sampling
from boresight.steer.urial import (
    METHOD,
    STOPS,
    Urial,
    UrialPrompt,
    clean,
    clean_reference,
    cut_at_stop,
    render_prompt,
)
from boresight.steer.urial import policy as urial_policy
from boresight.steer.urial.frame import answer_stopper

SMALL = UrialPrompt("small", "Answers stand under {answer}.\n", (("Is it?", "Yes, it is."), ("Why?", "Because.")))
QUERIES = ["Tom has 3 apples.", "Why?", "What do plants need to grow?\nAnd how much?", "Hi", "a b c d e f g h", "x"]


@pytest.fixture(params=["tiny_llama", "tiny_gemma3"])
def tiny(request):
    return request.getfixturevalue(request.param)


def urial(model, prompt=SMALL, **settings) -> Urial:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Urial(model, prompt=prompt, **{"max_new_tokens": 24, **settings})


def uncached(policy: Urial, turns, sampling=None):
    """The answer by the plain decoder with no prefix cache: what Urial must reproduce."""
    from boresight.lm.decode import drive, write
    from boresight.lm.session import common_prefix

    ids = policy.base.encode(policy.prompt.render(turns, policy.template))
    n = common_prefix(policy.base.encode(policy.prompt.prefix(policy.template)), ids)
    how = sampling or policy.sampling
    fenced = policy.template == "backticks" and not policy.reference_postprocess

    def start():
        seen = ids if policy.penalize_prefix else ids[n:]
        return write(policy.base.session(), ids, how, stopper=answer_stopper(how.stop, fenced), seen=seen)

    return drive([start], 1)[0]


@pytest.mark.parametrize(
    "settings",
    [{}, {"penalize_prefix": True}, {"template": "v6"}, {"prompt": "zero-shot"}, {"reference_postprocess": True}],
)
def test_cached_equals_uncached(tiny, settings):
    policy = urial(tiny, **settings)
    for query, reply in zip(QUERIES, policy.batch(QUERIES), strict=True):
        expected = uncached(policy, query)
        if policy.reference_postprocess:
            assert reply.text == clean_reference(expected.text)
        else:
            assert reply.text == (clean(expected.text) if policy.template == "backticks" else expected.text.strip())


def test_the_penalty_of_the_prefix_changes_answers(tiny_gemma3):
    free = urial(tiny_gemma3, repetition_penalty=3.0).batch(QUERIES)
    counted = urial(tiny_gemma3, repetition_penalty=3.0, penalize_prefix=True).batch(QUERIES)
    assert [r.text for r in free] != [r.text for r in counted]


def test_a_batch_equals_singles(tiny):
    queries = [*QUERIES, ["Hi", "Hello!", "And now?"], "plants need light " * 9]
    policy = urial(tiny, temperature=0.7)
    told = {}
    done = policy.generate(
        [_chat(q) for q in queries], on_done=lambda i, c: told.update({i: c}), on_step=lambda rows: None
    )
    assert told == dict(enumerate(done))
    greedy = urial(tiny)
    for query, reply in zip(queries, greedy.batch(queries), strict=True):
        assert greedy.reply(query).text == reply.text
    assert policy.generate([_chat(queries[0])])[0].text == done[0].text


def _chat(turns):
    turns = [turns] if isinstance(turns, str) else turns
    return [{"role": ("user", "assistant")[i % 2], "content": t} for i, t in enumerate(turns)]


def test_the_prefix_is_forwarded_once(tiny):
    policy = urial(tiny)
    n_prefix = len(tiny.encode(SMALL.prefix()))
    first, *others = policy.generate([_chat(q) for q in QUERIES[:3]])
    again = policy.generate([_chat("Why not?")])[0]
    assert sum(not c.trace.detail["cache_hit"] for c in (first, *others, again)) == 1
    for completion, query in zip((first, *others, again), [*QUERIES[:3], "Why not?"], strict=True):
        detail = completion.trace.detail
        assert detail["n_prefix_cached"] >= n_prefix - 2
        cost = tiny.count_tokens(render_prompt("", query)) + completion.tokens + 4
        assert detail["tokens_forwarded"] <= cost + (0 if detail["cache_hit"] else n_prefix)
        assert completion.prompt_tokens == len(tiny.encode(SMALL.render(query)))


def test_a_row_that_shares_less_uses_a_shorter_prefix(tiny):
    policy, whole = urial(tiny), urial(tiny)
    policy._shared_ids = [*policy._shared_ids[:-3], 7, 8, 9]  # as if the joint had merged otherwise
    for a, b in zip(policy.batch(QUERIES), whole.batch(QUERIES), strict=True):
        assert a.text == b.text
        assert a.n_prefix_cached == b.n_prefix_cached - 3


def test_a_completion_tells_where_it_comes_from(tiny_gemma3):
    policy = urial(tiny_gemma3)
    assert isinstance(policy, LanguageModel)
    done = policy.generate([[{"role": "system", "content": "Be brief."}, *_chat("Hi")]])[0]
    assert done == replace(policy.generate([_chat("Be brief.\n\nHi")])[0], trace=done.trace)
    (span,) = done.trace.spans
    assert (span.source, span.role, span.text) == ("tiny-gemma3", "base", done.text)
    assert 0 < span.prob <= 1
    assert done.trace.detail["prefix"] == SMALL.hash()
    assert done.trace.detail["prompt"] == "small"
    about = policy.describe()
    assert (about["model"], about["revision"]) == ("tiny-gemma3", "random")
    assert f"prompt=small, prefix={SMALL.hash()}" in about["policy"]
    assert policy.name == "tiny-gemma3+urial"


def test_sampling_takes_the_place_of_the_settings(tiny_gemma3):
    policy = urial(tiny_gemma3, repetition_penalty=1.3)
    how = [Sampling(3), Sampling(9, stop=("e",)), Sampling(12, temperature=2.0, seed=4)]
    done = policy.generate([_chat(q) for q in QUERIES[:3]], how)
    assert [c.tokens for c in done] <= [3, 9, 12]
    assert "e" not in done[1].text
    kept = uncached(policy, QUERIES[0], Sampling(3, repetition_penalty=1.3, stop=STOPS))
    assert done[0].text == clean(kept.text)
    again = policy.generate([_chat(q) for q in QUERIES[:3]], [*how[:2], replace(how[2], seed=5)])
    assert again[2].text != done[2].text
    own = policy.generate([_chat(QUERIES[0])], Sampling(24, repetition_penalty=9.0))[0]
    assert own.text == urial(tiny_gemma3, repetition_penalty=9.0).reply(QUERIES[0]).text


class Scripted:
    """A pick rule that writes a given text, whatever the model says."""

    def __init__(self, model, text: str, end: bool) -> None:
        self.ids = model.tokenizer(text, add_special_tokens=False)["input_ids"] + [model.tokenizer.eos_token_id] * end

    def __call__(self, sampling, row, seen):
        ids = iter(self.ids)
        return lambda step, at: next(ids)


@pytest.mark.parametrize(
    ("text", "end", "answer", "stop_reason", "finish_reason"),
    [
        ("Yes.\n```\n\n# Query:\n", False, "Yes.", "frame_end", "stop"),
        ("Yes.\n```", True, "Yes.", "frame_end", "stop"),
        ("Yes.", True, "Yes.", "eos", "stop"),
        ("Yes. # Query:", False, "Yes.", "stop_string", "stop_string"),
        ("See:\n```py\nx\n```\nDone.\n```\nX", False, "See:\n```py\nx\n```\nDone.", "frame_end", "stop"),
        ("a b c d e f g h i j k l m n o p q r s t u v w x y z", False, None, "length", "length"),
    ],
)
def test_how_answers_end(tiny_llama, monkeypatch, text, end, answer, stop_reason, finish_reason):
    monkeypatch.setattr("boresight.lm.decode.picker", Scripted(tiny_llama, text, end))
    policy = urial(tiny_llama, max_new_tokens=60 if answer else 10)
    done = policy.generate([_chat("Hi")])[0]
    assert (done.trace.stop_reason, done.finish_reason) == (stop_reason, finish_reason)
    assert done.text == (answer if answer else text[: len(done.text)])
    assert policy.reply("Hi").stop_reason == stop_reason
    assert done.tokens <= len(Scripted(tiny_llama, text, end).ids)


def test_reference_postprocessing_goes_on_past_the_frame(tiny_llama, monkeypatch):
    text = "See:\n```py\nx\n```\nDone.\n```\n\n# Query:\n"
    monkeypatch.setattr("boresight.lm.decode.picker", Scripted(tiny_llama, text, False))
    reply = urial(tiny_llama, max_new_tokens=60, reference_postprocess=True).reply("Hi")
    assert (reply.text, reply.stop_reason) == (clean_reference(cut_at_stop(text)), "stop_string")


def test_templates_without_a_fence_do_not_end_at_one(tiny_llama, monkeypatch):
    monkeypatch.setattr("boresight.lm.decode.picker", Scripted(tiny_llama, "a\n```\nb # User:", False))
    reply = urial(tiny_llama, max_new_tokens=60, template="v5").reply("Hi")
    assert (reply.text, reply.stop_reason) == ("a\n```\nb", "stop_string")


def test_a_full_context_ends_the_answer(tiny_gemma3):
    policy = urial(tiny_gemma3, max_new_tokens=500)
    reply = policy.reply(" ".join(str(i) for i in range(120)))
    assert reply.stop_reason in ("context", "frame_end", "eos", "stop_string")


def test_the_oldest_turns_are_dropped_never_the_prefix(tiny_gemma3, monkeypatch, caplog):
    caplog.set_level("WARNING", logger=urial_policy.log.name)
    heard = []  # a handler of its own: other libraries' logging set-up must not decide whether it hears
    monkeypatch.setattr(urial_policy.log, "handle", heard.append)
    monkeypatch.setattr(urial_policy.log, "disabled", False)
    policy = urial(tiny_gemma3, max_new_tokens=8)
    turns = [t for i in range(9) for t in (f"Question {i}?" * 4, f"Answer {i}." * 4)] + ["And the last?"]
    done = policy.generate([_chat(turns)])[0]
    dropped = done.trace.detail["dropped_turns"]
    assert dropped in range(2, len(turns), 2)
    assert [r.getMessage() for r in heard if "dropped" in r.getMessage()]
    assert done.prompt_tokens + 8 <= tiny_gemma3.context
    assert done.text == policy.generate([_chat(turns[dropped:])])[0].text
    longer = tiny_gemma3.encode(SMALL.render(turns[dropped - 2 :]))
    assert len(longer) + 8 > tiny_gemma3.context
    system = {"role": "system", "content": "Be brief."}
    kept = policy.generate([[system, *_chat(turns)]])[0]
    assert kept.text == policy.generate([[system, *_chat(turns[kept.trace.detail["dropped_turns"] :])]])[0].text
    assert kept.prompt_tokens != done.prompt_tokens


def test_a_query_that_does_not_fit_is_an_error(tiny_gemma3):
    policy = urial(tiny_gemma3)
    with pytest.raises(ModelError, match="tiny-gemma3 reads at most 512"):
        policy.generate([_chat("Hi"), _chat("word " * 600)])


def test_a_short_context_gets_fewer_examples_and_says_so(tiny_gemma3):
    medium = UrialPrompt("medium", "Be kind.", (("q", "a"), ("r", "plants need light " * 200)))
    with pytest.warns(UserWarning, match="shown 1 of its examples"):
        assert Urial(tiny_gemma3, prompt=medium).prompt.examples == (("q", "a"),)
    with pytest.warns(UserWarning, match="shown 0 of its examples"):
        policy = Urial(tiny_gemma3, prompt=medium.show([1]))
    assert policy.prompt.prefix() == "Be kind.\n"
    assert "k=0" in policy.describe()["policy"]
    with pytest.raises(ModelError, match="needs at least"):
        Urial(tiny_gemma3, prompt=replace(medium, system="word " * 600))
    with pytest.raises(ModelError, match="needs at least"):
        Urial(tiny_gemma3, prompt=UrialPrompt("text", text="word " * 600))


def test_the_default_prompt_on_a_short_context(tiny_gemma3):
    with pytest.warns(UserWarning, match="too few for the prompt boresight-3shot-v1"):
        assert Urial(tiny_gemma3, max_new_tokens=4).reply("Hi").text is not None


def test_an_instruct_model_gives_a_warning(tiny_llama):
    with pytest.warns(UserWarning, match="URIAL is for base models"):
        Urial(tiny_llama, prompt=SMALL)


def test_a_base_model_gives_none(tiny_gemma3):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Urial(tiny_gemma3, prompt=SMALL)


class Remote:
    name = "remote"


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"prompt": "nowhere"}, DataError, "nowhere"),
        ({"template": "v9"}, ValueError, "template"),
        ({"max_new_tokens": 0}, ValueError, "max_new_tokens"),
        ({"temperature": -1.0}, ValueError, "temperature"),
        ({"repetition_penalty": 0.0}, ValueError, "repetition_penalty"),
    ],
)
def test_settings_out_of_range(tiny_gemma3, settings, error, message):
    with pytest.raises(error, match=message):
        Urial(tiny_gemma3, **{"prompt": SMALL, **settings})


def test_a_model_without_sessions():
    with pytest.raises(ModelError, match=r"urial cannot stand on remote: .* and remote answers chats only"):
        Urial(Remote())  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", " \n"])
def test_an_empty_query_is_both_kinds_of_error(tiny_gemma3, text):
    policy = urial(tiny_gemma3)
    for error in (ValueError, DataError):
        with pytest.raises(error, match="empty query"):
            policy.reply(text)
        with pytest.raises(error, match="empty query"):
            policy.generate([_chat(text)])


def test_chats_that_are_none(tiny_gemma3):
    for chat in ([], "hi", [{"role": "assistant", "content": "a"}], _chat(["q", "a"])):
        with pytest.raises(DataError):
            urial(tiny_gemma3).generate([chat])
    assert urial(tiny_gemma3).generate([]) == []


def test_retrieval_shows_the_most_similar_examples(tiny_gemma3):
    pool = UrialPrompt("pool", "Be kind.", (("apples", "A"), ("plants", "B"), ("dogs", "C")), retrieve=2)
    policy = urial(tiny_gemma3, pool)
    seen = []

    def embed(texts):
        seen.append(list(texts))
        words = ("apples", "plants", "dogs")
        return np.array([[float(w in t) + 0.1 * i for i, w in enumerate(words)] for t in texts])

    policy.embed = embed
    done = policy.generate([_chat("plants?"), _chat("apples?"), _chat(["x", "y", "dogs?"])])
    assert seen == [["apples", "plants", "dogs"], ["plants?", "apples?", "dogs?"]]
    shown = [pool.show(i) for i in ([2, 1], [2, 0], [1, 2])]
    for completion, prompt, turns in zip(done, shown, ["plants?", "apples?", ["x", "y", "dogs?"]], strict=True):
        assert completion.text == urial(tiny_gemma3, prompt).reply(turns).text
        assert completion.trace.detail["n_prefix_cached"] >= len(tiny_gemma3.encode(pool.prefix())) - 2
    policy.generate([_chat("dogs")])
    assert len(seen) == 3


def test_the_card():
    assert METHOD.slug == "urial"
    assert METHOD.claims
    assert "--steer urial" in METHOD.example


@pytest.mark.model
def test_the_default_prompt_has_about_a_thousand_tokens(gemma):
    for name in ("urial", "urial-help"):
        assert 850 <= UrialPrompt.load(name).num_tokens(gemma) <= 1100


@pytest.mark.model
def test_gemma_cached_equals_uncached(gemma):
    policy = Urial(gemma, max_new_tokens=10, repetition_penalty=1.0)
    queries = [row["prompt"] for row in load_set("open")[:10]]
    for query, reply in zip(queries, policy.batch(queries), strict=True):
        expected = uncached(policy, query)
        assert reply.text == clean(expected.text) or _first_margin(policy, query, reply.text, expected.text) < 1e-3


def _first_margin(policy, query, a, b) -> float:
    """Nats between the two best tokens where two answers part (greedy ties may break either way)."""
    same = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    ids = policy.base.encode(policy.prompt.render(query) + a[:same])
    with policy.base.session() as session:
        best = session.append(ids).float().log_softmax(-1).topk(2).values
    return float(best[0] - best[1])


@pytest.mark.model
def test_gemma_forwards_only_the_request(gemma):
    policy = Urial(gemma, max_new_tokens=8)
    policy.reply("Hello")
    query = "What is the difference between weather and climate?"
    done = policy.generate([_chat(query)])[0]
    assert done.trace.detail["n_prefix_cached"] >= policy.prompt.num_tokens(gemma) - 2
    cost = gemma.count_tokens(render_prompt("", query)) + done.tokens + 4
    assert done.trace.detail["tokens_forwarded"] <= cost


@pytest.mark.model
def test_gemma_ends_in_its_frame(gemma):
    replies = Urial(gemma, max_new_tokens=60).batch(["What is the capital of France?", "Say hello."])
    assert any(reply.stop_reason == "frame_end" for reply in replies)
    assert not any("```" in reply.text or "# Query" in reply.text for reply in replies)


@pytest.mark.model
def test_gemma_with_retrieved_examples(gemma):
    from boresight.lm.zoo import pull

    pull("minilm-l6", source="index")
    policy = Urial(gemma, prompt="retrieval-icl", max_new_tokens=4)
    (shown,) = policy._prompts(["How can I get rid of the mould on my bathroom wall?"])
    assert len(shown.examples) == 3
    assert "mould" in shown.examples[-1][0]
    assert policy.reply("What should I eat?").n_prefix_cached >= policy.prompt.num_tokens(gemma) - 2
