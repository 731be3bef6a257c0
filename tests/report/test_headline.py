import pytest
from examples import METRICS, SUBJECTS, results

from boresight.errors import DataError
from boresight.report.headline import MAIN_METRIC, axes, headline, sentences
from boresight.report.results import ComparisonRow, MeasureRow, Results, SubjectRow


def row(metric=MAIN_METRIC, a="base", b="nudged", difference=0.625, ci=(0.46, 0.76), n=40, p: float | None = 0.001):
    return ComparisonRow(metric=metric, a=a, b=b, difference=difference, ci=ci, n=n, p=p, test="paired")


def run(*comparisons, subjects=(0, 2)):
    whole = results()
    names = [SUBJECTS[i].name for i in subjects]
    return whole.model_copy(
        update={
            "subjects": [SUBJECTS[i] for i in subjects],
            "measures": [m for m in whole.measures if m.subject in names],
            "comparisons": list(comparisons),
        }
    )


def test_it_says_what_changed_with_interval_and_n():
    assert headline(run(row()), METRICS) == (
        "Steered with nudging, gemma-3-270m ended its answers by itself 62.5 points more often than base "
        "(95 % interval 46 to 76, n = 40). "
        "Over 1 comparison with base, after Holm adjustment: 1 better, 0 worse, 0 cannot be told apart."
    )


def test_it_says_less_often():
    assert "20 points less often than base (95 % interval −30 to −9, n = 40)" in headline(
        run(row(difference=-0.2, ci=(-0.3, -0.09))), METRICS
    )


def test_it_is_honest_when_the_interval_holds_zero():
    text = headline(run(row(difference=0.033, ci=(-0.12, 0.18), n=30, p=0.8)), METRICS)
    assert text.startswith(
        "Steered with nudging, gemma-3-270m cannot be told apart from base on “ends by itself” at n = 30 "
        "(+3.3 points, 95 % interval −12 to 18)."
    )
    assert "0 better, 0 worse, 1 cannot be told apart" in text
    assert "more often" not in text


def test_without_the_main_metric_the_first_one_compared_speaks():
    text = headline(run(row("refusal.harmless", difference=-0.2, ci=(-0.3, -0.1)), row("facts.exact")), METRICS)
    assert "scored 20 points lower than base on “refuses harmless look-alikes”" in text
    assert "lower is better" in text
    assert "1 comparison" not in text
    assert "Over all 2 comparisons" in text


def test_the_main_metric_goes_first_wherever_it_stands():
    text = headline(run(row("facts.exact", difference=0.1, ci=(0.05, 0.2)), row()), METRICS)
    assert "ended its answers by itself 62.5 points more often" in text


def test_counts_follow_the_better_side_and_the_adjusted_p():
    text = headline(
        run(
            row(),
            row("text-health.degenerate", difference=0.3, ci=(0.1, 0.5)),  # significant, and lower would be better
            row("facts.exact", difference=0.2, ci=(0.01, 0.4), p=0.2),  # the interval alone is not counted
            row("text-health.words", difference=-60, ci=(-80, -40)),  # no better side
            row("facts.contains", difference=0.1, ci=(None, None), p=None),
        ),
        METRICS,
    )
    assert text.endswith(
        "Over all 5 comparisons with base, after Holm adjustment: 1 better, 1 worse, 1 changed with no better side, "
        "1 cannot be told apart, 1 could not be tested."
    )


def test_one_sentence_for_each_subject_and_one_that_counts():
    found = sentences(results(), METRICS)
    assert [name for name, _ in found] == ["urial", "nudged", "aligned", ""]
    assert found[2][1].startswith("aligned (smollm2-135m-instruct) ended its answers by itself")


def test_axes_name_what_got_better_and_what_got_worse():
    worse = row("text-health.degenerate", difference=0.3, ci=(0.1, 0.5))
    untold = row("facts.exact", difference=0.2, ci=(0.01, 0.4), p=0.2)
    assert axes(run(row(), worse, untold), METRICS) == [
        "nudged is a trade: better on “ends by itself”, worse on “degenerate loops”; 1 of 3 axes cannot be told."
    ]
    assert axes(run(row(), untold), METRICS) == [
        "nudged is better on “ends by itself” and worse on none; 1 of 2 axes cannot be told."
    ]
    assert axes(run(worse, untold), METRICS)[0].startswith("nudged is worse on “degenerate loops” and better on none")
    again = row("facts.contains", difference=0.2, ci=(0.01, 0.4), p=0.2)
    assert axes(run(untold, again), METRICS) == ["nudged cannot be told apart from base on any of 2 axes."]
    assert axes(run(row()), METRICS) == [], "one axis has no trade"


def test_another_baseline():
    found = dict(sentences(results(), METRICS, baseline="aligned"))
    assert "than aligned" in found["nudged"] or "apart from aligned" in found["nudged"]
    assert found["base"] == "base (gemma-3-270m) could not be compared with aligned."
    with pytest.raises(DataError, match="no subject is called 'nobody'"):
        headline(results(), METRICS, baseline="nobody")


def test_a_single_subject_states_its_main_numbers():
    text = headline(results(1), METRICS)
    assert text.startswith("base (gemma-3-270m): “ends by itself” 5 % (95 % interval 1–17 %, n = 40); ")
    assert "“all constraints met (strict)”" in text
    assert "loose" not in text
    assert "base on" not in text


def test_subjects_without_comparisons_are_stated_each():
    found = sentences(run(), METRICS)
    assert [name for name, _ in found] == ["base", "nudged"]


def test_no_data():
    empty = Results(created="", seed=0, seconds=0, subjects=[], measures=[])
    assert headline(empty, {}) == "Nothing was measured in this run."
    subject = SubjectRow(name="a", model="m")
    assert headline(empty.model_copy(update={"subjects": [subject]}), {}) == "Nothing was measured in this run."
    nothing = MeasureRow(
        method="x",
        metric="x.y",
        subject="a",
        value=None,
        ci=(None, None),
        n=0,
        unit="fraction",
        better="none",
        grader="",
    )
    lost = empty.model_copy(update={"subjects": [subject], "measures": [nothing]})
    assert headline(lost, {}) == "a (m): nothing could be measured."


def test_without_an_interval_it_claims_nothing():
    text = headline(run(row(difference=1.0, ci=(None, None), n=1, p=None)), METRICS)
    assert "lies +100 points from base on “ends by itself”, but without an interval (n = 1)" in text
    assert text.endswith("None of the 1 comparisons with base could be tested.")


def test_two_policies_of_one_kind_go_by_their_names():
    twin = SUBJECTS[2].model_copy(update={"name": "nudged-hard", "policy": "nudging(gamma=0.5)"})
    whole = run(row(), row(b="nudged-hard"))
    both = whole.model_copy(update={"subjects": [*whole.subjects, twin]})
    found = dict(sentences(both, METRICS))
    assert found["nudged"].startswith("nudged (gemma-3-270m) ended")
    assert found["nudged-hard"].startswith("nudged-hard (gemma-3-270m) ended")
