"""Audits of remote models, end to end."""

import json

import pytest
from hurried import HURRIED
from typer.testing import CliRunner

from boresight.cli import app
from boresight.lm.remote.endpoint import Endpoint
from boresight.lm.remote.inspect_model import InspectRemote
from boresight.report.run import audit

pytestmark = pytest.mark.model


def test_boresight_audit_takes_an_address(server, tmp_path, empty_cache):
    command = ["audit", f"{server.address}/v1#smollm2", "--limit", "3", "--max-new-tokens", "24"]
    done = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "run")])
    assert done.exit_code == 0, done.output
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert [s["model"] for s in results["subjects"]] == ["smollm2"]
    found = {m["metric"]: m for m in results["measures"]}
    assert found["text-health.ends"]["n"] == 3
    assert "text-health.top1_prob" not in found, "an endpoint does not tell, and nothing is made up"
    assert all(m["dropped"] == 0 for m in results["measures"] if m["value"] is not None)
    about = json.loads((tmp_path / "run" / "env.json").read_text())["subjects"]["smollm2"]
    assert (about["server"], about["served"]) == ("llamacpp", "smollm2-135m-instruct.gguf")
    assert (tmp_path / "run" / "report.html").is_file()


def test_a_prompt_that_fails_for_good_is_dropped_and_counted(proxy, tmp_path):
    model = Endpoint(f"{proxy.address}/v1#smollm2", cache=False, patience=HURRIED)
    first: list[str] = []

    def poison(body: str) -> bool:
        said = json.loads(body)["messages"][-1]["content"]
        first[:] = first or [said]
        return said == first[0]

    proxy.poison = poison
    run = audit({"remote": model}, out=tmp_path / "run", measures=["facts"], limit=5, max_new_tokens=8)
    rows = [m for m in run.results.measures if m.metric.startswith("facts.")]
    assert [(m.n, m.dropped) for m in rows if m.value is not None] == [(4, 1)] * len(rows)
    assert len(run.errors) == 1
    assert "status 500: on purpose" in run.errors[0]
    assert (model.usage.requests, model.usage.failed) == (4, 1)


def test_a_model_of_a_provider_in_an_audit(proxy, tmp_path, monkeypatch):
    """Inspect asks our provider, in its loop, which asks Inspect's provider, in ours."""
    pytest.importorskip("openai")
    monkeypatch.setenv("LOCAL_BASE_URL", f"{proxy.address}/v1")
    monkeypatch.setenv("LOCAL_API_KEY", "sk-local")
    model = InspectRemote("openai-api/local/smollm2", cache=False)
    run = audit({"remote": model}, out=tmp_path / "run", measures=["facts"], limit=5, max_new_tokens=8)
    assert next((m.n, m.dropped) for m in run.results.measures if m.value is not None) == (5, 0)
    assert (model.usage.requests, len(proxy.seen)) == (5, 5)


def test_a_server_that_does_not_answer_is_one_sentence(tmp_path):
    done = CliRunner().invoke(app, ["audit", "http://127.0.0.1:9/v1#m", "--out", str(tmp_path / "run")])
    assert done.exit_code != 0
    assert not (tmp_path / "run" / "results.json").exists()
