import threading
import time
from concurrent.futures import wait

import pytest
from inspect_ai import Task, eval
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import (
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    ContentImage,
    ContentText,
    GenerateConfig,
    get_model,
)
from inspect_ai.scorer import includes
from inspect_ai.solver import chain, generate, user_message

from boresight.chat import user
from boresight.errors import ModelError
from boresight.inspect import inspect_model
from boresight.lm.base import Completion, Sampling, Span, Trace
from boresight.measure.base import completion_of
from boresight.measure.engine import Engine, Stopped, announced, as_chat, as_output, as_sampling

SHORT = Sampling(max_new_tokens=6)
PROMPTS = [user(f"Question {i}: what do plants need?") for i in range(7)]


def test_announced_prompts_are_answered_as_the_model_answers_them(tiny_llama):
    expected = [c.text for c in tiny_llama.generate(PROMPTS, SHORT)]
    with Engine(tiny_llama) as engine:
        engine.submit([(p, SHORT) for p in PROMPTS])
        asked = [engine.ask(p, SHORT) for p in reversed(PROMPTS)]
        assert [f.result(60).text for f in reversed(asked)] == expected


def test_unannounced_prompts_are_gathered_into_batches(tiny_llama):
    calls = []

    class Counting:
        name = "counting"
        describe = tiny_llama.describe

        def generate(self, chats, sampling=None, **hooks):
            calls.append(len(chats))
            return tiny_llama.generate(chats, sampling, **hooks)

    with Engine(Counting()) as engine:
        done = [engine.ask(p, SHORT) for p in PROMPTS]
        wait(done, 60)
    assert sum(calls) == len(PROMPTS)
    assert len(calls) <= 2


def test_each_announcement_is_handed_out_once(tiny_llama):
    with Engine(tiny_llama) as engine:
        engine.submit([(PROMPTS[0], SHORT)] * 2)
        first, second, third = (engine.ask(PROMPTS[0], SHORT) for _ in range(3))
        assert len({id(first), id(second), id(third)}) == 3
        assert first.result(60).text == second.result(60).text == third.result(60).text


def test_a_prompt_that_is_too_long_fails_alone(tiny_llama):
    long = user("plants " * 600)
    with Engine(tiny_llama) as engine:
        chats = [*PROMPTS[:3], long, *PROMPTS[3:]]
        engine.submit([(c, SHORT) for c in chats])
        done = [engine.ask(c, SHORT) for c in chats]
        wait(done, 120)
    assert [f.exception() is None for f in done] == [True] * 3 + [False] + [True] * 4
    assert isinstance(done[3].exception(), ModelError)
    assert "512" in str(done[3].exception())


def test_closing_stops_a_generation_at_the_next_pass(tiny_llama):
    moved = threading.Event()
    engine = Engine(tiny_llama, on_step=lambda rows: moved.set())
    answer = engine.ask(PROMPTS[0], Sampling(max_new_tokens=400))
    assert moved.wait(60)
    began = time.perf_counter()
    engine.close()
    assert time.perf_counter() - began < 5
    assert isinstance(answer.exception(0), Stopped)
    assert isinstance(engine.ask(PROMPTS[0], SHORT).exception(0), Stopped)


def test_no_request_is_lost_however_close_it_comes_to_the_end(tiny_llama):
    class Quick:
        name = "quick"
        describe = tiny_llama.describe

        def generate(self, chats, sampling=None, *, on_done=None, on_step=None):
            for i in range(len(chats)):
                on_done(i, Completion("a", 1, "stop"))

    for _ in range(40):
        engine, found = Engine(Quick()), []
        start = threading.Barrier(4)

        def ask_on(engine=engine, found=found, start=start):
            start.wait()
            found += [engine.ask(PROMPTS[i % 7], SHORT) for i in range(50)]

        askers = [threading.Thread(target=ask_on) for _ in range(3)]
        for asker in askers:
            asker.start()
        start.wait()
        engine.close()
        for asker in askers:
            asker.join()
        assert len(found) == 150
        assert not wait(found, 5).not_done


def test_known_answers_are_handed_out_and_the_others_are_told(tiny_llama):
    first, second = [], []
    with Engine(tiny_llama, on_done=lambda slot, answer: first.append((slot, answer))) as engine:
        engine.submit([(p, SHORT) for p in [*PROMPTS, PROMPTS[0]]])
        texts = [engine.ask(p, SHORT).result(60).text for p in [*PROMPTS, PROMPTS[0]]]
    assert len({slot for slot, _ in first}) == 8
    assert sorted(number for (_, number), _ in first) == [0] * 7 + [1]
    with Engine(tiny_llama, known=dict(first[:5]), on_done=lambda slot, _: second.append(slot)) as engine:
        engine.submit([(p, SHORT) for p in [*PROMPTS, PROMPTS[0]]])
        assert [engine.ask(p, SHORT).result(60).text for p in [*PROMPTS, PROMPTS[0]]] == texts
    assert sorted(second) == sorted(slot for slot, _ in first[5:])


def test_a_failing_listener_ends_the_engine(tiny_llama):
    def full(slot, answer):
        raise OSError("no space left")

    with Engine(tiny_llama, on_done=full) as engine:
        asked = [engine.ask(p, SHORT) for p in PROMPTS]
        assert not wait(asked, 60).not_done
        assert {type(f.exception()) for f in asked} == {Stopped}
        assert str(engine.trouble) == "no space left"


def test_a_broken_model_fails_every_request():
    class Broken:
        name = "broken"

        def generate(self, *_, **__):
            raise RuntimeError("out of memory")

        def describe(self):
            return {}

    with Engine(Broken()) as engine:
        done = [engine.ask(p, SHORT) for p in PROMPTS]
        wait(done, 60)
    assert {str(f.exception()) for f in done} == {"out of memory"}


def test_inspect_gets_its_answers_from_the_engine(tiny_llama, tmp_path):
    task = Task(
        dataset=MemoryDataset([Sample(id=i, input=p[0]["content"], target="a") for i, p in enumerate(PROMPTS)]),
        solver=generate(),
        scorer=includes(),
        config=GenerateConfig(max_tokens=6, temperature=0.0),
    )
    expected = [c.text for c in tiny_llama.generate(PROMPTS, SHORT)]
    with Engine(tiny_llama) as engine:
        engine.submit(announced(task))
        (log,) = eval(task, model=inspect_model("tiny", engine), log_dir=str(tmp_path), display="none")
    assert log.status == "success"
    assert log.eval.model == "boresight/tiny"
    assert [s.output.completion for s in log.samples] == expected
    assert all(completion_of(s.output).trace.mean_top1_prob > 0 for s in log.samples)


def test_a_second_turn_goes_through_the_same_engine(tiny_llama, tmp_path):
    task = Task(
        dataset=MemoryDataset([Sample(id=1, input="Tom has 3 apples.", target="a")]),
        solver=chain(generate(), user_message("How many now?"), generate()),
        scorer=includes(),
        config=GenerateConfig(max_tokens=5),
    )
    with Engine(tiny_llama) as engine:
        engine.submit(announced(task))
        (log,) = eval(task, model=inspect_model("tiny", engine), log_dir=str(tmp_path), display="none")
    first, second = (m.text for m in log.samples[0].messages if m.role == "assistant")
    chat = user("Tom has 3 apples.")
    assert first == tiny_llama.generate([chat], Sampling(max_new_tokens=5))[0].text
    chat += [{"role": "assistant", "content": first}, *user("How many now?")]
    assert second == tiny_llama.generate([chat], Sampling(max_new_tokens=5))[0].text


def test_tools_are_refused_clearly(tiny_llama, tmp_path):
    from inspect_ai.solver import use_tools
    from inspect_ai.tool import think

    task = Task(dataset=MemoryDataset([Sample(id=1, input="Hi", target="a")]), solver=[use_tools(think()), generate()])
    with Engine(tiny_llama) as engine:
        (log,) = eval(
            task, model=inspect_model("tiny", engine), log_dir=str(tmp_path), display="none", fail_on_error=False
        )
    assert "takes no tools" in log.samples[0].error.message


def test_messages_become_plain_dicts():
    messages = [ChatMessageSystem(content="s"), ChatMessageUser(content="u"), ChatMessageAssistant(content="a")]
    assert as_chat(messages) == [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "u"},
        {"role": "assistant", "content": "a"},
    ]
    picture = ChatMessageUser(content=[ContentText(text="look"), ContentImage(image="data:image/png;base64,AA==")])
    with pytest.raises(ModelError, match="only text"):
        as_chat([picture])


def test_generation_settings_are_carried_over():
    config = GenerateConfig(max_tokens=9, temperature=0.5, top_p=0.9, stop_seqs=["x"], seed=3)
    assert as_sampling(config) == Sampling(9, 0.5, 0.9, stop=("x",), seed=3)
    assert as_sampling(GenerateConfig()) == Sampling()


def test_a_completion_survives_the_trip_through_inspect():
    done = Completion(
        "ab", 2, "stop", 5, Trace((Span("m", "a", 0.25, "nudge"), Span("b", "b", None)), "eos", 0.5, {"rounds": 2})
    )
    output = as_output("m", done)
    assert completion_of(output) == done
    assert completion_of(type(output).model_validate_json(output.model_dump_json())) == done


@pytest.mark.parametrize(
    ("reason", "inspect_reason"), [("stop", "stop"), ("length", "max_tokens"), ("context", "model_length")]
)
def test_finish_reasons_for_other_models_and_ours(reason, inspect_reason):
    output = as_output("m", Completion("a", 1, reason))
    assert output.stop_reason == inspect_reason
    output.metadata = None
    assert completion_of(output).finish_reason == reason


def test_the_provider_is_found_through_the_entry_point(tiny_llama, tmp_path):
    folder = tmp_path / "model"
    tiny_llama.model.set_attn_implementation("eager")
    try:
        tiny_llama.model.save_pretrained(folder)
    finally:
        tiny_llama.model.set_attn_implementation("boresight_slots")
    tiny_llama.tokenizer.save_pretrained(folder)
    model = get_model(f"boresight/{folder}", dtype="float32", memoize=False)
    try:
        expected = tiny_llama.generate([user("Hi there")], SHORT)[0].text
        assert model.api.engine.ask(user("Hi there"), SHORT).result(60).text == expected
    finally:
        model.api.close()
