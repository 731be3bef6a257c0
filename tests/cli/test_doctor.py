import json
import os
import subprocess
import sys

import pytest

from boresight import doctor
from boresight.cli import main
from boresight.doctor import Check, bfloat16_speedup, examine, exit_code
from boresight.lm import fetch, zoo


@pytest.fixture
def here(monkeypatch, empty_cache):
    """A machine with an empty cache and a hub that cannot be reached."""
    monkeypatch.setattr(fetch, "ASKED_OFFLINE", False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    return empty_cache


def found(name: str) -> Check:
    return next(c for c in examine() if c.name == name)


def test_healthy_machine_with_an_empty_cache(here, capsys):
    checks = {c.name: c for c in examine()}
    assert list(checks)[:4] == ["python", "boresight", "packages", "extras"]
    assert {"torch", "cores", "bfloat16", "memory", "gpu", "cache", "disk", "model hub", "package index"} <= set(checks)
    assert "fail" not in {c.status for c in checks.values()}
    assert exit_code(list(checks.values())) == 0
    for name in zoo.ENTRIES:
        assert checks[name].status == "warn"
        assert checks[name].advice.startswith(f"run boresight models pull {name}")
    assert checks["gemma-3-270m"].advice.endswith("--accept-licence")
    assert checks["model hub"].status == "warn"
    assert "127.0.0.1:9 cannot be reached" in checks["model hub"].found
    assert "package index" in checks["model hub"].advice
    assert str(here) in checks["cache"].found
    assert not here.exists(), "looking must not create the cache"
    for c in checks.values():
        assert c.status == "ok" or c.advice, f"{c.name} does not say what to do"

    assert main(["doctor"]) == 0
    table = capsys.readouterr().out
    assert "torch" in table
    assert "boresight models pull minilm-l6" in " ".join(table.split())
    assert main(["doctor", "--json"]) == 0
    assert {row["name"] for row in json.loads(capsys.readouterr().out)} == set(checks)


def test_models_in_the_cache_are_told(here):
    folder = here / "models" / "minilm-l6-index"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(bytes(20_000_000))
    (folder / "boresight.json").write_text(json.dumps({"files": {"model.safetensors": 20_000_000}}))
    assert found("minilm-l6") == Check("minilm-l6", "ok", "in the cache, from the index")
    assert "0.02 GB" in found("cache").found


def test_cache_that_cannot_be_written_is_essential_until_the_models_are_there(here, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BORESIGHT_CACHE", str(tmp_path / "file"))
    check = found("cache")
    assert (check.status, check.advice) == ("fail", "set BORESIGHT_CACHE to a folder that you may write to")
    assert main(["doctor"]) == 1
    assert "BORESIGHT_CACHE" in capsys.readouterr().out
    for name in list(zoo.ENTRIES):
        monkeypatch.delitem(zoo.ENTRIES, name)
    assert found("cache").status == "warn"


def test_offline_wish_is_respected(here, monkeypatch):
    monkeypatch.setattr(fetch, "ASKED_OFFLINE", True)
    assert "not asked" in found("model hub").found


def test_a_step_that_breaks_is_a_finding(here, monkeypatch):
    def broken():
        raise RuntimeError("no such thing")

    monkeypatch.setattr(doctor, "_gpu", broken)
    assert any("could not be examined (RuntimeError: no such thing)" in c.found for c in examine())


def test_missing_packages_and_extras(here, monkeypatch):
    needs = [("numpy>=1", []), ("numpy>=999", []), ("surely-missing>=1", ["serve"]), ("torch", ["serve", "train"])]
    monkeypatch.setattr(doctor, "_requirements", lambda: needs)
    packages = found("packages")
    assert packages.status == "fail"
    assert "numpy>=999" in packages.found
    assert "numpy>=1," not in packages.found
    extras = found("extras")
    assert extras.status == "ok", "what is optional is not a fault"
    assert extras.found == "serve (missing surely-missing); train"
    assert extras.advice == "optional; pip install 'boresight[serve]' adds them"


def test_requirements_are_those_of_the_installed_package():
    needs = doctor._requirements()
    plain = [need for need, extras in needs if not extras]
    assert any(need.startswith("torch") for need in plain)
    assert any(extras == ["dev"] for _, extras in needs)


def test_speedup_is_a_ratio():
    assert 0.01 < bfloat16_speedup() < 100


def test_plain_symbols_where_the_terminal_has_no_unicode(here):
    program = "import sys; from boresight.cli import main; sys.exit(main(['doctor']))"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.startswith(b"ok  python")
