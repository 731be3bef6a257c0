"""The scheduler, text from tokens, stop strings and picking, without a model where none is needed."""

import random

import pytest
import torch
from architectures import forward, pair
from hypothesis import given, settings
from hypothesis import strategies as st

from boresight.lm.base import Sampling
from boresight.lm.decode import Ask, Step, TextStream, draw, drive, picker, stop_at, write
from boresight.lm.session import SharedPool

# -- drive -----------------------------------------------------------------------------------------------------------


class Counter:
    """Stands for a model in `drive`: counts its passes and answers with the sum of the ids."""

    def __init__(self):
        self.passes = []

    def extend(self, asks):
        self.passes.append(len(asks))
        return [Step([sum(a.ids)], [0.0], torch.zeros(1, 1)) for a in asks]


class Seat:
    def __init__(self, model, pool):
        self.model, self.pool = model, pool


def counting(seat, n, log=None, name=None):
    def decoder():
        total = 0
        try:
            for k in range(n):
                (step,) = yield [Ask(seat, [k + 1], (0,))]
                total += step.top_ids[0]
            return total
        finally:
            if log is not None:
                log.append(name)

    return decoder


def test_rows_join_as_others_leave_and_results_keep_their_order():
    model = Counter()
    seat = Seat(model, "p")
    lengths = [5, 1, 3, 2, 1]
    done, steps = [], []
    results = drive(
        [counting(seat, n) for n in lengths], 2, on_done=lambda i, r: done.append((i, r)), on_step=steps.append
    )
    assert results == [n * (n + 1) // 2 for n in lengths]
    assert sorted(done) == list(enumerate(results))
    assert done[0] == (1, 1)
    assert steps == model.passes
    assert max(model.passes) == 2
    assert sum(model.passes) == sum(lengths)
    assert model.passes == [2] * 6


def test_each_pass_serves_the_pool_that_most_wait_for():
    one, two = Counter(), Counter()
    drive([counting(Seat(one, "a"), 1), *(counting(Seat(two, "b"), 1) for _ in range(3))], 8)
    assert (one.passes, two.passes) == ([1], [3])


def test_nothing_to_do_is_done_at_once():
    assert drive([], 4) == []
    assert drive([counting(None, 0)], 4) == [0]


@pytest.mark.parametrize("where", ["on_step", "on_done", "decoder", "model"])
def test_whatever_raises_closes_every_decoder(where):
    model, log = Counter(), []
    seat = Seat(model, "p")

    def fail(*_):
        raise KeyboardInterrupt

    def broken():
        yield [Ask(seat, [1], (0,))]
        fail()

    if where == "model":
        model.extend = fail
    decoders = [counting(seat, 1 if where == "on_done" else 9, log, i) for i in range(3)]
    decoders += [broken] if where == "decoder" else []
    with pytest.raises(KeyboardInterrupt):
        drive(decoders, 4, **({where: fail} if where.startswith("on_") else {}))
    assert sorted(log) == [0, 1, 2]


# -- text from tokens ------------------------------------------------------------------------------------------------

ALPHABET = "aé東🙂👩\u200d🔬 \n"


def byte_decoder(ids):
    """Each id is a byte, as in byte-level tokenizers: bytes that are no character come out one by one."""
    return bytes(ids).decode("utf-8", "replace")


def grouped_decoder(ids):
    """Byte fallback: a run of bytes that is not valid as a whole is all replacement characters; 256 is a word."""
    out, run = [], []

    def flush():
        try:
            out.append(bytes(run).decode("utf-8"))
        except UnicodeDecodeError:
            out.append("\ufffd" * len(run))
        run.clear()

    for i in ids:
        if i == 256:
            flush()
            out.append("word")
        else:
            run.append(i)
    flush()
    return "".join(out)


@given(st.text(alphabet=ALPHABET, max_size=20), st.sampled_from([byte_decoder, grouped_decoder]), st.integers(0, 30))
def test_characters_belong_to_the_byte_that_completes_them(text, decode, behind):
    context = list(ALPHABET.encode())[:behind] if decode is byte_decoder else list("東🙂🙂".encode())
    stream = TextStream(decode, context)
    for at, byte in enumerate(text.encode(), 1):
        piece = stream.push(byte)
        complete = text.encode()[:at].decode("utf-8", "ignore")
        assert stream.text == complete
        assert stream.pending == (complete.encode() != text.encode()[:at])
        assert piece == "" or not stream.pending
    assert stream.text == "".join(stream.pieces) == text


def test_a_token_may_end_one_character_and_begin_the_next():
    pieces = {0: b"a\xe6", 1: b"\x9d\xb1\xe4", 2: b"\xba\xac", 3: b"\xff"}
    stream = TextStream(lambda ids: b"".join(pieces[i] for i in ids).decode("utf-8", "replace"))
    assert [stream.push(i) for i in (0, 1, 2)] == ["a", "東", "京"]
    assert not stream.pending


def test_bytes_of_no_character_come_out_as_replacements_after_a_while():
    stream = TextStream(byte_decoder)
    assert [stream.push(0xFF) for _ in range(3)] == ["", "", ""]
    assert stream.pending
    assert stream.push(0xFF) == "\ufffd" * 4
    assert not stream.pending
    assert stream.push(97) == "a"


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6))
def test_pieces_of_random_tokens_are_the_decoded_whole(seed):
    model, _ = pair("llama")
    rng = random.Random(seed)
    clean = [i for i in range(len(model.tokenizer)) if "\ufffd" not in model.decode([i])]
    ids = [rng.choice(clean) for _ in range(30)]
    stream = TextStream(model.decode)
    assert "".join(stream.push(i) for i in ids) == model.decode(ids)


# -- stop strings ----------------------------------------------------------------------------------------------------


@given(
    st.text(alphabet="ab\n", max_size=30),
    st.lists(st.text(alphabet="ab\n", min_size=1, max_size=4), min_size=1, max_size=3),
)
def test_stop_strings_are_found_across_any_borders(text, stops):
    rng = random.Random(text)
    find, at = stop_at(stops), 0
    while at < len(text):
        step = rng.randint(1, 3)
        so_far, at, begin = text[: at + step], at + step, at
        hit = find(so_far, begin)
        first = min((so_far.find(s) for s in stops if s in so_far), default=None)
        assert (hit[0] if hit else None) == first
        if hit:
            assert hit[1] == "stop_string"
            return


# -- picking ---------------------------------------------------------------------------------------------------------


def step_of(logits):
    logits = torch.as_tensor(logits, dtype=torch.float32)[None]
    top = logits.log_softmax(-1).max(-1)
    return Step(top.indices.tolist(), top.values.tolist(), logits)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.7, 1.1, 1.15, 2.0]))
def test_the_repetition_penalty_is_that_of_transformers(seed, penalty):
    from transformers import RepetitionPenaltyLogitsProcessor

    generator = torch.Generator().manual_seed(seed)
    seen = torch.randint(0, 30, (10,), generator=generator).tolist()
    pick = picker(Sampling(repetition_penalty=penalty), 0, seen)
    processor = RepetitionPenaltyLogitsProcessor(penalty)
    for _ in range(8):
        logits = torch.randn(30, generator=generator) * 3
        want = int(processor(torch.tensor([seen]), logits[None].clone())[0].argmax())
        assert pick(step_of(logits), 0) == want
        seen.append(want)


def test_without_temperature_and_penalty_the_top_one_is_taken():
    assert picker(Sampling(), 0, ())(step_of([0.0, 2.0, 2.0, 1.0]), 0) == 1


def test_draws_follow_the_tempered_distribution_inside_the_nucleus():
    logits = torch.tensor([3.0, 2.0, 1.0, 0.0, -4.0])
    generator = torch.Generator().manual_seed(0)
    counts = torch.zeros(5)
    for _ in range(4000):
        counts[draw(logits, 2.0, 1.0, generator)] += 1
    torch.testing.assert_close(counts / 4000, (logits / 2).softmax(-1), rtol=0, atol=0.03)
    probs = logits.softmax(-1)
    inside = {draw(logits, 1.0, float(probs[0] + probs[1] / 2), generator) for _ in range(300)}
    assert inside == {0, 1}
    assert {draw(logits, 1.0, 1e-9, generator) for _ in range(50)} == {0}
    assert draw(logits, 1e-40, 1.0, generator) == 0


def test_rows_and_seeds_draw_apart_and_again_alike():
    logits = [0.0] * 50

    def drawn(seed, row):
        pick = picker(Sampling(temperature=1.0, seed=seed), row, ())
        return [pick(step_of(logits), 0) for _ in range(10)]

    assert drawn(1, 0) == drawn(1, 0)
    assert len({tuple(drawn(s, r)) for s in range(3) for r in range(3)}) == 9


# -- write -----------------------------------------------------------------------------------------------------------


def greedy(twin, ids, n, eos):
    out = []
    while len(out) < n and not (out and out[-1] in eos):
        out.append(int(forward(twin, [*ids, *out])[-1].argmax()))
    return out


@pytest.mark.parametrize("name", ["llama", "gemma3"])
def test_write_is_the_model_s_greedy_continuation(name):
    model, twin = pair(name)
    ids = model.encode("Tom has 3 apples")
    want = greedy(twin, ids, 25, model.eos_ids)
    session = model.session()
    pieces = []
    done = drive([lambda: write(session, ids, Sampling(max_new_tokens=25), on_piece=pieces.append)], 1)[0]
    ended = want[-1] in model.eos_ids
    assert done.tokens == len(want)
    assert done.prompt_tokens == len(ids)
    assert done.finish_reason == ("stop" if ended else "length")
    assert session.ids == [*ids, *want[:-1]]
    assert session.slot == -1
    stream = TextStream(model.decode)
    assert done.text == "".join(stream.push(t) for t in (want[:-1] if ended else want)) == "".join(pieces)
    probs = [forward(twin, [*ids, *want[:k]])[-1].softmax(-1).max().item() for k in range(len(want))]
    assert done.trace.mean_top1_prob == pytest.approx(sum(probs) / len(probs), abs=1e-4)
    assert done.trace.spans[0].prob == pytest.approx(probs[0], abs=1e-4)


def test_an_end_at_once_is_an_empty_answer(monkeypatch):
    model, _ = pair("llama")
    monkeypatch.setattr(model, "eos_ids", frozenset(range(len(model.tokenizer))))
    done = drive([lambda: write(model.session(), [5, 6], Sampling())], 1)[0]
    assert (done.text, done.tokens, done.finish_reason, done.trace.spans) == ("", 1, "stop", ())


def test_a_stopper_of_one_s_own_ends_an_answer_by_itself():
    model, _ = pair("llama")
    ids = model.encode("Tom")
    whole = drive([lambda: write(model.session(), ids, Sampling(max_new_tokens=12))], 1)[0]

    def after_five(text, new):
        return (3, "frame_end") if len(text) > 5 else None

    done = drive([lambda: write(model.session(), ids, Sampling(max_new_tokens=12), stopper=after_five)], 1)[0]
    assert done.text == whole.text[:3]
    assert (done.finish_reason, done.trace.stop_reason) == ("stop", "frame_end")
    assert done.tokens < whole.tokens


def test_penalties_count_what_they_are_told_to():
    model, _ = pair("llama")
    ids = model.encode("Tom has 3 apples and buys 4 more")
    how = Sampling(max_new_tokens=12, repetition_penalty=1.5)
    pool = SharedPool()

    def text(**seen):
        from boresight.lm.session import Session

        return drive([lambda: write(Session(model, pool), ids, how, **seen)], 1)[0].text

    assert text() == text(seen=ids)
    assert len({text(), text(seen=range(len(model.tokenizer))), text(seen=())}) > 1
