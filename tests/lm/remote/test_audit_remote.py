"""Audits of remote models, end to end."""

import json

import pytest
from typer.testing import CliRunner

from boresight.cli import app
from boresight.lm.remote.endpoint import Endpoint
from boresight.lm.remote.inspect_model import InspectRemote
from boresight.measure.base import make_task
from boresight.measure.battery import chosen
from boresight.measure.engine import announced
from boresight.report.resume import resume
from boresight.report.run import Silent, audit
from hurried import HURRIED

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
    (used,) = results["subjects"][0]["usage"].values()
    asked = sum(len(announced(make_task(m, 3, 0, 24))) for m in chosen("quick", []))
    assert used["requests"] == asked
    assert (used["retries"], used["failed"], used["cost"]) == (0, 0, None)
    assert f"smollm2 for smollm2: {used['requests']} requests" in " ".join(done.output.split())
    assert f"{used['requests']} requests (0 retries" in (tmp_path / "run" / "report.html").read_text()


def test_the_cost_of_a_run_is_that_of_all_its_attempts(proxy, tmp_path):
    class Cut(Exception):
        pass

    class Impatient(Silent):
        heard = 0

        def answered(self):
            self.heard += 1
            if self.heard == 3:
                raise Cut

    price = {"smollm2": {"input": 1.0, "output": 2.0}}
    model = Endpoint(f"{proxy.address}/v1#smollm2", cache=False, prices=price, concurrency=1)
    policy = {"remote": model}
    with pytest.raises(Cut):
        audit(policy, out=tmp_path / "run", measures=["facts"], limit=5, max_new_tokens=8, progress=Impatient())
    again = Endpoint(f"{proxy.address}/v1#smollm2", cache=False, prices=price)
    run = resume(tmp_path / "run", {"remote": again})
    (used,) = run.results.subjects[0].usage.values()
    assert again.usage.requests < 5 <= used.requests <= model.usage.requests + again.usage.requests
    assert used.cost == pytest.approx((used.prompt_tokens + 2 * used.completion_tokens) / 1e6)


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
