"""The provider under plain Inspect: tasks of any kind, its command line, eval-set and eval-retry."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from inspect_ai import Epochs, Task, eval, eval_retry
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.log import list_eval_logs, read_eval_log
from inspect_ai.model import ChatMessageSystem, GenerateConfig, get_model
from inspect_ai.scorer import choice, includes, model_graded_qa
from inspect_ai.solver import chain, generate, multiple_choice, system_message, use_tools, user_message
from inspect_ai.tool import think

from boresight.chat import user
from boresight.errors import ModelError
from boresight.inspect import _engines, inspect_model, steps_of
from boresight.lm.base import Sampling
from boresight.measure.engine import Engine, as_chat, as_sampling

SHORT = GenerateConfig(max_tokens=6)


def samples(*inputs: str, **more) -> MemoryDataset:
    return MemoryDataset([Sample(input=text, target="a", **more) for text in inputs])


@pytest.fixture
def ask(tiny_llama, tmp_path):
    """Run a task on the tiny model: its log."""
    with Engine(tiny_llama) as engine:

        def run(task: Task, **how):
            model = inspect_model("tiny", engine)
            (log,) = eval(task, model=model, log_dir=str(tmp_path / "logs"), display="none", **how)
            return log

        yield run


@pytest.fixture
def subject(folders):
    """The tiny model as Inspect names it; its engine is closed in the end."""
    yield f"boresight/{folders / 'chatty'}"
    for engine, _ in list(_engines.values()):
        engine.close()
    _engines.clear()


@pytest.mark.parametrize(
    ("given", "steps"),
    [
        ("urial", ["urial"]),
        (["nudging:nudger=m", "gamma=0.3"], ["nudging:nudger=m,gamma=0.3"]),
        (
            ["urial:prompt=urial-help", "nudging:nudger=m", "gamma=0.3"],
            ["urial:prompt=urial-help", "nudging:nudger=m,gamma=0.3"],
        ),
        (["urial", "nudging:nudger=http://h/v1#m"], ["urial", "nudging:nudger=http://h/v1#m"]),
        ("nudging:nudger=m,gamma=0.3", ["nudging:nudger=m,gamma=0.3"]),
    ],
)
def test_steps_that_inspect_has_cut_at_their_commas_are_joined(given, steps):
    assert steps_of(given) == steps


def test_a_dialogue_with_neighbouring_turns_of_one_role(ask, tiny_llama):
    turns = [
        system_message("Be brief."),
        generate(),
        user_message("How many now?"),
        user_message("One number."),
        generate(),
    ]
    log = ask(Task(samples("Tom has 3 apples."), solver=chain(turns), scorer=includes(), config=SHORT))
    assert log.status == "success"
    first, second = (m.text for m in log.samples[0].messages if m.role == "assistant")
    chat = user("Tom has 3 apples.", "Be brief.")
    assert first == tiny_llama.generate([chat], Sampling(6))[0].text
    chat += [{"role": "assistant", "content": first}, *user("How many now?\nOne number.")]
    assert second == tiny_llama.generate([chat], Sampling(6))[0].text


def test_epochs_draw_differently_and_the_same_again(ask):
    hot = GenerateConfig(max_tokens=8, temperature=1.0, top_p=0.95, top_k=40, seed=3)
    task = Task(
        samples("Name a colour.", "Name a fruit."), solver=generate(), scorer=includes(), epochs=Epochs(4), config=hot
    )
    logs = [ask(task), ask(task)]
    texts = [sorted(s.output.completion for s in log.samples) for log in logs]
    assert len(set(texts[0])) == 8
    assert len(set(texts[1])) == 8
    # the same engine counts on: what comes again is a new draw, from a new engine the same one
    assert texts[0] != texts[1]


def test_a_new_engine_draws_the_same_epochs(tiny_llama, tmp_path):
    hot = GenerateConfig(max_tokens=8, temperature=1.0, seed=3)
    found = []
    for _ in range(2):
        task = Task(samples("Name a colour."), solver=generate(), scorer=includes(), epochs=Epochs(3), config=hot)
        with Engine(tiny_llama) as engine:
            (log,) = eval(task, model=inspect_model("t", engine), log_dir=str(tmp_path), display="none")
        found.append(sorted(s.output.completion for s in log.samples))
    assert found[0] == found[1]


def test_several_choices_of_one_prompt(ask):
    config = GenerateConfig(max_tokens=8, temperature=1.0, num_choices=3, seed=1)
    output = ask(Task(samples("Name a colour."), solver=generate(), scorer=includes(), config=config)).samples[0].output
    assert len({c.message.text for c in output.choices}) == 3
    assert output.usage.output_tokens > 8


def test_multiple_choice_and_a_model_that_grades(ask, tmp_path):
    quiz = samples("What is the capital of France?", choices=["Rome", "Paris"])
    assert ask(Task(quiz, solver=multiple_choice(), scorer=choice(), config=SHORT)).status == "success"
    grader = model_graded_qa(template="{question} {answer} {criterion} {instructions}", instructions="GRADE: C or I?")
    log = ask(Task(samples("What is 2+2?"), solver=generate(), scorer=grader, config=SHORT))
    assert log.status == "success"
    assert (
        log.samples[0].scores["model_graded_qa"].metadata["grading"][1]["content"]
    )  # what the grader said, sense or not


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (GenerateConfig(logprobs=True), "logprobs"),
        (GenerateConfig(logit_bias={1: 2.0}), "logit_bias"),
        (GenerateConfig(frequency_penalty=0.5), "frequency_penalty"),
        (GenerateConfig(best_of=2), "best_of"),
    ],
)
def test_settings_that_would_change_answers_are_refused(ask, config, name):
    with pytest.raises(ModelError, match=f"do not support the generation setting '{name}'"):
        as_sampling(config)
    log = ask(Task(samples("Hi", "Ho"), solver=generate(), scorer=includes(), config=config))
    assert log.status == "error"
    assert name in log.error.message


def test_settings_without_a_meaning_here_are_named_once(ask, caplog):
    config = GenerateConfig(max_tokens=4, reasoning_effort="low", frequency_penalty=0.0)
    with caplog.at_level(logging.WARNING, "boresight.measure.engine"):
        assert (
            ask(Task(samples("Hi", "Ho", "Hey"), solver=generate(), scorer=includes(), config=config)).status
            == "success"
        )
    said = [r.getMessage() for r in caplog.records if "reasoning_effort" in r.getMessage()]
    assert len(said) == 1
    assert said[0].endswith("tiny has no use for the setting reasoning_effort; it is ignored")


def test_tools_end_in_one_clear_error_in_the_log(ask):
    log = ask(Task(samples("Hi", "Ho"), solver=[use_tools(think()), generate()], scorer=includes()))
    assert log.status == "error"
    assert "tiny takes no tools, but the task offers 'think'" in log.error.message
    allowed = ask(
        Task(
            samples("Hi"), solver=[use_tools(think(), tool_choice="none"), generate()], scorer=includes(), config=SHORT
        )
    )
    assert allowed.status == "success"


def test_a_sample_that_is_too_long_is_an_error_and_not_a_zero(ask):
    task = Task(samples("Hi", "plants " * 600, "Ho"), solver=generate(), scorer=includes(), config=SHORT)
    log = ask(task, fail_on_error=False)
    assert log.status == "success"
    assert [s.error is not None for s in log.samples] == [False, True, False]
    assert "512" in log.samples[1].error.message
    assert log.samples[1].scores is None or not log.samples[1].scores
    assert log.results.completed_samples == 2


def test_system_messages_are_joined():
    assert as_chat([ChatMessageSystem(content="a"), ChatMessageSystem(content="b")]) == [
        {"role": "system", "content": "a\nb"}
    ]


def test_one_engine_serves_all_who_name_the_same_subject(subject):
    one = get_model(subject, dtype="float32", memoize=False)
    two = get_model(subject, dtype="float32", memoize=False, config=GenerateConfig(max_tokens=3))
    assert one.api.engine is two.api.engine
    one.api.close()
    one.api.close()
    assert two.api.engine.ask(user("Hi"), Sampling(3)).result(60).tokens == 3
    two.api.close()
    with pytest.raises(Exception, match="closed"):
        two.api.engine.ask(user("Ho"), Sampling(3)).result(60)
    three = get_model(subject, dtype="float32", memoize=False)
    assert three.api.engine.ask(user("Hi"), Sampling(3)).result(60).tokens == 3


DARK = """
from pathlib import Path
from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.model import GenerateConfig
from inspect_ai.scorer import includes
from inspect_ai.solver import generate, solver

@solver
def lights():
    async def solve(state, generate):
        if state.input_text == "Ho" and (Path(__file__).parent / "dark").exists():
            raise RuntimeError("the lights went out")
        return state
    return solve

@task
def three():
    rows = [Sample(input=text, target="a") for text in ("Hi", "Ho", "Hey")]
    return Task(rows, solver=[generate(), lights()], scorer=includes(), config=GenerateConfig(max_tokens=6))
"""


def test_a_retried_evaluation_asks_only_what_failed(subject, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "three.py").write_text(DARK)
    (tmp_path / "dark").touch()
    how = {"log_dir": str(tmp_path / "logs"), "display": "none"}
    (log,) = eval("three.py", model=subject, model_args={"dtype": "float32"}, max_samples=1, **how)
    assert log.status == "error"
    assert "the lights went out" in log.error.message
    (tmp_path / "dark").unlink()
    (again,) = eval_retry(log.location, **how)
    assert again.status == "success"
    assert again.eval.model_args == {"dtype": "float32"}
    assert [s.id for s in again.samples] == [1, 2, 3]
    assert again.samples[0].uuid == log.samples[0].uuid  # kept, not asked again
    assert all(s.scores for s in again.samples)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_an_eval_set_that_is_killed_goes_on(folders, tmp_path):
    logs = tmp_path / "logs"
    subject = f"boresight/{folders / 'chatty'}"
    command = [str(Path(sys.executable).with_name("inspect")), "eval-set", "boresight/facts", "boresight/refusal"]
    command += ["--model", subject, "-M", "dtype=float32", "--limit", "3", "--log-dir", str(logs), "--display", "none"]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ)
    deadline = time.monotonic() + 60
    while not list(logs.glob("*.eval")) and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found = [read_eval_log(info) for info in list_eval_logs(str(logs))]
    whole = {log.eval.task: log for log in found if log.status == "success"}
    assert sorted(whole) == ["facts", "refusal"]
    for log in whole.values():
        assert len({s.id for s in log.samples}) == len(log.samples) == 3
        assert all(s.scores for s in log.samples)


def test_its_log_tools_and_data_frames_read_the_logs_of_an_audit(tiny_llama, tmp_path):
    from inspect_ai.analysis import evals_df, messages_df, samples_df

    from boresight.report.run import audit

    out = tmp_path / "run"
    run = audit({"tiny": tiny_llama}, out=out, measures=["facts", "honesty"], limit=3, max_new_tokens=4)
    logs = str(out / "logs")
    evals = evals_df(logs).set_index("task_name")
    assert set(evals.index) == {"facts", "honesty"}
    assert set(evals["status"]) == {"success"}
    of_facts = next(r for r in run.results.measures if r.method == "facts")
    column = f"score_{of_facts.metric.partition('.')[2]}_mean"
    assert evals.loc["facts", column] == pytest.approx(of_facts.value)
    each = samples_df(logs)
    assert len(each) == 6
    assert set(each.columns) >= {"id", "epoch", "input", "target", "score_facts", "score_honesty", "metadata_kind"}
    assert {"user", "assistant"} <= set(messages_df(logs)["role"])
    listed = subprocess.run(
        [Path(sys.executable).with_name("inspect"), "log", "list", "--json", "--log-dir", logs],
        capture_output=True,
        check=True,
    )
    assert {entry["task"] for entry in json.loads(listed.stdout)} == {"facts", "honesty"}
