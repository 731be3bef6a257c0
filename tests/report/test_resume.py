import json

import pytest
import yaml

from boresight.errors import DataError, OutputError
from boresight.lm.base import Sampling
from boresight.report.attempt import JOURNAL
from boresight.report.files import LOCK, claimed
from boresight.report.records import read_records
from boresight.report.resume import require_same, resume, unfinished
from boresight.report.run import audit

ASK = {"measures": ["facts", "text-health"], "limit": 5, "max_new_tokens": 6}


class Dying:
    """A model that is interrupted after some answers; it counts what it was asked."""

    def __init__(self, model, answers):
        self.model, self.left, self.asked = model, answers, []
        self.name, self.describe = model.name, model.describe

    def generate(self, chats, sampling=None, *, on_done=None, on_step=None):
        def done(i, completion):
            if self.left == 0:
                raise MemoryError("killed")
            self.left -= 1
            on_done(i, completion)

        self.asked += [chat[-1]["content"] for chat in chats]
        return self.model.generate(chats, sampling, on_done=done, on_step=on_step)


def untimed(path):
    data = json.loads((path / "results.json").read_text())
    del data["created"], data["seconds"]
    return data


@pytest.fixture
def dead(tiny_llama, tiny_gemma3, tmp_path):
    """A run whose second subject was cut off after three answers, as the disk of a killed process would show it."""
    out = tmp_path / "dead"
    audit({"a": tiny_llama, "b": tiny_gemma3}, out=out, **ASK)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("boresight.report.attempt.Attempt.complete", lambda self: self._journal.close())
        audit({"a": tiny_llama, "b": tiny_gemma3}, out=tmp_path / "again", **ASK)
    lines = (tmp_path / "again" / JOURNAL).read_text().splitlines(keepends=True)
    own = [line for line in lines if json.loads(line).get("subject") == "b" and "completion" in json.loads(line)]
    at = lines.index(own[3])
    for name in ("results.json", "report.html"):
        (tmp_path / "again" / name).unlink()
    (tmp_path / "again" / JOURNAL).write_text("".join(lines[:at]) + own[3][:20])
    return out, tmp_path / "again"


def test_a_resumed_run_asks_only_what_is_missing_and_ends_the_same(dead, tiny_llama, tiny_gemma3):
    whole, out = dead
    a, b = Dying(tiny_llama, -1), Dying(tiny_gemma3, -1)
    run = resume(out, {"a": a, "b": b})
    assert run is not None
    assert a.asked == []
    assert len(b.asked) == 10 - 3
    assert untimed(out) == untimed(whole)
    assert len(list((out / "logs").iterdir())) == 4
    assert not (out / JOURNAL).exists()
    assert not (out / LOCK).exists()

    def key(r):
        return (r.subject, r.measure, r.id)

    texts = [(key(r), r.completion.text) for r in sorted(read_records(whole), key=key)]
    assert [(key(r), r.completion.text) for r in sorted(read_records(out), key=key)] == texts
    assert json.loads((out / "env.json").read_text())["resumed"] == 1
    assert "was interrupted and resumed" not in (out / "report.html").read_text()  # float32: nothing to warn of
    assert resume(out) is None


def test_a_changed_model_is_refused(dead, tiny_llama, tiny_gemma3):
    _, out = dead
    before = (out / JOURNAL).read_bytes()

    other = Dying(tiny_gemma3, -1)
    other.describe = lambda: {**tiny_gemma3.describe(), "revision": "sha256:0"}
    with pytest.raises(DataError, match=r"b has changed since .* its revision was random and is sha256:0 now"):
        resume(out, {"a": tiny_llama, "b": other})
    with pytest.raises(DataError, match="measures a, b; got a"):
        resume(out, {"a": tiny_llama})
    env = json.loads((out / "env.json").read_text())
    env["packages"]["boresight"] = "0.0.1"
    (out / "env.json").write_text(json.dumps(env))
    with pytest.raises(DataError, match=r"begun with boresight 0\.0\.1"):
        resume(out, {"a": tiny_llama, "b": tiny_gemma3})
    assert (out / JOURNAL).read_bytes() == before


def test_bfloat16_after_a_resume_is_told(dead, tiny_llama, tiny_gemma3):
    _, out = dead
    env = json.loads((out / "env.json").read_text())
    env["subjects"]["b"]["dtype"] = "bfloat16"
    (out / "env.json").write_text(json.dumps(env))
    coarse = Dying(tiny_gemma3, -1)
    coarse.describe = lambda: {**tiny_gemma3.describe(), "dtype": "bfloat16"}
    resume(out, {"a": tiny_llama, "b": coarse})
    assert "in bfloat16 an answer may differ from that of an uninterrupted run" in (out / "report.html").read_text()


def test_models_built_in_python_cannot_be_loaded_again(dead):
    _, out = dead
    with pytest.raises(DataError, match="begun from Python"):
        resume(out)


def test_what_is_no_run(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        resume(tmp_path / "x")
    with pytest.raises(DataError, match="holds nothing to go on with"):
        resume(tmp_path)
    (tmp_path / "note.txt").touch()
    with pytest.raises(DataError, match=r"no config\.yaml"):
        resume(tmp_path)
    (tmp_path / "note.txt").unlink()
    (tmp_path / "config.yaml").write_text("measure: token-shift\n")
    with pytest.raises(DataError, match="unfinished run of token-shift, which does not resume"):
        resume(tmp_path)
    (tmp_path / "config.yaml").write_text("measures: [refusal]\n")
    with pytest.raises(DataError, match="no 'subjects'"):
        resume(tmp_path)
    (tmp_path / "config.yaml").write_text("[")
    with pytest.raises(DataError, match="cannot be read"):
        resume(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"config.yaml"}


def test_options_that_contradict_are_named(dead):
    _, out = dead
    asked = unfinished(out)
    assert asked is not None
    require_same(out, asked, {"--limit": 5, "--seed": 0})
    with pytest.raises(DataError, match=r"--limit 7 contradicts .*config\.yaml \(5\)"):
        require_same(out, asked, {"--limit": 7})
    with pytest.raises(DataError, match=r"--out elsewhere contradicts"):
        require_same(out, asked, {"--out": "elsewhere"})


def test_a_run_that_was_killed_before_its_first_answer(tiny_llama, dead, tmp_path):
    whole, _ = dead
    out = tmp_path / "early"
    out.mkdir()
    (out / "config.yaml").write_text((whole / "config.yaml").read_text())
    config = yaml.safe_load((out / "config.yaml").read_text())
    assert config["subjects"] == ["a", "b"]
    (out / "config.yaml").write_text(yaml.safe_dump({**config, "subjects": ["a"]}))
    run = resume(out, {"a": tiny_llama})
    assert run is not None
    assert untimed(out)["measures"] == [m for m in untimed(whole)["measures"] if m["subject"] == "a"]


def test_a_directory_that_is_held_is_refused(tiny_llama, tmp_path):
    import threading

    out = tmp_path / "run"
    ready, leave = threading.Event(), threading.Event()

    def hold():
        with claimed(out):
            ready.set()
            leave.wait(30)

    other = threading.Thread(target=hold)
    other.start()
    assert ready.wait(30)
    try:
        with pytest.raises(OutputError, match="another run is writing to"):
            audit({"a": tiny_llama}, out=out, **ASK)
        assert out.exists()
    finally:
        leave.set()
        other.join()


def test_a_full_disk_ends_the_run_and_can_be_resumed(tiny_llama, tmp_path, monkeypatch):
    from boresight.report.journal import Journal

    out, written = tmp_path / "run", []
    add = Journal.add

    def full(self, entry):
        if len(written) == 3:
            raise OutputError(f"{self.path} cannot be written: No space left on device")
        written.append(entry)
        add(self, entry)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "add", full)
        with pytest.raises(OutputError, match="No space left"):
            audit({"a": tiny_llama}, out=out, **ASK)
    assert not (out / "results.json").exists()
    counting = Dying(tiny_llama, -1)
    assert resume(out, {"a": counting}) is not None
    assert len(counting.asked) == 10 - 3


def test_sampled_answers_do_not_depend_on_the_batch(tiny_llama):
    from boresight.chat import user
    from boresight.measure.engine import Engine

    how = Sampling(max_new_tokens=8, temperature=1.0, seed=3)
    chats = [user(f"Question {i % 3}") for i in range(6)]
    kept = {}
    with Engine(tiny_llama, on_done=kept.__setitem__) as engine:
        engine.submit([(c, how) for c in chats])
        whole = [engine.ask(c, how).result(60).text for c in chats]
    assert len(kept) == 6
    assert len(set(whole)) == 6, "equal prompts draw differently"
    half = dict(list(kept.items())[:3])
    with Engine(tiny_llama, known=half) as engine:
        engine.submit([(c, how) for c in chats])
        assert [engine.ask(c, how).result(60).text for c in chats] == whole
