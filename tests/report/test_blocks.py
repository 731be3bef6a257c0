import math
import random
import re
from pathlib import Path

import numpy as np
import pytest
from examples import exchanges
from test_browser import CHROMIUM, HOSTILE, browse, page
from test_page import Tree

from boresight.measure.blocks import Dumbbell, Heat, Reliability, Table
from boresight.report import page as page_module
from boresight.report.blocks import DASH, SQUARE, drawn

CSS = Path(page_module.__file__).with_name("page.css").read_text("utf-8")


def figure(block):
    """The block's element in a page that shows it."""
    tree = Tree()
    tree.feed(page(exchanges(1), blocks={"facts": [block]}))
    assert tree.here is tree.root
    (found,) = tree.root.all("figure", class_="block")
    return found


def texts(node, tag):
    return [n.text().strip() for n in node.all(tag)]


def rows(table):
    body = next(table.all("tbody"))
    return [[c.text() for c in row.children if not isinstance(c, str)] for row in body.all("tr")]


def heat(values, **changes):
    given = {"rows": [f"r{i}" for i in range(len(values))], "columns": [f"c{i}" for i in range(len(values[0]))]}
    return Heat("Map", values=values, **{**given, **changes})


def test_table_shows_few_decimals_and_dashes():
    table = Table(
        "Loops",
        ["who", "n", "share", "odd"],
        [["base", 12345, 0.45678, -0.00001], ["other", None, 0.5, 1e-9], ["third", 0, -0.25, math.inf]],
        note="A note.",
    )
    found = figure(table)
    assert rows(found) == [
        ["base", "12,345", "0.457", "> −0.001"],
        ["other", DASH, "0.500", "< 0.001"],
        ["third", "0", "−0.250", "∞"],
    ]
    assert texts(found, "p") == ["A note."]
    assert [(n.attrs.get("class"), n.attrs["scope"]) for n in next(found.all("thead")).all("th")] == [
        (None, "col"),
        ("num", "col"),
        ("num", "col"),
        ("num", "col"),
    ]
    assert {n.attrs["scope"] for n in next(found.all("tbody")).all("th")} == {"row"}
    assert [n.text() for n in found.all("td", class_="num")].count("0.457") == 1
    (missing,) = next(found.all("tbody")).all("span")
    assert missing.attrs["aria-label"] == "not measured"


def test_table_columns_may_mix_text_and_numbers():
    body = drawn(Table("t", ["a", "b"], [["x", 1.5], [2, "none"], [None, math.nan]])).body
    assert not body.named
    assert [c.is_number for c, _ in body.head] == [False, False]
    assert [[(c.text, c.is_number) for c in row] for row in body.rows] == [
        [("x", False), ("1.5", True)],
        [("2", True), ("none", False)],
        [(DASH, False), (DASH, False)],
    ]


def test_numbers_of_numpy_are_numbers():
    body = drawn(Table("t", ["a", "b"], [[np.int64(3), np.float32(0.25)]])).body
    assert [c.text for c in body.rows[0]] == ["3", "0.25"]


def test_heat_shades_by_value_between_low_and_high():
    found = figure(heat([[0.0, 0.25, 1.0, None]]))
    assert rows(found) == [["r0", "0", "25", "100", DASH]]
    cells = list(next(found.all("tbody")).all("td"))
    assert [c.attrs.get("style") for c in cells] == ["--v:0.0%", "--v:25.0%", "--v:100.0%", None]
    assert cells[3].attrs["class"] == "hatched"
    assert next(cells[3].all("span")).attrs["aria-label"] == "not measured"
    assert texts(next(found.all("p", class_="key")), "span") == ["0 %", "100 %", "not measured"]


def test_heat_has_no_key_for_missing_values_where_there_are_none():
    assert texts(next(figure(heat([[0.5]])).all("p", class_="key")), "span") == ["0 %", "100 %"]


def test_heat_around_zero_has_two_colours():
    body = drawn(heat([[-0.5, 0.0, 1.0, -2.0]], unit="", low=-1)).body
    (_, cells), *_ = body.rows
    assert [(c.text, c.percent, c.below) for c in cells] == [
        ("−0.50", 50.0, True),
        ("0.00", 0.0, False),
        ("1.00", 100.0, False),
        ("−2.00", 100.0, True),
    ]
    assert body.zero == 50.0
    assert (body.key[0].text, body.key[1].text) == ("−1", "1")


@pytest.mark.parametrize(
    ("x", "text"),
    [(0.004, "0.4"), (0.996, "99.6"), (0.0001, "<0.1"), (0.9999, ">99.9"), (0, "0"), (1, "100"), (0.3 + 1e-17, "30")],
)
def test_per_cent_in_a_cell_is_0_or_100_only_where_it_is(x, text):
    (_, (cell,)), *_ = drawn(
        heat(
            [
                [
                    x,
                ]
            ]
        )
    ).body.rows
    assert cell.text == text


@pytest.mark.parametrize(("values", "shown"), [([3, 10], ["3", "10"]), ([2.5, 300.4], ["2.5", "300"])])
def test_numbers_of_a_map_go_by_its_scale(values, shown):
    (_, cells), *_ = drawn(heat([values], unit="words", high=400)).body.rows
    assert [c.text for c in cells] == shown


def test_names_of_many_columns_are_written_upwards_and_kept_whole():
    name = "self-preservation and goal guarding"
    found = figure(heat([[0.5] * 30] * 30, columns=[f"{name} {i}" for i in range(30)]))
    assert "widest" in found.attrs["class"]
    heads = list(next(found.all("thead")).all("th"))
    assert [h.attrs["title"] for h in heads] == [f"{name} {i}" for i in range(30)]
    assert all(len(h.text()) < len(name) for h in heads)
    assert len(rows(found)) == 30


def test_dumbbell_puts_two_dots_on_a_track():
    found = figure(Dumbbell("d", ("free", "paid"), ["a", "b", "c"], [(0.25, 1.0), (None, 0.5), (None, math.nan)]))
    assert texts(next(found.all("thead")), "th") == ["free", "paid"]
    assert rows(found) == [["a", "", "25 %", "100 %"], ["b", "", DASH, "50 %"], ["c", "", DASH, DASH]]
    first, second, third = next(found.all("tbody")).all("tr")
    assert [(c.attrs["class"], c.attrs["cx"]) for c in first.all("circle")] == [("ring", "25.0%"), ("full", "100.0%")]
    (join,) = first.all("line", class_="join")
    assert (join.attrs["x1"], join.attrs["x2"]) == ("25.0%", "100.0%")
    assert [c.attrs["class"] for c in second.all("circle")] == ["full"]
    assert not list(second.all("line", class_="join"))
    assert not list(third.all("circle"))
    assert texts(next(found.all("thead")), "text") == ["0", "25", "50", "75", "100 %"]


def test_dumbbell_in_another_unit():
    one = drawn(Dumbbell("d", ("a", "b"), ["x"], [(-5, 30)], unit="words", low=0, high=20))
    assert one.about == "in words"
    assert one.body.rows[0].at == (0.0, 100.0)
    assert one.body.rows[0].texts == ("−5", "30")
    assert [t for _, t in one.body.ticks] == ["0", "5", "10", "15", "20"]


def test_reliability_is_a_square_with_dots_by_count():
    block = Reliability("r", [(0.5, 0.5, 25), (0.0, 1.0, 100), (0.75, 0.25, 0)])
    body = drawn(block).body
    assert body.right - body.left == body.bottom - body.top
    big, small = body.spots
    assert (big.x, big.y) == (body.left, body.top)
    assert (small.x, small.y) == (SQUARE(0.5), (body.top + body.bottom) / 2)
    assert big.r == 2 * small.r  # four times the area
    found = figure(block)
    assert rows(found) == [["0 %", "100 %", "100"], ["50 %", "50 %", "25"], ["75 %", "25 %", "0"]]
    assert {"stated confidence", "came true"} <= set(texts(found, "text"))
    assert len(list(found.all("circle"))) == 2


@pytest.mark.parametrize(
    "block",
    [
        Table("Empty", ["a", "b"], []),
        Heat("Empty", [], ["a"], []),
        Heat("Empty", ["a"], [], [[]]),
        Dumbbell("Empty", ("a", "b"), [], []),
        Reliability("Empty", []),
        Reliability("Empty", [(0.5, 0.5, 0)]),
    ],
)
def test_empty_blocks_say_so(block):
    found = figure(block)
    assert texts(found, "figcaption")[0].startswith("Empty")
    assert texts(found, "p") == ["Nothing was measured."]
    assert not list(found.all("table"))


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (Table("T", ["a", "b"], [["x", 1], ["y"]]), "Table 'T': row 2 has 1 cell, the head has 2"),
        (heat([[0.1], [0.2]], rows=["only"]), "Heat 'Map': 2 rows of values, 1 named"),
        (heat([[0.1, 0.2]], columns=["only"]), "Heat 'Map': row 1 has 2 values, 1 column named"),
        (heat([[0.1]], low=1.0), "Heat 'Map': the scale goes from 1.0 to 1.0"),
        (heat([[0.1]], high=math.nan), "Heat 'Map': the scale goes from 0.0 to nan"),
        (Dumbbell("D", ("a", "b"), ["x"], []), "Dumbbell 'D': 0 pairs of values, 1 label"),
        (Dumbbell("D", ("a",), [], []), "Dumbbell 'D': 1 end named, 2 are needed"),
        (Dumbbell("D", ("a", "b"), ["x"], [(1, 2, 3)]), "Dumbbell 'D': pair 1 has 3 values"),
        (Dumbbell("D", ("a", "b"), ["x"], [(0, 1)], low=2), "Dumbbell 'D': the scale goes from 2 to 1.0"),
        (Reliability("R", [(0.5, 0.5, 1), (0.5, 1.5, 1)]), "Reliability 'R': point 2 is 0.5, 1.5, 1; two values"),
        (Reliability("R", [(math.nan, 0.5, 1)]), "Reliability 'R': point 1 is nan"),
        (Reliability("R", [(0.5, 0.5, -1)]), "Reliability 'R': point 1 is 0.5, 0.5, -1"),
        (Reliability("R", [(0.5, 0.5)]), "Reliability 'R': point 1 has 2 values, 3 are needed"),
    ],
)
def test_shapes_that_do_not_fit(block, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        drawn(block)


def all_kinds(text=""):
    """One or more blocks of each kind at their largest; `text` is part of every text in them."""
    rng = random.Random(0)
    names = [f"self-preservation and goal guarding {i} {text}" for i in range(40)]
    return [
        Table(f"t {text}", [f"a {text}", *names[:7]], [[names[i], *[rng.random()] * 6, text] for i in range(3)], text),
        heat([[rng.random() for _ in range(30)] for _ in range(30)], rows=names[:30], columns=names[:30], note=text),
        heat([[None, 0.5]], rows=names[:1], columns=names[:2], unit=f"u {text}", low=-1),
        Dumbbell(f"d {text}", (f"free {text}", f"paid {text}"), names, [(rng.random(), None)] * 40, f"u {text}"),
        Reliability(f"r {text}", [(rng.random(), rng.random(), rng.randrange(1, 999)) for _ in range(12)], text),
    ]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(text):
    html = page(exchanges(1), blocks={"facts": all_kinds(text)})
    tree = Tree()
    tree.feed(html)
    tags = {n.tag for n in tree.root.all()}
    assert not {"script", "img", "iframe", "base", "form", "a"} & {
        n.tag for f in tree.root.all("figure") for n in f.all()
    }
    assert not {"script", "img", "iframe", "base", "form", "object"} & tags
    assert not [a for n in tree.root.all() for a in n.attrs if a.startswith("on")]
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069]", html)


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian: apt-get install chromium)")
@pytest.mark.parametrize("width", [390, 1280])
def test_blocks_do_not_make_the_page_scroll_sideways(tmp_path, width):
    blocks = [*all_kinds(), *(b for text in (HOSTILE[0], HOSTILE[11], HOSTILE[14]) for b in all_kinds(text))]
    seen, asked = browse(page(exchanges(1), blocks={"facts": blocks}), tmp_path, width=width)
    assert seen["width"] == width
    assert seen["scroll"] <= width
    assert seen["pwned"] == []
    assert seen["handlers"] == 0
    assert set(asked) <= {"/", "/report.html", "/favicon.ico"}


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian: apt-get install chromium)")
def test_only_tables_and_maps_scroll_on_a_phone(tmp_path):
    seen, _ = browse(page(exchanges(1), blocks={"facts": all_kinds()[3:]}), tmp_path, width=390)
    assert seen["outside"] == []


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("shade", ["heat", "heat-below"])
def test_text_on_every_shade_is_readable(dark, shade):
    light, _, rest = CSS.partition("@media (prefers-color-scheme: dark)")
    night = rest.partition("\n}\n")[0]
    colours = {
        name: hexes(text) for name, text in re.findall(r"--([\w-]+): #([0-9a-f]{3,6})", night if dark else light)
    }
    assert luminance(colours["card"]) < 0.1 if dark else luminance(colours["card"]) > 0.9
    for percent in range(0, 101, 5):
        mixed = [
            (s * percent + c * (100 - percent)) / 100 for s, c in zip(colours[shade], colours["card"], strict=True)
        ]
        low, high = sorted((luminance(mixed), luminance(colours["ink"])))
        assert (high + 0.05) / (low + 0.05) >= 4.5


def hexes(text):
    whole = text if len(text) == 6 else "".join(2 * c for c in text)
    return [int(whole[i : i + 2], 16) for i in (0, 2, 4)]


def luminance(rgb):
    """Relative luminance as WCAG 2 defines it."""
    linear = [c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
