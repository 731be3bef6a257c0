import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boresight.errors import DataError
from boresight.measure.behaviour import discretion as d

FIXTURES = Path(__file__).parents[3] / "fixtures" / "discretion"


def numbers(values):
    return np.array([math.nan if v is None else float(v) for v in values])


def cases():
    return json.loads((FIXTURES / "synthetic.json").read_text())["cases"]


@pytest.mark.parametrize("case", cases())
def test_the_synthetic_cases(case):
    found, expected = d.bradley_terry(case["wins"]), numbers(case["priority"])
    np.testing.assert_allclose(found.w, expected, atol=1e-6)
    if "principle_prefs" in case:
        P, a = case["principle_prefs"], case["annotator"]
        assert d.wins(P, a).tolist() == case["wins"]
        if "category" in case:
            assert d.categorise(P) == case["category"]
            assert d.arbitrariness(P, a) == pytest.approx(case["DA"], abs=1e-12)
    if "ranks" in case:
        assert found.rank.tolist() == case["ranks"]
    if "DD" in case:
        assert d.discrepancy(case["ranks"], case["ranks_b"]) == pytest.approx(case["DD"], abs=1e-12)
    if "separated" in case:
        assert found.separated == case["separated"]


def test_the_scores_of_labels():
    for case in json.loads((FIXTURES / "discretise.json").read_text())["cases"]:
        assert d.discretise(np.array(case["scores"], dtype=float)).tolist() == case["expected"]


def test_the_human_priorities():
    data = json.loads((FIXTURES / "hh_human_wins.json").read_text())
    found, human = d.bradley_terry(data["wins"]), data["expected"]["human"]
    np.testing.assert_allclose(found.w, human["w"], atol=1e-6)
    assert found.rank.tolist() == human["rank"]
    for other in data["expected"].values():
        assert d.discrepancy(human["rank"], other["rank"]) == pytest.approx(other["DD_vs_human"], abs=1e-12)


@given(st.lists(st.lists(st.integers(0, 9), min_size=5, max_size=5), min_size=5, max_size=5))
def test_a_finite_fit_has_no_slope_and_mean_0(wins):
    w = np.array(wins, dtype=float)
    np.fill_diagonal(w, 0)
    found = d.bradley_terry(w)
    ps = d.supremacy(w)
    played = (w + w.T) > 0
    np.testing.assert_allclose((ps + ps.T)[played], 1)
    if not found.separated and np.isfinite(found.w).all():
        p = 1 / (1 + np.exp(-(found.w[:, None] - found.w)))
        np.testing.assert_allclose(w.sum(1), ((w + w.T) * p).sum(1), atol=1e-6)
        assert abs(found.w.mean()) < 1e-9
    assert np.isfinite(d.bradley_terry(w, prior=1.0).w[played.any(1)]).all()


def test_planted_priorities_are_found_again():
    rng = np.random.default_rng(0)
    P = np.zeros((2000, 8), dtype=int)
    for row in P:
        row[rng.choice(8, 2, replace=False)] = 1, -1
    w = np.linspace(-1.5, 1.5, 8)
    found = d.bradley_terry(d.wins(P, d.planted(P, w, seed=1)))
    assert np.corrcoef(np.argsort(np.argsort(w)), np.argsort(np.argsort(found.w)))[0, 1] > 0.95


def test_wrong_values_and_empty_sets():
    with pytest.raises(ValueError, match="-1, 0 or 1"):
        d.categorise([[2, 0]])
    with pytest.raises(ValueError, match="same ones"):
        d.wins([[1, -1]], [1, 1])
    with pytest.warns(RuntimeWarning):
        assert math.isnan(d.arbitrariness([[0, 0]], [1]))
    assert d.categorise([[math.nan, 1]]) == ["consensus"]
    assert math.isnan(d.discrepancy([1, 1], [1, 2]))


def test_an_oracle_that_always_says_A_abstains():
    assert not d.discretise(np.tile([0.9, 0.1, 0.0], (50, 2, 1))).any()


def test_the_audit_of_the_bundled_set():
    rows = d.bundled()
    P, a = d.preferences_by_rule(rows), [row.preference for row in rows]
    assert len(rows) == 200
    assert len({row.prompt for row in rows}) == 200
    assert P.shape == (200, 10)
    report = d.audit(P, a, list(d.RULES), n_boot=50)
    assert sum(report.counts.values()) == 200
    assert d.arbitrariness(P, a) == report.DA
    again = d.audit(P, a, list(d.RULES), n_boot=50)
    np.testing.assert_array_equal(report.low, again.low)
    assert d.distance(P, a, a, n_boot=20).value == 0
    assert d.what_if(P, a)["weighted sum"].n > 100


def test_human_labels_are_read(tmp_path):
    rows = d.bundled()[:2]
    file = tmp_path / "labels.csv"
    file.write_text(f"id,annotator,preference\n{rows[0].id},ann,1\n{rows[0].id},bob,response_0\n{rows[1].id},ann,tie\n")
    found = d.load_labels(file, rows)
    assert {name: a.tolist() for name, a in found.items()} == {"ann": [1, 0], "bob": [-1, 0], "majority": [0, 0]}
    file.write_text("id,preference\nnobody,1\n")
    with pytest.raises(DataError, match=r"line 2.*'id'"):
        d.load_labels(file, rows)


def test_published_rows_are_read(tmp_path):
    file = tmp_path / "hh.jsonl"
    talk = "\n\nHuman: Hi\n\nAssistant:"
    file.write_text(json.dumps({"chosen": talk + " Hello.", "rejected": talk + " Go."}) + "\n")
    (row,) = d.load_comparisons(file)
    assert (row.response_1, row.response_0, row.preference) == ("Hello.", "Go.", 1)
    file.write_text('{"prompt": "x", "response_1": "a"}\n')
    with pytest.raises(DataError, match=r"line 1: 'response_0'"):
        d.load_comparisons(file)


@pytest.mark.parametrize("order", [0, 1])
def test_the_oracle_reads_labels_as_a_plain_pass_does(tiny_llama, order, tmp_path):
    from boresight.measure.behaviour.discretion.prompts import question

    row = d.Comparison("x", "Hi", "Yes.", "No way.")
    principles = ["Be short.", "Be kind."]
    kept = tmp_path / "kept.jsonl"
    found = d.collect(tiny_llama, [row], principles, orders=(order,), kept=kept)
    answers = [row.response_1, row.response_0][:: 1 if order == 0 else -1]
    for k, principle in enumerate(principles):
        prompt = tiny_llama.encode(tiny_llama.render(question("Hi", *answers, principle)))
        for at, label in enumerate(("A", "B", "NA")):
            total = 0.0
            for spelled in (label, f" {label}", f'"{label}'):
                ids = tiny_llama.tokenizer(spelled, add_special_tokens=False)["input_ids"]
                with tiny_llama.session() as session:
                    p, logits = 1.0, session.append(prompt)
                    for token in ids:
                        p *= logits.double().softmax(-1)[token].item()
                        logits = session.append([token])
                total += p
            assert math.exp(found[0, k, 0, at]) == pytest.approx(total, abs=1e-5)
    again = d.collect(tiny_llama, [row], principles, orders=(order,), kept=kept)
    np.testing.assert_array_equal(found, again)


def by_adam(wins):
    """The published solver: Adam at a rate of 0.1 on the mean loss until no slope is above 1e-7."""
    import torch

    w = torch.tensor(wins, dtype=torch.float64)
    x = torch.zeros(len(w), dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([x], lr=0.1)
    for _ in range(30_000):
        adam.zero_grad()
        (w * torch.nn.functional.softplus(x[None, :] - x[:, None])).sum().div(w.sum()).backward()
        if x.grad.abs().max() < 1e-7:
            break
        adam.step()
    return x.detach().numpy()


def loss(wins, x):
    return (wins * np.logaddexp(0, x[None, :] - x[:, None])).sum() / wins.sum()


def test_the_solver_finds_what_adam_finds():
    published = np.array(json.loads((FIXTURES / "hh_human_wins.json").read_text())["wins"], dtype=float)
    rng = np.random.default_rng(1)
    drawn = [rng.integers(1, 30, (k, k)).astype(float) for k in (2, 5, 12)]
    for wins in (published, *drawn):
        np.fill_diagonal(wins, 0)
        reference = by_adam(wins)
        found = d.bradley_terry(wins).w
        assert loss(wins, found) <= loss(wins, reference) + 1e-9
        np.testing.assert_allclose(found, reference - reference.mean(), atol=1e-3)


def test_degenerate_input_is_answered_or_one_sentence():
    assert d.categorise([]) == []
    assert d.categorise(row for row in [[1, -1], [None, 1]]) == ["conflict", "consensus"]
    assert d.discretise(np.zeros((0, 2, 3))).shape == (0,)
    assert d.discretise([[None, 0.2, 0.1]]) == 0
    assert math.isnan(d.audit([], [], n_boot=5).DA)
    nothing = d.audit(np.zeros((3, 2)), [1, 1, -1], n_boot=5)
    assert nothing.shares["indifference"] == 1
    assert nothing.priorities.rank.tolist() == [-1, -1]
    assert not nothing.priorities.separated
    single = d.audit([[1], [-1]], [1, 1], n_boot=5)
    assert (single.DA, single.W.tolist()) == (0.5, [[0.0]])
    np.testing.assert_array_equal(np.isnan(d.supremacy([[5, 1], [3, 5]])), np.eye(2, dtype=bool))
    assert math.isnan(d.discrepancy([1], [1]))
    assert d.discrepancy([1, -1, 2, 3], [1, 2, 3, 4]) == 0
    for call, words in (
        (lambda: d.categorise([[1, 0], [1]]), "rows of equal length"),
        (lambda: d.categorise(None), "2 dimensions"),
        (lambda: d.categorise([["x"]]), "must hold numbers"),
        (lambda: d.wins([[1, -1]], [1], weights=[-1]), "weights"),
        (lambda: d.bradley_terry([[0, 1]]), "square"),
        (lambda: d.bradley_terry([[0, math.nan], [1, 0]]), "not finite"),
        (lambda: d.discrepancy([1, 2], [1, 2, 3]), "same length"),
        (lambda: d.discretise([[1, 2, 3, 4]]), "2 or 3 labels"),
        (lambda: d.what_if([[1, -1]], [1], folds=1), "folds"),
        (lambda: d.PrincipleSet.load([3]), "no text"),
    ):
        with pytest.raises((ValueError, DataError), match=words):
            call()


def test_comparisons_read_together_are_as_if_alone(tiny_llama):
    rows, principles = d.bundled()[:4], ["Be short.", "Be kind to whoever asks.", "Be calm."]
    together = d.collect(tiny_llama, rows, principles, orders=(0, 1), debias=True)
    alone = np.concatenate([d.collect(tiny_llama, [row], principles, orders=(0, 1), debias=True) for row in rows])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    two = d.collect(tiny_llama, rows, principles, include_na=False)
    assert np.isneginf(two[..., 2]).all()
    assert np.isfinite(two[..., :2]).all()
    assert d.collect(tiny_llama, [], principles).shape == (0, 3, 1, 3)
    assert d.collect(tiny_llama, rows, []).shape == (4, 0, 1, 3)


@pytest.mark.model
def test_a_small_oracle_with_shared_comparisons_is_that_without(smollm):
    from boresight.measure.behaviour.discretion.prompts import LABELS, SPELLINGS, question

    rows, principles = d.bundled()[:8], [text for text, _ in d.RULES.values()][:5]
    found = d.collect(smollm, rows, principles)
    asked = [question(r.prompt, r.response_1, r.response_0, p) for r in rows for p in principles]
    spelled = [s.format(label) for label in LABELS for s in SPELLINGS]
    prompts = [smollm.render(chat) for chat in asked for _ in spelled]
    plain = np.array([sum(tokens) for tokens in smollm.logprobs(prompts, spelled * len(asked))])
    plain = np.exp(plain).reshape(8, 5, 3, len(SPELLINGS)).sum(-1)
    np.testing.assert_allclose(np.exp(found[:, :, 0]), plain, atol=1e-3)
    np.testing.assert_allclose(found[:, :, 0], np.log(plain), atol=1e-2)  # small probabilities as well


@pytest.mark.model
def test_a_small_model_is_audited_offline(smollm, tmp_path):
    from boresight.report.run import audit

    options = {"discretion": {"oracle": "subject", "debias": True, "reverse": True}}
    run = audit({"small": smollm}, out=tmp_path / "run", measures=["discretion"], limit=4, options=options)
    found = {m.metric.removeprefix("discretion."): m for m in run.results.measures}
    assert not run.errors
    assert all(0 <= m.value <= 1 for m in found.values() if m.value is not None)
    assert {"abstained", "oracle_neither", "oracle_flipped", "oracle_right"} <= set(found)
    assert found["conflict"].value + found["consensus"].value + found["indifference"].value == pytest.approx(1)
    page = (run.directory / "report.html").read_text()
    assert "Priorities: small" in page
    assert "The oracle: small" in page
