import json

import pytest

from boresight.errors import DataError, OutputError
from boresight.report.results import read_results
from boresight.report.shift import audit_shift, metrics, prompts_of


@pytest.fixture
def run(tiny_llama, tmp_path):
    from tiny_models import build_tiny_llama, local_model

    other = local_model(*build_tiny_llama(seed=1), name="other")
    return audit_shift({"base": other, "tuned": tiny_llama}, prompts_of(None, 3), out=tmp_path / "r", max_new_tokens=8)


def test_a_run_directory(run):
    assert {p.name for p in run.directory.iterdir()} == {
        "config.yaml",
        "env.json",
        "positions.json",
        "results.json",
        "report.html",
    }
    results = read_results(run.directory)
    assert results == run.results
    assert [s.name for s in results.subjects] == ["base", "tuned"]
    assert [r.metric for r in results.measures] == list(metrics())
    assert {r.subject for r in results.measures} == {"tuned"}
    shares = [r.value for r in results.measures[:3]]
    assert sum(shares) == pytest.approx(1)
    assert all(r.n == results.measures[0].n for r in results.measures[:3])
    assert "3 answers" in results.measures[0].notes
    positions = json.loads((run.directory / "positions.json").read_text())
    assert positions["base"] == "base"
    assert len(positions["positions"]["t"]) == results.measures[0].n
    env = json.loads((run.directory / "env.json").read_text())
    assert set(env["subjects"]) == {"base", "tuned"}
    assert "tuned" in (run.directory / "report.html").read_text(encoding="utf-8")


def test_the_same_run_gives_the_same_positions(run, tiny_llama, tmp_path):
    from tiny_models import build_tiny_llama, local_model

    other = local_model(*build_tiny_llama(seed=1), name="other")
    again = audit_shift(
        {"base": other, "tuned": tiny_llama}, prompts_of(None, 3), out=tmp_path / "again", max_new_tokens=8
    )
    assert again.report.json() == run.report.json()


def test_prompts_of_a_file(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text('{"prompt": "Hi"}\n{"messages": [{"role": "user", "content": "Ho"}]}\n')
    assert [chat[0]["content"] for chat in prompts_of(path)] == ["Hi", "Ho"]
    assert len(prompts_of(path, 1)) == 1
    assert len(prompts_of(None)) == 80
    path.write_text('{"question": "Hi"}\n')
    with pytest.raises(DataError, match="line 1"):
        prompts_of(path)


def test_two_models_are_needed(tiny_llama, tmp_path):
    with pytest.raises(DataError, match="1 named"):
        audit_shift({"a": tiny_llama}, ["Hi"], out=tmp_path / "r")


def test_nothing_is_left_of_a_run_that_fails(tiny_llama, tiny_gemma3, tmp_path):
    from boresight.errors import TokenizerMismatch

    with pytest.raises(TokenizerMismatch):
        audit_shift({"a": tiny_llama, "b": tiny_gemma3}, ["Hi"], out=tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_a_directory_that_another_process_writes_to_is_refused(tiny_llama, tmp_path):
    import subprocess
    import sys

    hold = (
        "import sys; from boresight.report.files import claimed\n"
        "with claimed(sys.argv[1]): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", hold, str(tmp_path / "r")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(OutputError, match="another run is writing"):
            audit_shift({"a": tiny_llama, "b": tiny_llama}, ["Hi"], out=tmp_path / "r", max_new_tokens=2)
        other.stdin.close()


def test_a_run_that_was_cut_off_is_begun_anew_in_its_directory(tiny_llama, tmp_path):
    (tmp_path / ".lock").touch()  # what kill -9 leaves
    run = audit_shift({"a": tiny_llama, "b": tiny_llama}, ["Hi"], out=tmp_path, max_new_tokens=2)
    assert read_results(run.directory) == run.results
    with pytest.raises(OutputError, match="is not empty"):
        audit_shift({"a": tiny_llama, "b": tiny_llama}, ["Hi"], out=tmp_path, max_new_tokens=2)


def test_a_budget_of_nothing_is_refused(tiny_llama, tmp_path):
    with pytest.raises(DataError, match="max_new_tokens is 0"):
        audit_shift({"a": tiny_llama, "b": tiny_llama}, ["Hi"], out=tmp_path / "r", max_new_tokens=0)
