import io
import re

import pytest
from examples import METRICS, results
from rich.console import Console

from boresight.report.results import ComparisonRow, MeasureRow, Results, SubjectRow
from boresight.report.table import comparison_table, results_table


def shown(table, width=100, **options):
    console = Console(width=width, record=True, file=io.StringIO(), **options)
    console.print(table)
    return console.export_text()


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_tables_stay_inside_the_terminal(width):
    for table in (results_table(results(), METRICS), comparison_table(results(), METRICS)):
        lines = shown(table, width).splitlines()
        assert max(map(len, lines)) <= width
        assert not any("…" in line for line in lines)


@pytest.mark.parametrize("width", [80, 100])
def test_numbers_are_never_torn_apart(width):
    text = shown(results_table(results(), METRICS), width)
    for number in ("✓ 67.5 %", "84.0–90.2 %", "↓ 95.1 words", "not measured"):
        assert number in text


def test_every_number_has_interval_n_and_grader():
    text = shown(results_table(results(), METRICS))
    lines = text.splitlines()
    at = next(i for i, line in enumerate(lines) if "ends by itself" in line)
    assert re.findall(r"[\d.]+ %", lines[at]) == ["5 %", "55 %", "67.5 %", "80 %"]
    assert "rule:text-health-v1, n 40" in lines[at + 1]
    assert re.findall(r"\d+–\d+ %", lines[at + 1]) == ["1–17 %", "40–69 %", "52–80 %", "65–90 %"]


def test_n_stands_at_the_numbers_where_samples_were_dropped():
    text = shown(results_table(results(), METRICS))
    at = text.index("right answer in the opening")
    assert "n 38, 2 dropped" in text[at : at + 400]
    assert text[at : at + 400].count("n 40") == 3


def test_marks_need_an_interval_without_zero_and_show_a_weak_p():
    told = {"✓ 55 %": True, "✓? 20 %": True, "✗? 30 %": True, "✓ 5 %": False, "✗ 50 %": False}
    text = shown(results_table(results(), METRICS))
    assert {mark: mark in text for mark in told} == told
    assert "✓ better ✗ worse than base" in text


def test_colours_follow_the_verdict():
    console = Console(width=100, record=True, force_terminal=True, file=io.StringIO())
    console.print(results_table(results(), METRICS))
    text = console.export_text(styles=True)
    assert re.search(r"\x1b\[1;32m✓ 67\.5 %", text)
    assert re.search(r"\x1b\[1;31m✗\? 30 %", text)


def test_one_subject_has_nothing_to_be_marked_against():
    text = shown(results_table(results(1), METRICS))
    assert "better than" not in text
    assert "worse" not in text
    assert "45 %" in text


def test_differences_name_direction_interval_p_and_tests():
    text = shown(comparison_table(results(), METRICS))
    line = next(line for line in text.splitlines() if "base → nudged" in line)
    assert re.search(r"✓ \+62\.5 pts +44 to 75 +< 0\.001 +40", line)
    assert "McNemar exact, Newcombe interval, Holm over 44" in text


def test_markup_and_control_characters_in_names_are_plain_text():
    evil = "[red]x[/red]\x1b[2J\u202e"
    row = MeasureRow(
        method="x", metric="x.y", subject=evil, value=0.5, ci=(0.4, 0.6), n=9, unit="share", better="none", grader=evil
    )
    pair = ComparisonRow(metric="x.y", a=evil, b="b", difference=0.1, ci=(0, 0.2), n=9, p=None, test=evil)
    run = Results(
        created="", seed=0, seconds=0, subjects=[SubjectRow(name=evil, model="m")], measures=[row], comparisons=[pair]
    )
    for table in (results_table(run, {}), comparison_table(run, {})):
        text = shown(table, 160)
        assert "[red]x[/red][U+001B][2J[U+202E]" in text
        assert "\x1b" not in text


def test_empty_results_still_make_tables():
    empty = Results(created="", seed=0, seconds=0, subjects=[], measures=[])
    assert "Results" in shown(results_table(empty, {}))
    assert "Differences" in shown(comparison_table(empty, {}))
