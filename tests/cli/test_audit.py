import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import boresight.data

ASK = ("--measure", "facts", "--limit", "3", "--max-new-tokens", "4", "--dtype", "float32")


def test_an_audit_writes_a_run_and_prints_a_table(cli, folders, tmp_path):
    out = tmp_path / "run"
    code, text, _ = cli("audit", folders / "chatty", folders / "plain", *ASK, "--out", out)
    assert code == 0
    assert "exact answer" in text
    assert "rule:exact-match-v1" in text
    assert str(out / "report.html") in text.replace("\n", "")
    assert {p.name for p in out.iterdir()} == {"config.yaml", "env.json", "logs", "results.json", "report.html"}
    results = json.loads((out / "results.json").read_text())
    assert [s["name"] for s in results["subjects"]] == ["chatty", "plain"]


def test_json_prints_the_results_file(cli, folders, tmp_path):
    code, text, _ = cli("audit", folders / "chatty", *ASK, "--out", tmp_path / "run", "--json")
    assert code == 0
    assert text == (tmp_path / "run" / "results.json").read_text()


def test_a_steered_subject_and_a_policy_file(cli, folders, tmp_path):
    policy = tmp_path / "nudged.yaml"
    policy.write_text(f"model: {folders / 'plain'}\nsteer:\n  - nudging: {{nudger: {folders / 'chatty'}}}\n")
    step = f"nudging:nudger={folders / 'chatty'}"
    assert cli("audit", policy, *ASK, "--out", tmp_path / "a")[0] == 0
    assert cli("audit", folders / "plain", "--steer", step, *ASK, "--out", tmp_path / "b")[0] == 0
    one, two = (json.loads((tmp_path / x / "results.json").read_text()) for x in "ab")
    assert one["measures"] == two["measures"]
    assert one["subjects"] == two["subjects"]
    assert "nudging(nudger=chatty" in one["subjects"][0]["policy"]


def test_fail_under_exits_with_1(cli, folders, tmp_path):
    code, _, err = cli("audit", folders / "chatty", *ASK, "--out", tmp_path / "r", "--fail-under", "facts.exact=0.9")
    assert code == 1
    assert "failed: chatty has facts.exact = 0.000 (n = 3), below 0.9" in err
    assert (tmp_path / "r" / "results.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("no-such-model",), "no-such-model"),
        (("{chatty}", "--battery", "slow"), "quick"),
        (("{chatty}", "--measure", "joy"), "text-health"),
        (("{chatty}", "--limit", "0"), "limit"),
        (("{chatty}", "--fail-under", "facts.exact"), "METRIC=VALUE"),
        (("{chatty}", "--fail-under", "facts.exact=2"), "[0, 1]"),
        (("{chatty}", "--fail-under", "joy=0.5"), "joy"),
        (("{chatty}", "--steer", "push"), "push"),
        (("{plain}", "--steer", "nudging:nudger={chatty},gamma=1.5"), "gamma is 1.5"),
        (("{plain}", "--steer", "nudging:nudger={plain}"), "chat template"),
        (("{chatty}", "--dtype", "int3"), "int3"),
        (("{chatty}", "--colour", "red"), "--colour"),
        (("{chatty}", "--validate", "{chatty}"), "--validate FILE goes with --measure misalignment-bench"),
        ((), "SUBJECT"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(one_line, folders, tmp_path, arguments, message):
    named = {name: str(folders / name) for name in ("chatty", "plain")}
    line = one_line("audit", *(a.format(**named) for a in arguments), "--out", tmp_path / "run")
    assert message in line
    assert not (tmp_path / "run").exists()


def test_scenario_files_are_checked_without_a_model(cli, tmp_path):
    good = Path(boresight.data.__file__).parent / "sets" / "misalignment_bench"
    ask = ("audit", "--measure", "misalignment-bench", "--validate")
    assert cli(*ask, good)[:2] == (0, f"{good} is valid\n")
    (tmp_path / "bad.yaml").write_text("id: x\nname: y\n")
    code, out, err = cli(*ask, tmp_path / "bad.yaml")
    assert (code, out) == (2, "")
    assert "bad.yaml, line 1 (x): version: it is missing" in err
    assert "name: there is no such field" in err


def test_an_output_folder_that_cannot_be_used(one_line, folders, tmp_path):
    assert "cannot be written" in one_line("audit", folders / "chatty", "--out", "/proc/boresight")
    (tmp_path / "x").write_text("x")
    assert "not empty" in one_line("audit", folders / "chatty", "--out", tmp_path)
    assert (tmp_path / "x").read_text() == "x"


def test_interrupting_leaves_a_run_that_can_be_resumed(cli, one_line, folders, tmp_path):
    out = tmp_path / "run"
    command = [
        sys.executable,
        "-m",
        "boresight",
        "audit",
        str(folders / "plain"),
        "--out",
        str(out),
        "--dtype",
        "float32",
    ]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 90
    while not (out / "logs").exists() and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1.0)
    assert running.poll() is None, running.communicate()
    os.kill(running.pid, signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    assert "Traceback" not in err
    assert err.splitlines()[-2:] == [
        f"boresight: the answers so far are kept; boresight audit --resume {out} goes on",
        "boresight: interrupted",
    ]
    assert {p.name for p in out.iterdir()} == {"config.yaml", "env.json", "logs", "journal.jsonl"}

    contradicting = ("audit", "--resume", out, "--seed", "3")
    assert "--seed 3 contradicts" in one_line(*contradicting)
    assert cli("audit", "--resume", out, "--json")[0] == 0
    assert {p.name for p in out.iterdir()} == {"config.yaml", "env.json", "logs", "results.json", "report.html"}


def test_compare_two_runs(cli, one_line, folders, tmp_path):
    for name in ("chatty", "plain"):
        assert cli("audit", folders / name, *ASK, "--out", tmp_path / name)[0] == 0
    code, text, _ = cli("compare", tmp_path / "chatty", tmp_path / "plain")
    assert code == 0
    assert "exact answer" in text
    code, text, _ = cli("compare", tmp_path / "chatty", tmp_path / "plain", "--json")
    assert [c["n"] for c in json.loads(text)["comparisons"]] == [3, 3]
    assert "does not exist" in one_line("compare", tmp_path / "nothing")
    assert "only the subject" in one_line("compare", tmp_path / "chatty")


def test_resuming_what_needs_it_not(cli, one_line, folders, tmp_path):
    out = tmp_path / "run"
    assert "no such folder" in one_line("audit", "--resume", out)
    assert cli("audit", folders / "chatty", *ASK, "--out", out)[0] == 0
    before = (out / "results.json").read_text()
    code, text, err = cli("audit", "--resume", out)
    assert (code, text, err) == (0, "", f"nothing to resume: {out} is finished\n")
    code, text, err = cli("audit", "--resume", out, "--json", "--fail-under", "facts.exact=0.9")
    assert (code, text) == (1, before)
    assert "failed: chatty has facts.exact" in err
    assert {p.name for p in out.iterdir()} == {"config.yaml", "env.json", "logs", "results.json", "report.html"}
    (tmp_path / "x").mkdir()
    assert "holds nothing to go on with" in one_line("audit", "--resume", tmp_path / "x")
    (tmp_path / "x" / "letter.txt").write_text("Dear Ada")
    assert "no config.yaml" in one_line("audit", "--resume", tmp_path / "x")
