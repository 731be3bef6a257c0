import re
from html.parser import HTMLParser

import pytest
from examples import CAVEATS, ENV, METRICS, NOTES, SUBJECTS, TITLES, exchanges, results
from hypothesis import given, settings
from hypothesis import strategies as st

from boresight.lm.base import Span
from boresight.report.page import FOLD_CHARS, Answer, Exchange, marked, render_page
from boresight.report.results import MeasureRow, Results, SubjectRow
from boresight.safe import MARKED, name_of, visible

VOID = {"meta", "link", "br", "hr", "img", "input"}
SVG_LEAVES = {"path", "circle", "rect", "line"}


class Node:
    def __init__(self, tag, attrs, parent):
        self.tag, self.attrs, self.parent, self.children = tag, dict(attrs), parent, []

    def all(self, tag=None, **attrs):
        for child in self.children:
            if isinstance(child, Node):
                classes = (child.attrs.get("class") or "").split()
                wanted = {k.rstrip("_"): v for k, v in attrs.items()}
                if (tag is None or child.tag == tag) and all(
                    v in classes if k == "class" else child.attrs.get(k) == v for k, v in wanted.items()
                ):
                    yield child
                yield from child.all(tag, **attrs)

    def text(self):
        return "".join(c if isinstance(c, str) else c.text() for c in self.children)


class Tree(HTMLParser):
    """A strict reader: every element must be closed where it was opened."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.root = self.here = Node("root", [], None)

    def handle_starttag(self, tag, attrs):
        node = Node(tag, attrs, self.here)
        self.here.children.append(node)
        if tag not in VOID:
            self.here = node

    def handle_startendtag(self, tag, attrs):
        assert tag in SVG_LEAVES, f"<{tag}/> does not close itself in HTML"
        self.here.children.append(Node(tag, attrs, self.here))

    def handle_endtag(self, tag):
        assert self.here.tag == tag, f"</{tag}> inside <{self.here.tag}>"
        self.here = self.here.parent

    def handle_data(self, data):
        self.here.children.append(data)


def page(run=None, shown=(), **changes):
    given = {
        "metrics": METRICS,
        "titles": TITLES,
        "notes": NOTES,
        "env": ENV,
        "title": "boresight demo",
        "caveats": CAVEATS,
        **changes,
    }
    return render_page(results() if run is None else run, shown, **given)


def tree(html):
    reader = Tree()
    reader.feed(html)
    reader.close()
    assert reader.here is reader.root
    return reader.root


def squeeze(text):
    return " ".join(text.split())


def result_row(root, title):
    (table,) = root.all("table", class_="results")
    return next(tr for tr in table.all("tr") if any(title in th.text() for th in tr.all("th", scope="row")))


@pytest.fixture(scope="module")
def whole():
    return tree(page(shown=exchanges(), prompts=160))


def test_nothing_in_the_page_runs_or_loads(whole):
    tags = {node.tag for node in whole.all()}
    assert not tags & {"script", "iframe", "object", "embed", "form", "base", "img", "video", "audio", "template"}
    for node in whole.all():
        for name, value in node.attrs.items():
            assert not name.startswith("on")
            if name in ("href", "src", "xlink:href", "action"):
                assert value.startswith(("#", "data:image/svg+xml,"))
    (style,) = whole.all("style")
    assert "url(" not in style.text()
    assert "@import" not in style.text()


def test_the_policy_forbids_all_but_inline_style_and_data_images(whole):
    policy = next(m for m in whole.all("meta") if m.attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy.attrs["content"].startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")
    head = next(whole.all("head"))
    tags = [c.tag for c in head.children if isinstance(c, Node)]
    assert tags[:2] == ["meta", "meta"]
    assert "style" not in tags[:2]


def test_sections_stand_in_order_and_the_links_lead_to_them(whole):
    ids = [s.attrs["id"] for s in whole.all("section") if "id" in s.attrs]
    assert ids == ["results", "pictures", "differences", "answers", "reading", "environment"]
    (nav,) = whole.all("nav")
    assert [a.attrs["href"].lstrip("#") for a in nav.all("a")] == ids


def test_key_facts_name_subjects_prompts_seed_and_time(whole):
    facts = {squeeze(next(d.all("dt")).text()): next(d.all("dd")).text() for d in next(whole.all("dl")).all("div")}
    assert facts == {
        "Subjects": "4",
        "Prompts to each": "160",
        "Samples per number": "38 to 40",
        "Seed": "0",
        "Time": "4 min 12 s",
        "Made": "2026-01-15 10:24:07 UTC",
    }
    (subjects,) = whole.all("ul", class_="subjects")
    text = squeeze(subjects.text())
    assert "base baseline gemma-3-270m no policy, as it is revision sha256:a5fd3b62230a…" in text
    assert "gamma=0.3" in text


def test_every_number_stands_with_interval_n_and_grader(whole):
    row = result_row(whole, "Ends by itself")
    assert squeeze(next(row.all("td", class_="grader")).text()).startswith("rule:text-health-v1")
    assert "↑ higher is better" in row.text()
    cells = [squeeze(td.text()) for td in row.all("td", class_="cell")]
    assert cells == [
        "5 % 1–17 %, n = 40",
        "55 % ✓ better 40–69 %, n = 40",
        "67.5 % ✓ better 52–80 %, n = 40",
        "80 % ✓ better 65–90 %, n = 40",
    ]
    (table,) = whole.all("table", class_="results")
    for cell in table.all("td", class_="cell"):
        assert "not measured" in cell.text() or re.search(r"–.*n = \d+", squeeze(cell.text()))


def test_dropped_samples_and_missing_numbers_are_shown(whole):
    dropped = [squeeze(td.text()) for td in result_row(whole, "Right answer").all("td", class_="cell")]
    assert dropped[1] == "52.6 % 37–68 %, n = 38, 2 dropped"
    missing = [squeeze(td.text()) for td in result_row(whole, "Share of nudged tokens").all("td", class_="cell")]
    assert missing[0] == missing[1] == missing[3] == "not measured"


def test_marks_need_an_interval_without_zero_and_a_question_mark_a_weak_p(whole):
    def marks(title):
        return [
            [squeeze(p.text()) for p in td.all("span", class_="pill")]
            for td in result_row(whole, title).all("td", class_="cell")
        ]

    assert marks("Degenerate loops") == [[], ["✓ better?"], ["✓ better"], ["✓ better"]]
    assert marks("Refuses harmless look-alikes") == [[], ["✗ worse?"], [], []]
    assert marks("Words per answer") == [[], ["↓ lower"], ["↓ lower"], ["↓ lower"]]
    (weak,) = result_row(whole, "Refuses harmless look-alikes").all("span", class_="unsure")
    assert "worse" in weak.attrs["class"]


def test_differences_show_interval_adjusted_p_n_and_test(whole):
    (table,) = whole.all("table", class_="diffs")
    rows = [squeeze(tr.text()) for tr in table.all("tr")]
    assert rows[1] == "Ends by itself ↑ higher is better; McNemar exact, Newcombe interval, Holm over 44"
    assert rows[3] == "base → nudged +62.5 points 44 to 75 ✓ better < 0.001 40"


def test_one_picture_for_each_metric_with_a_row_for_each_subject(whole):
    figures = list(whole.all("figure"))
    assert len(figures) == len(METRICS)
    svg = next(figures[0].all("svg"))
    assert [t.text() for t in svg.all("text", class_="name")] == [s.name for s in SUBJECTS]
    assert len(list(svg.all("circle"))) == len(list(svg.all("path", class_="ci"))) == 4
    assert "nudged 67.5 % (52–80)" in svg.attrs["aria-label"]
    assert [t.text() for t in figures[-1].all("text", class_="name")] == ["nudged"]  # the others have no such number
    for svg in whole.all("svg"):
        assert svg.attrs.get("aria-hidden") == "true" or svg.attrs.get("aria-label")


def test_dots_lie_inside_their_intervals(whole):
    for figure in whole.all("figure"):
        for g in figure.all("g"):
            for dot, line in zip(g.all("circle"), g.all("path", class_="ci"), strict=True):
                low, high = map(float, re.match(r"M([\d.]+) [\d.]+H([\d.]+)", line.attrs["d"]).groups())
                assert low <= float(dot.attrs["cx"]) <= high


def test_the_same_input_gives_the_same_bytes():
    assert page(shown=exchanges()) == page(shown=exchanges())


def test_notes_caveats_graders_and_environment_are_told(whole):
    text = squeeze(whole.text())
    for sentence in (*CAVEATS, *(n for found in NOTES.values() for n in found)):
        assert sentence in text
    (env,) = whole.all("section", id="environment")
    for value in ("2.13.0+cpu", "bfloat16", "24 GiB", "a5fd3b62230aa5ec" * 4, "none", "yes", "models › 1"):
        assert value in env.text()
    assert "sha256:" + "0c17e9f2b4d85a63" * 4 in env.text()
    assert "judge" not in text


def test_the_first_prompts_of_each_measure_are_open(whole):
    folds = [d for d in whole.all("details") if "exchange" in d.attrs["class"]]
    assert ["open" in d.attrs for d in folds] == [True, True, False, False] * 4


def answer(text, *spans, subject="base", **changes):
    return Answer(subject, text, "stop", 7, spans, **changes)


def shown_answers(*answers):
    return tree(page(shown=[Exchange("facts", "fact-1", "Why?", "harmful request", answers)]))


def test_answers_stand_side_by_side_in_the_subjects_order_with_their_chips():
    root = shown_answers(
        answer("", subject="urial"), answer("Oslo.", scores={"contains": 1.0, "exact": 0.0, "own_key": 2.5})
    )
    first, second = root.all("article")
    chips = [c.text() for c in first.all("span", class_="chip")]
    assert chips == [
        "ended by itself",
        "7 tokens",
        "right answer in the opening: yes",
        "exact answer: no",
        "own key: 2.5",
    ]
    assert "(empty answer)" in second.text()
    (prompt,) = root.all("span", class_="prompt")
    assert prompt.text() == "Why?"
    assert "harmful request" in squeeze(root.text())


def test_nudged_spans_are_marked_with_writer_and_probability():
    root = shown_answers(
        answer(
            "Sure! It is Oslo.",
            Span("small", "Sure!", 0.21, "nudge"),
            Span("big", " It is", 0.4),
            Span("big", " Oslo."),
        )
    )
    (mark,) = next(root.all("article")).all("mark")
    assert mark.text() == "Sure!"
    assert mark.attrs["title"] == "written by small; the base model's top-1 probability was 21 %"
    (text,) = root.all("div", class_="text")
    assert text.text() == "Sure! It is Oslo."
    assert "1 nudge" in [c.text() for c in root.all("span", class_="chip")]
    assert "written by a nudging model" in root.text()


def test_without_nudges_there_is_no_legend():
    root = shown_answers(answer("Oslo.", Span("big", "Oslo.", 0.4)))
    assert "nudging model" not in root.text()
    assert not list(root.all("mark"))


def test_spans_are_cut_to_the_text_that_was_kept():
    spans = (Span("s", "\n Sure, ", None, "nudge"), Span("b", "we go on"), Span("s", " and on and on", 0.1, "nudge"))
    root = shown_answers(answer("Sure, we go on and on", *spans))
    assert [m.text() for m in next(root.all("article")).all("mark")] == ["Sure, ", " and on"]
    assert next(root.all("div", class_="text")).text() == "Sure, we go on and on"


def test_spans_that_do_not_hold_the_text_mark_nothing():
    root = shown_answers(answer("Something else", Span("s", "Sure!", 0.1, "nudge")))
    (article,) = root.all("article")
    assert not list(article.all("mark"))
    assert "Something else" in article.text()


def test_a_long_answer_folds_its_end_and_loses_nothing():
    text = "word " * 400
    root = shown_answers(answer(text, Span("s", text[:300], 0.1, "nudge"), Span("b", text[300:])))
    (block,) = root.all("div", class_="text")
    (rest,) = block.all("details", class_="rest")
    (summary,) = rest.all("summary")
    assert block.text().replace(summary.text(), "") == text
    assert summary.text() == f"… {len(rest.text().replace(summary.text(), '').split())} more words"
    unbroken = "x" * (FOLD_CHARS + 1)
    (block,) = shown_answers(answer(unbroken)).all("div", class_="text")
    assert block.text().replace("… 1 more word", "") == unbroken


hostile = st.text(
    st.one_of(st.characters(), st.sampled_from("<>&\"'`/=\x00\x1b\u202e\u2066\ufeff\r\n\ud800")), max_size=60
)


@given(hostile, hostile, hostile)
@settings(max_examples=150, deadline=None)
def test_whatever_a_model_writes_is_text_and_stays_the_same_text(text, prompt, name):
    exchange = Exchange("facts", "i", prompt, name, (answer(text, Span(name, text, 0.1, "nudge")),))
    html = page(results(1, n=5), [exchange], title=name)
    html.encode("utf-8")
    root = tree(html)
    assert {n.tag for n in root.all()} <= TAGS
    (shown,) = root.all("div", class_="text")
    labelled = MARKED.sub(lambda m: name_of(m[0]), text.replace("\r\n", "\n"))
    assert shown.text() == (labelled or "(empty answer)")
    (found,) = root.all("h1")
    assert found.text() == visible(name)


TAGS = {n.tag for n in tree(page(shown=exchanges(1))).all()} | {"i", "mark", "ul"}


def test_marked_text_labels_what_would_be_obeyed():
    assert marked("a<b>\u202e&\r\n") == "a&lt;b&gt;<i class=ctl>U+202E</i>&amp;\n"


def test_a_big_run_stays_light():
    shown = [e for seed in range(4) for e in exchanges(10, words=110, seed=seed)][:150]
    assert len(shown) == 150
    assert len(page(shown=shown).encode()) < 1_000_000


def test_a_single_subject_is_not_compared():
    root = tree(page(results(1), exchanges(1, subjects=1)))
    text = squeeze(next(root.all("main")).text())
    assert "baseline" not in text
    assert "better?" not in text
    assert not list(root.all("section", id="differences"))
    assert not list(root.all("path", class_="base"))


def test_no_data_still_makes_a_page():
    root = tree(page(Results(created="2026", seed=1, seconds=0, subjects=[], measures=[]), env={}))
    assert "Nothing was measured in this run." in root.text()
    assert [s.attrs["id"] for s in root.all("section") if "id" in s.attrs] == ["reading", "environment"]


def test_unknown_metrics_and_many_subjects_have_their_place():
    subjects = [SubjectRow(name=f"subject-with-a-rather-long-name-{i}", model="m") for i in range(10)]
    rows = [
        MeasureRow(
            method="own",
            metric="own.new_one",
            subject=s.name,
            value=0.5,
            ci=(None, None),
            n=1,
            unit="nats",
            better="lower",
            grader="rule:own",
            notes="odd" if i else "usual",
        )
        for i, s in enumerate(subjects)
    ]
    root = tree(page(Results(created="", seed=0, seconds=1, subjects=subjects, measures=rows)))
    cells = [squeeze(td.text()) for td in result_row(root, "New one").all("td", class_="cell")]
    assert cells == ["0.5 nats no interval, n = 1 usual"] + ["0.5 nats no interval, n = 1"] * 9
    heads = [th.attrs["class"] for th in root.all("th", class_="cell")]
    assert heads[0] == "cell s0"
    assert "cell s0" not in heads[1:]
    names = [t.text() for t in root.all("text", class_="name")]
    assert all("…" in n and n.endswith(f"-{i}") for i, n in enumerate(names))
