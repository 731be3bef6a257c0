"""The disk cache in use, and what may be on the disk at all."""

import subprocess
import sys

import pytest

from boresight.chat import user
from boresight.lm.base import Sampling
from boresight.lm.remote.endpoint import Endpoint
from hurried import HURRIED

pytestmark = pytest.mark.model
SHORT = Sampling(max_new_tokens=6)
CHATS = [user(f"What is {i} plus {i}?") for i in range(4)]
PRICES = {"smollm2": {"input": 2.0, "output": 5.0}}

ASK = """
import sys
from boresight.chat import user
from boresight.lm.base import Sampling
from boresight.lm.remote.endpoint import Endpoint
model = Endpoint(sys.argv[1])
model.generate([user(f"What is {i} plus {i}?") for i in range(4)], Sampling(max_new_tokens=6))
print(model.usage.requests + model.usage.cached)
"""


def test_an_answer_is_paid_for_once(proxy, empty_cache):
    spec = f"{proxy.address}/v1#smollm2"
    first = Endpoint(spec, prices=PRICES, patience=HURRIED)
    proxy.faults.extend(["500", "drop"])
    answers = first.generate(CHATS, SHORT)
    assert first.usage.cost == pytest.approx((2 * proxy.tokens[0] + 5 * proxy.tokens[1]) / 1e6)
    asked = len(proxy.seen)
    again = Endpoint(spec, prices=PRICES, patience=HURRIED)
    heard: list[int] = []
    assert again.generate(CHATS, SHORT, on_done=lambda i, c: heard.append(i)) == answers
    assert sorted(heard) == [0, 1, 2, 3]
    assert len(proxy.seen) == asked
    assert (again.usage.cached, again.usage.requests, again.usage.cost) == (4, 0, 0.0)
    assert again.describe()["answers_kept"] is True


def test_only_the_same_question_has_the_same_answer(proxy, empty_cache):
    spec = f"{proxy.address}/v1#smollm2"
    model = Endpoint(spec)
    model.generate(CHATS[:1], SHORT)
    for other in (
        lambda: model.generate(CHATS[:1], Sampling(max_new_tokens=7)),
        lambda: model.generate(CHATS[:1], Sampling(max_new_tokens=6, stop=("#",))),
        lambda: model.generate(CHATS[:1], Sampling(max_new_tokens=6, temperature=1.0)),
        lambda: model.generate(CHATS[:1], Sampling(max_new_tokens=6, temperature=1.0, seed=1)),
        lambda: model.complete([CHATS[0][0]["content"]], SHORT),
        lambda: Endpoint(f"{proxy.address}/v1#another").generate(CHATS[:1], SHORT),
    ):
        before = len(proxy.seen)
        other()
        assert len(proxy.seen) == before + 1
    model.chunk("One, two,", 4)
    before = len(proxy.seen)
    assert model.chunk("One, two,", 4) == Endpoint(spec).chunk("One, two,", 4)
    model.generate(CHATS[:1], Sampling(max_new_tokens=6, temperature=1.0, seed=1))
    assert len(proxy.seen) == before


def test_nothing_is_kept_when_it_is_switched_off(proxy, empty_cache, monkeypatch):
    monkeypatch.setenv("BORESIGHT_REMOTE_CACHE", "off")
    for _ in range(2):
        Endpoint(f"{proxy.address}/v1#smollm2").generate(CHATS[:1], SHORT)
    assert len(proxy.seen) == 2
    assert not (empty_cache / "remote.sqlite").exists()


def test_what_fails_is_not_kept(proxy, empty_cache):
    model = Endpoint(f"{proxy.address}/v1#smollm2", patience=HURRIED)
    proxy.faults.extend(["form", "garbled", "error_inside"])
    (answer,) = model.generate(CHATS[:1], SHORT)
    assert answer.text
    assert model.generate(CHATS[:1], SHORT) == [answer]


def test_two_processes_share_the_answers(proxy, empty_cache):
    command = [sys.executable, "-c", ASK, f"{proxy.address}/v1#smollm2"]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate(timeout=60)[0].strip() for process in running] == ["4", "4"]
    assert len(proxy.seen) <= 8
    before = len(proxy.seen)
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "4"
    assert len(proxy.seen) == before


def test_a_key_is_sent_and_written_nowhere(proxy, empty_cache, tmp_path, monkeypatch, caplog):
    from boresight.report.run import audit

    monkeypatch.setenv("BORESIGHT_API_KEY", "sk-very-secret")
    model = Endpoint(f"{proxy.address}/v1#smollm2", patience=HURRIED)
    proxy.faults.append("500")
    audit({"remote": model}, out=tmp_path / "run", measures=["facts"], limit=2, max_new_tokens=8)
    assert all(headers["Authorization"] == "Bearer sk-very-secret" for _, _, headers, _ in proxy.seen)
    assert "sk-very-secret" not in caplog.text + repr(vars(model)) + repr(model.describe())
    written = [p for folder in (empty_cache, tmp_path / "run") for p in folder.rglob("*") if p.is_file()]
    assert len(written) > 4
    for path in written:
        assert b"sk-very-secret" not in _unpacked(path), path


def _unpacked(path) -> bytes:
    import zipfile

    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as packed:
            return b"".join(packed.read(name) for name in packed.namelist())
    return path.read_bytes()
