"""What is read off the positions: summary, frequencies, curves, the page and the JSON."""

import json
from html.parser import HTMLParser

import numpy as np
import pytest

from boresight.measure.latent.token_shift.metrics import COLUMNS
from boresight.measure.latent.token_shift.report import Answer, ShiftReport, build
from boresight.measure.latent.token_shift.summary import mean
from boresight.measure.latent.token_shift.view import shown

EOS = 99


class Engine:
    """What a report asks of the aligned model: names of tokens, and which of them end an answer."""

    eos_ids = frozenset({EOS})

    def __init__(self, texts=None) -> None:
        self.texts, self.tokenizer = texts or {}, self

    def decode(self, ids, **_):
        return self.texts.get(ids[0], f"<{ids[0]}>")

    def convert_ids_to_tokens(self, token):
        return self.decode([token])


def made(rows, texts=None, prompts=None, **engine) -> ShiftReport:
    """rows: for each answer, (token id, base rank, kl) of its positions."""
    parts = []
    for row in rows:
        n = len(row)
        part = {name: np.full(n, 0.25) for name in COLUMNS}
        rank = np.array([r for _, r, _ in row], dtype=int)
        part |= {"base_rank": rank, "aligned_rank": np.ones(n, int), "base_top1": np.zeros(n, int)}
        part["label"] = np.array(["unshifted", "marginal", "shifted"])[(rank > 1).astype(int) + (rank > 3)]
        part["kl_ab"] = np.array([k for *_, k in row], dtype=float)
        part["masked_mass"] = np.zeros(n)
        for side in ("base", "aligned"):
            part[f"{side}_top_ids"] = np.tile(np.arange(3), (n, 1))
            part[f"{side}_top_probs"] = np.tile([0.5, 0.3, 0.2], (n, 1))
        parts.append(part)
    answers = [
        Answer((prompts or {}).get(i, f"prompt {i}"), [t for t, *_ in row], i in engine.get("cut", ()))
        for i, row in enumerate(rows)
    ]
    settings = {"base_template": "query", "answers": "greedy", "max_new_tokens": 8, "top_k": 3}
    return build("base", "aligned", answers, parts, Engine(texts), settings)


ROWS = [
    [(10, 5, 4.0), (11, 1, 0.5), (10, 1, 0.5), (EOS, 9, 3.0)],
    [(10, 4, 2.0), (12, 2, 1.0)],
    [],
]


def test_shares_with_and_without_the_end_token():
    numbers = made(ROWS).summary()
    micro, macro = numbers["shares"]["micro"], numbers["shares"]["macro"]
    assert {k: e["value"] for k, e in micro.items()} == pytest.approx(
        {"unshifted": 2 / 6, "marginal": 1 / 6, "shifted": 3 / 6}
    )
    assert {k: e["value"] for k, e in macro.items()} == pytest.approx(
        {"unshifted": 0.25, "marginal": 0.25, "shifted": 0.5}
    )
    assert numbers["shares_without_eos"]["micro"]["shifted"]["value"] == pytest.approx(2 / 5)
    assert (micro["shifted"]["n"], micro["shifted"]["answers"], macro["shifted"]["n"]) == (6, 2, 2)
    assert (numbers["answers"], numbers["empty"]) == (3, 1)
    assert numbers["kl_ab"]["mean"]["value"] == pytest.approx(11 / 6)
    assert numbers["kl_ab"]["median"] == pytest.approx(1.5)
    assert numbers["base_top5"]["value"] == pytest.approx(5 / 6)


def test_early_and_late_positions():
    numbers = made([[(10, 1, float(t)) for t in range(30)]] * 2).summary()
    assert numbers["kl_first"]["value"] == pytest.approx(2)  # 0 to 4
    assert numbers["kl_later"]["value"] == pytest.approx(25)  # 21 to 29
    short = made([[(10, 1, 1.0)] * 3]).summary()
    assert short["kl_later"] == {"value": None, "ci": [None, None], "n": 0, "answers": 0}


def test_intervals_resample_answers_not_tokens():
    """Ten answers whose tokens are all alike within an answer: 1,000 tokens tell no more than ten."""
    values, answer = np.repeat([0.0, 1.0] * 5, 100), np.repeat(np.arange(10), 100)
    low, high = mean(values, answer)["ci"]
    assert high - low > 0.4
    assert mean(values, np.arange(1000))["ci"][1] - mean(values, np.arange(1000))["ci"][0] < 0.1
    assert mean(values, answer) == mean(values, answer)


def test_infinite_divergences_are_left_out_of_a_mean():
    found = mean(np.array([1.0, np.inf, 3.0]), np.array([0, 0, 1]))
    assert (found["value"], found["n"]) == (2.0, 2)


def test_frequencies():
    report = made(ROWS, {10: " Sure"})
    assert report.tokens(min_count=1) == [
        {"token_id": 10, "token": " Sure", "count": 2, "total": 3, "shift_rate": pytest.approx(2 / 3)},
        {"token_id": EOS, "token": "<99>", "count": 1, "total": 1, "shift_rate": 1.0},
    ]
    assert [row["token_id"] for row in report.tokens("unshifted", 1)] == [10, 11]
    assert report.tokens(min_count=3) == []
    with pytest.raises(ValueError, match="shifted is needed"):
        report.tokens("moved")


def test_curves():
    report = made(ROWS)
    absolute = report.curve()
    assert absolute["t"].tolist() == [0, 1, 2, 3]
    assert absolute["n"].tolist() == [2, 2, 1, 1]
    assert absolute["kl_ab"] == pytest.approx([3.0, 0.75, 0.5, 3.0])
    assert absolute["shifted"] == pytest.approx([1, 0, 0, 1])
    assert absolute["base_rank"] == pytest.approx([4.5, 1.5, 1, 9])
    relative = report.curve(by="relative")
    assert relative["bin"].tolist() == [0, 2, 5, 7]
    assert relative["n"].tolist() == [2, 1, 2, 1]
    with pytest.raises(ValueError, match="absolute or relative"):
        report.curve("token")


def test_curves_of_nothing_have_all_their_columns():
    for by in ("absolute", "relative"):
        empty, full = made([[], []]).curve(by), made(ROWS).curve(by)
        assert {name: column.dtype for name, column in empty.items()} == {n: c.dtype for n, c in full.items()}
        assert list(empty) == list(full)
        assert not any(map(len, empty.values()))


def test_positions_are_columns_of_one_length():
    report = made(ROWS)
    assert tuple(report.positions)[:5] == ("prompt_id", "t", "token_id", "token", "is_eos")
    assert {len(column) for column in report.positions.values()} == {6}
    assert report.positions["prompt_id"].tolist() == [0, 0, 0, 0, 1, 1]
    assert report.positions["is_eos"].tolist() == [False, False, False, True, False, False]


def test_json_holds_everything_and_only_valid_numbers(tmp_path):
    report = made([[(10, 1, np.inf), (11, 5, 1.0)]], {10: "\ud800"}, cut=(0,))
    report.to_json(tmp_path / "positions.json")
    text = (tmp_path / "positions.json").read_text()
    data = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert data["schema"] == "boresight.token-shift/1"
    assert data["positions"]["kl_ab"] == [None, 1.0]
    assert data["positions"]["label"] == ["unshifted", "shifted"]
    assert data["top"]["base_top_ids"] == [[0, 1, 2]] * 2
    assert data["answers"] == [{"prompt": "prompt 0", "tokens": 2, "truncated": True}]
    assert data["texts"]["11"] == "<11>"
    assert text == report.json()


class Page(HTMLParser):
    """Tags and texts of a page; every tag must be closed in order."""

    VOID = frozenset({"meta", "link", "br", "path", "rect"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags, self.open, self.text = [], [], ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


EVIL = '<script>alert(1)</script><img src=x onerror="x">'


def test_the_page_is_one_static_file_and_escapes_what_models_wrote(tmp_path):
    report = made(ROWS, {10: EVIL, 11: "a\u202eb", 1: "'\"&<b>", 12: "\n"}, {0: EVIL})
    report.to_html(tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    page = Page(html)
    assert EVIL not in html
    assert page.text.count(EVIL) >= 3  # shown as text: prompt, tokens, table
    assert {tag for tag, _ in page.tags} & {"script", "img", "iframe", "link", "object"} == set()
    assert not any(name.startswith("on") or name in ("src", "href") for _, a in page.tags for name in a)
    assert "\u202e" not in html
    assert "[U+202E]" in html
    assert "default-src 'none'" in html
    assert html.count("http") == html.count("http-equiv")


def test_the_page_shows_labels_and_both_tables():
    html = made(ROWS).html()
    assert html.count('class="t shifted') == 3
    assert html.count('class="t marginal"') == 1
    assert html.count('class="t unshifted"') == 2
    assert html.count("base gives it") == html.count("aligned gives it") == 6
    assert "1 of 3 answers are empty" in html
    assert "33.3\u00a0% of the tokens that aligned wrote" in html


def test_long_runs_show_whole_answers_up_to_a_limit(monkeypatch):
    from boresight.measure.latent.token_shift import view

    monkeypatch.setattr(view, "MOST_TOKENS", 5)
    html = made([[(10, 1, 0.1)] * 4, [(11, 1, 0.1)] * 4]).html()
    assert "1 of 2 answers are shown here" in html


def test_what_cannot_be_seen_gets_a_sign():
    assert [shown(text) for text in ("\n\n", " a b", "a b", " ", "\t", "")] == ["↵↵", "·a·b", "a b", "·", "⇥", ""]
