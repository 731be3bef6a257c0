import io
import json

import pytest

ASK = ("--max-new-tokens", "5", "--dtype", "float32")


@pytest.fixture
def prompts(tmp_path):
    path = tmp_path / "in.jsonl"
    rows = [
        {"id": "a", "prompt": "What do plants need?"},
        {"messages": [{"role": "user", "content": "Tom has 3 apples."}]},
    ]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return path


def test_json_lines_in_json_lines_out(cli, folders, prompts):
    code, text, _ = cli("generate", folders / "chatty", prompts, *ASK)
    assert code == 0
    rows = sorted(map(json.loads, text.splitlines()), key=lambda r: r["index"])
    assert rows[0]["id"] == "a"
    assert [r["index"] for r in rows] == [0, 1]
    assert all(r["completion"] and r["tokens"] == 5 and r["finish_reason"] == "length" for r in rows)
    assert rows[1]["messages"][0]["content"] == "Tom has 3 apples."
    assert rows[0]["model"] == "chatty"


def test_to_a_file_with_a_trace(cli, folders, prompts, tmp_path):
    out, trace = tmp_path / "out.jsonl", tmp_path / "trace.json"
    step = f"nudging:nudger={folders / 'chatty'},gamma=0.3"
    code, text, _ = cli("generate", folders / "plain", prompts, "--steer", step, "--out", out, "--trace", trace, *ASK)
    assert (code, text) == (0, "")
    assert len(out.read_text().splitlines()) == 2
    first = json.loads(trace.read_text())[0]
    assert {s["role"] for s in first["trace"]["spans"]} <= {"base", "nudge"}
    assert first["trace"]["detail"]["rounds"] >= 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl", "trace.json"]


def test_a_prompt_on_the_command_line(cli, folders):
    code, text, _ = cli("generate", folders / "chatty", "--prompt", "Hi there", *ASK)
    assert code == 0
    assert text.strip()
    code, text, _ = cli("generate", folders / "chatty", "--prompt", "Hi there", "--prompt", "And you", *ASK)
    assert [json.loads(line)["prompt"] for line in text.splitlines()] != []


def test_prompts_from_standard_input(cli, folders, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO('{"prompt": "Hi"}\n'))
    code, text, _ = cli("generate", folders / "chatty", "-", *ASK)
    assert code == 0
    assert json.loads(text)["prompt"] == "Hi"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no prompt"),
        ('{"prompt": "a"}\n{"prompt": \n', "line 2: not valid JSON"),
        ('{"question": "a"}\n', "line 1: a non-empty text 'prompt'"),
    ],
)
def test_bad_files_name_the_line_before_a_model_is_loaded(one_line, tmp_path, text, message):
    path = tmp_path / "in.jsonl"
    path.write_text(text)
    assert message in one_line("generate", "no-such-model", path)


def test_bad_options(one_line, folders, tmp_path, prompts):
    assert "one of the two" in one_line("generate", folders / "chatty")
    assert "does not exist" in one_line("generate", folders / "chatty", tmp_path / "no.jsonl")
    assert "empty user message" in one_line("generate", folders / "chatty", "--prompt", " ")
    assert "--temperature" in one_line("generate", folders / "chatty", "--prompt", "a", "--temperature", "-1")
    assert "cannot be written" in one_line("generate", folders / "chatty", prompts, "--out", "/proc/x/out.jsonl", *ASK)


def test_bad_values_are_one_line(one_line, folders):
    ask = ("generate", folders / "chatty", "--prompt", "a")
    assert "temperature is inf" in one_line(*ask, "--temperature", "inf")
    assert "non-empty strings" in one_line(*ask, "--stop", "")
    for device in ("bla", "mps", "cuda:99"):
        line = one_line(*ask, "--device", device)
        assert f"device '{device}' cannot be used" in line
        assert len(line) < 300
    assert "cannot be read as YAML" in one_line(*ask, "--steer", f"nudging:nudger={folders / 'chatty'},gamma=[1")


@pytest.mark.parametrize("option", ["--out", "--trace"])
def test_a_place_for_answers_is_looked_at_before_they_are_made(one_line, folders, tmp_path, option):
    ask = ("generate", folders / "chatty", "--prompt", "a", *ASK, option)
    assert "there is no folder" in one_line(*ask, tmp_path / "no" / "x.json")
    assert "it is a folder" in one_line(*ask, tmp_path)
    assert list(tmp_path.parent.glob("*.part")) == []


def test_half_a_surrogate_pair_names_its_line(one_line, tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text('{"prompt": "a"}\n{"prompt": "\\ud800"}\n')
    assert "line 2: message 1 holds half of a surrogate pair" in one_line("generate", "no-such-model", path)


def test_a_prompt_longer_than_the_context(one_line, folders):
    line = one_line("generate", folders / "chatty", "--prompt", "plants " * 600, *ASK)
    assert "512" in line
    assert "shorten the prompt" in line


def test_a_model_without_a_chat_template_reads_the_plain_one_and_refuses_where_it_must(cli, one_line, folders):
    assert cli("generate", folders / "plain", "--prompt", "Hi", *ASK)[0] == 0
    step = f"nudging:nudger={folders / 'plain'}"
    assert "has no chat template" in one_line("generate", folders / "plain", "--prompt", "Hi", "--steer", step, *ASK)


def test_a_policys_own_length_holds_unless_the_command_line_says_otherwise(cli, folders):
    step = f"nudging:nudger={folders / 'chatty'},max_new_tokens=3,gamma=0"
    ask = ("generate", folders / "plain", "--prompt", "a", "--prompt", "b", "--dtype", "float32", "--steer", step)
    short = [json.loads(line)["tokens"] for line in cli(*ask)[1].splitlines()]
    longer = [json.loads(line)["tokens"] for line in cli(*ask, "--max-new-tokens", "40")[1].splitlines()]
    assert max(short) < 30 < max(longer)


def test_resuming_a_file_of_answers(cli, one_line, folders, prompts, tmp_path):
    out, part = tmp_path / "out.jsonl", tmp_path / "out.jsonl.part"
    ask = ("generate", folders / "chatty", prompts, *ASK, "--temperature", "1", "--out", out)
    assert cli(*ask, "--resume")[0] == 0  # nothing there yet: it begins
    whole = out.read_bytes()
    code, _, err = cli(*ask, "--resume")
    assert (code, err) == (0, f"nothing to resume: {out} is complete\n")
    out.unlink()
    from boresight.report.journal import Journal

    with pytest.MonkeyPatch.context() as patch:  # killed when all is there but the file
        patch.setattr("boresight.report.answers.write_text", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        code, _, err = cli(*ask)
    assert code == 130
    assert f"the answers so far are in {part}" in err
    held = part.read_bytes().splitlines(keepends=True)
    assert len(held) == 3
    part.write_bytes(b"".join(held[:2]) + held[2][:30])
    assert "go on with --resume" in one_line(*ask)
    assert "begun with other sampling" in one_line(*ask, "--seed", "9", "--resume")
    assert "begun with other model" in one_line("generate", folders / "plain", *ask[2:], "--resume")
    prompts.write_text('{"prompt": "Something else"}\n')
    assert "begun with other prompts" in one_line(*ask, "--resume")
    assert len(Journal(part).entries) == 1
    rows = [
        {"id": "a", "prompt": "What do plants need?"},
        {"messages": [{"role": "user", "content": "Tom has 3 apples."}]},
    ]
    prompts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert cli(*ask, "--resume")[0] == 0
    assert out.read_bytes() == whole
    assert not part.exists()
    assert "--resume goes with --out" in one_line(*ask[:-2], "--resume")
