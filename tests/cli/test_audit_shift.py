import json

import pytest

ASK = ("--measure", "token-shift", "--max-new-tokens", "6", "--dtype", "float32")


@pytest.fixture
def prompts(tmp_path):
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "Is the sky blue?"}\n{"prompt": "Name a plant."}\n')
    return path


def test_a_pair_writes_a_run_and_prints_its_numbers(cli, folders, prompts, tmp_path):
    out = tmp_path / "run"
    code, text, _ = cli("audit", *ASK, folders / "chatty", folders / "chatty", "--prompts", prompts, "--out", out)
    assert code == 0
    assert "second or third of the base" in text
    assert "of the tokens that chatty-2 wrote" in text
    assert text.count("not measured") == 1  # nothing lies after position 20
    assert str(out / "report.html") in text.replace("\n", "")
    results = json.loads((out / "results.json").read_text())
    assert results["measures"][0]["metric"] == "token-shift.unshifted"
    assert len(json.loads((out / "positions.json").read_text())["answers"]) == 2
    assert "file:" in (out / "config.yaml").read_text()


def test_json_limits_and_built_in_prompts(cli, folders, tmp_path):
    out = tmp_path / "run"
    code, text, err = cli(
        "audit", *ASK, folders / "chatty", folders / "chatty", "--limit", 2, "--out", out, "--json",
        "--fail-under", "token-shift.base_top5=1",
    )  # fmt: skip
    assert text == (out / "results.json").read_text()
    value = next(r["value"] for r in json.loads(text)["measures"] if r["metric"] == "token-shift.base_top5")
    assert code == (1 if value < 1 else 0)
    assert ("failed: chatty-2" in err) == bool(code)
    assert "chatty has" not in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("{chatty}", "{plain}"), "do not share a tokenizer"),
        (("{chatty}",), "1 named"),
        (("{chatty}", "{chatty}", "--measure", "refusal"), "runs alone"),
        (("{chatty}", "{chatty}", "--steer", "urial"), "policy files"),
        (("{chatty}", "{chatty}", "--prompts", "no-such-file"), "no-such-file does not exist"),
        (("{chatty}", "{chatty}", "--fail-under", "joy=0.5"), "joy"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(one_line, folders, tmp_path, arguments, message):
    named = {name: str(folders / name) for name in ("chatty", "plain")}
    line = one_line("audit", *ASK, *(a.format(**named) for a in arguments), "--out", tmp_path / "run")
    assert message in line
    assert not (tmp_path / "run").exists()


def test_prompts_are_for_token_shift(one_line, folders, prompts, tmp_path):
    line = one_line("audit", folders / "chatty", "--prompts", prompts, "--out", tmp_path / "run")
    assert "--measure token-shift" in line


def test_a_run_that_was_cut_off_does_not_resume(one_line, tmp_path):
    (tmp_path / ".lock").touch()
    assert "token-shift, which does not resume" in one_line("audit", "--resume", tmp_path)
    (tmp_path / "config.yaml").write_text("measure: token-shift\nbase: a\naligned: b\n")
    line = one_line("audit", "--resume", tmp_path)
    assert "unfinished run of token-shift, which does not resume" in line


def test_limits_of_a_finished_run_are_those_of_the_aligned_model(cli, folders, prompts, tmp_path):
    out = tmp_path / "run"
    chatty = folders / "chatty"
    assert cli("audit", *ASK, chatty, chatty, "--prompts", prompts, "--out", out)[0] == 0
    code, _, err = cli("audit", "--resume", out, "--fail-over", "token-shift.unshifted=1")
    assert code == 0
    assert err.splitlines() == [f"nothing to resume: {out} is finished"]
