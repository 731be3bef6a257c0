import json
import shutil

import pytest
import yaml

from boresight.errors import DataError, ModelError, OutputError
from boresight.measure.battery import measure
from boresight.report.compare import compare
from boresight.report.records import read_records
from boresight.report.results import read_results
from boresight.report.run import audit
from boresight.steer import Nudging


@pytest.fixture(scope="module")
def subjects(tiny_gemma3, tiny_llama):
    return {"base": tiny_gemma3, "nudged": Nudging(tiny_gemma3, tiny_llama, gamma=0.2), "aligned": tiny_llama}


@pytest.fixture(scope="module")
def run(subjects, tmp_path_factory):
    return audit(subjects, out=tmp_path_factory.mktemp("runs") / "one", limit=6, max_new_tokens=12, title="<Tiny>")


def untimed(path):
    data = json.loads((path / "results.json").read_text())
    del data["created"], data["seconds"]
    return data


def test_the_run_directory_is_complete(run):
    names = {p.name for p in run.directory.iterdir()}
    assert names == {"config.yaml", "env.json", "logs", "results.json", "report.html"}
    assert len(list((run.directory / "logs").glob("*.eval"))) == 12
    config = yaml.safe_load((run.directory / "config.yaml").read_text())
    assert (config["battery"], config["limit"], config["seed"]) == ("quick", 6, 0)
    env = json.loads((run.directory / "env.json").read_text())
    assert env["subjects"]["nudged"]["nudger"]["model"] == "tiny-llama"
    assert env["packages"]["torch"]
    assert env["threads"] >= 1


def test_every_number_has_n_interval_and_grader(run):
    results = read_results(run.directory)
    assert results == run.results
    assert {s.name for s in results.subjects} == {"base", "nudged", "aligned"}
    for row in results.measures:
        assert row.grader
        assert row.dropped == 0
        assert row.n > 0
        assert row.value is not None
        if row.unit == "fraction":
            assert row.ci[0] <= row.value <= row.ci[1]
    shares = {r.subject for r in results.measures if r.metric == "text-health.nudged_share"}
    assert shares == {"nudged"}
    assert {(c.a, c.b) for c in results.comparisons} == {("base", "nudged"), ("base", "aligned")}


def test_the_answers_are_those_of_the_models(run, subjects):
    from boresight.chat import user
    from boresight.lm.base import Sampling

    for name, model in subjects.items():
        own = [r for r in run.records if r.subject == name and r.measure == "facts"]
        expected = model.generate([user(r.prompt) for r in own], Sampling(max_new_tokens=12))
        assert [r.completion.text for r in own] == [c.text for c in expected]


def test_the_page_holds_every_number(run):
    page = (run.directory / "report.html").read_text()
    assert "&lt;Tiny&gt;" in page
    assert "rule:refusal-v1" in page
    assert "142 labelled replies" in page
    for slug in ("text-health", "instructions", "refusal", "facts"):
        assert measure(slug).title in page


def test_the_same_seed_gives_the_same_results(run, subjects, tmp_path):
    audit(subjects, out=tmp_path / "again", limit=6, max_new_tokens=12)
    assert untimed(tmp_path / "again") == untimed(run.directory)
    audit(subjects, out=tmp_path / "other", limit=6, max_new_tokens=12, seed=1)
    assert {r.prompt for r in read_records(tmp_path / "other")} != {r.prompt for r in run.records}


def test_records_can_be_read_back_from_the_logs(run):
    def key(r):
        return (r.subject, r.measure, r.id)

    assert sorted(read_records(run.directory), key=key) == sorted(run.records, key=key)


def test_compare_within_a_run_and_between_runs(run, subjects, tmp_path):
    inside = compare(run.directory, subject_a="base", subject_b="nudged")
    again = [c for c in run.results.comparisons if c.b == "nudged"]
    assert [(c.metric, c.difference, c.ci) for c in inside.comparisons] == [
        (c.metric, c.difference, c.ci) for c in again
    ]
    audit({"base": subjects["base"]}, out=tmp_path / "two", measures=["facts"], limit=12, max_new_tokens=12)
    between = compare(run.directory, tmp_path / "two", subject_a="base")
    assert {c.metric for c in between.comparisons} == {"facts.exact", "facts.contains"}
    assert {c.n for c in between.comparisons} == {6}
    assert all(c.difference == 0 for c in between.comparisons)
    assert between.comparisons[0].a != between.comparisons[0].b


def test_compare_refuses_what_cannot_be_compared(run, subjects, tmp_path):
    with pytest.raises(DataError, match="has no subject 'x'; it has base, nudged, aligned"):
        compare(run.directory, subject_a="x")
    with pytest.raises(DataError, match="does not exist"):
        compare(run.directory, tmp_path)
    audit({"base": subjects["base"]}, out=tmp_path / "one", measures=["facts"], limit=2, max_new_tokens=2, seed=5)
    with pytest.raises(DataError, match="only the subject 'base'"):
        compare(tmp_path / "one")
    audit({"base": subjects["base"]}, out=tmp_path / "two", measures=["refusal"], limit=2, max_new_tokens=2)
    with pytest.raises(DataError, match="share no prompt"):
        compare(tmp_path / "one", tmp_path / "two")
    with pytest.raises(DataError, match=r"different length \(max_new_tokens 12 and 2\)"):
        compare(run.directory, tmp_path / "one")
    with pytest.raises(DataError, match=r"'base' of .* cannot be compared with itself"):
        compare(run.directory, subject_a="base", subject_b="base")


def test_compare_says_what_is_wrong_with_a_broken_run(run, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(run.directory, broken)
    log = next((broken / "logs").iterdir())
    log.write_bytes(log.read_bytes()[:3000])
    with pytest.raises(DataError, match=f"the log .*{log.name} cannot be read"):
        compare(broken)
    (broken / "config.yaml").write_text("[")
    with pytest.raises(DataError, match=r"has no config\.yaml"):
        compare(broken)
    (broken / "results.json").write_text(run.results.model_copy(update={"subjects": []}).to_json())
    with pytest.raises(DataError, match="has no subject at all"):
        compare(broken)


def test_a_pair_with_many_nudged_tokens_is_warned_of(run):
    share = next(r.value for r in run.results.measures if r.metric == "text-health.nudged_share")
    page = (run.directory / "report.html").read_text()
    assert share > 0.2
    assert f"wrote {share:.0%} of the tokens of nudged" in page


def test_failed_samples_are_counted_not_scored(tmp_path, tiny_llama):
    class Picky:
        name = "picky"
        describe = tiny_llama.describe

        def generate(self, chats, sampling=None, **hooks):
            if any("capital" in chat[-1]["content"] for chat in chats):
                raise DataError("no capitals today")
            return tiny_llama.generate(chats, sampling, **hooks)

    run = audit({"picky": Picky()}, out=tmp_path / "r", measures=["facts"], max_new_tokens=2)
    row = run.results.measures[0]
    assert row.dropped == len(run.errors) > 0
    assert row.n + row.dropped == 101
    assert "no capitals today" in run.errors[0]
    assert "no capitals today" in (tmp_path / "r" / "report.html").read_text()


def test_a_subject_without_a_single_answer_is_an_error(tmp_path, tiny_llama):
    class Broken:
        name = "broken"
        describe = tiny_llama.describe

        def generate(self, *_, **__):
            raise DataError("it is broken")

    with pytest.raises(DataError, match=r"broken gave no answer at all.*it is broken"):
        audit({"broken": Broken()}, out=tmp_path / "r", measures=["facts"], limit=3)
    assert not (tmp_path / "r" / "results.json").exists()


def test_bad_arguments_write_nothing(tmp_path, subjects):
    with pytest.raises(DataError, match="battery"):
        audit(subjects, out=tmp_path / "r", battery="slow")
    with pytest.raises(DataError, match="limit is 0"):
        audit(subjects, out=tmp_path / "r", limit=0)
    with pytest.raises(DataError, match="seed is -1"):
        audit(subjects, out=tmp_path / "r", seed=-1)
    with pytest.raises(ModelError, match="there is no folder"):
        audit(["./no-such-model"], out=tmp_path / "r")
    with pytest.raises(DataError, match="at least one subject"):
        audit({}, out=tmp_path / "r")
    assert not (tmp_path / "r").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    with pytest.raises(OutputError, match="not empty"):
        audit(subjects, out=tmp_path / "full")


def test_compare_takes_the_subject_of_the_same_name(run, subjects, tmp_path):
    audit(subjects, out=tmp_path / "again", limit=6, max_new_tokens=12)
    found = compare(run.directory, tmp_path / "again", subject_a="nudged")
    assert [s.model for s in found.subjects] == ["tiny-gemma3", "tiny-gemma3"]
    assert all(c.difference == 0 for c in found.comparisons)
