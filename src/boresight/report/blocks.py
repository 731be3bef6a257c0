"""Tables and pictures that a measure shows beside its numbers (`boresight.measure.blocks`), laid out for the page.

Here values become text, shades and positions; `blocks.html.jinja` puts them into HTML and SVG and escapes them.
NaN counts as not measured.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from boresight.measure.blocks import Block, Dumbbell, Heat, Reliability, Table
from boresight.report import chart, wording

DASH = "–"
PLACES = 3  # decimals of a number in a table
UPRIGHT = 8  # more columns than this have their names written upwards
WIDE = 16  # more columns than this take the whole width of the page
SQUARE = chart.Axis(0, 1, 54, 358)  # of a reliability diagram, from left to right
SQUARE_TOP = 16.0
_NAME_CHARS = 26  # of a name that is written upwards
_DOT, _SMALLEST = 13.0, 3.0  # radius of the dot with the highest count, and the least that can be seen


@dataclass(frozen=True)
class Cell:
    """Text of a table's cell; is_number: it stands right; is_missing: nothing was measured, the text is a dash."""

    text: str
    is_number: bool = False
    is_missing: bool = False


@dataclass(frozen=True)
class Grid:
    """A table. head: its cells with the least width of their columns in characters; named: the first names its row."""

    head: tuple[tuple[Cell, int], ...]
    rows: tuple[tuple[Cell, ...], ...]
    named: bool


@dataclass(frozen=True)
class Shade:
    """A cell of a heat map. percent: how much of the colour, 0 to 100, None: not measured; below: of that below 0."""

    text: str
    percent: float | None
    below: bool = False


@dataclass(frozen=True)
class Shades:
    """A heat map. columns: (shown name, whole name, least width); upright: they are written upwards.

    key: the two ends of its scale; zero: where 0 lies between them, in per cent.
    """

    columns: tuple[tuple[str, str, int], ...]
    rows: tuple[tuple[str, tuple[Shade, ...]], ...]
    upright: bool
    key: tuple[Shade, Shade]
    zero: float
    has_missing: bool


@dataclass(frozen=True)
class Pair:
    """A row of a dumbbell picture: label, two texts, two positions in per cent of the track (None: not measured)."""

    label: str
    texts: tuple[str, str]
    at: tuple[float | None, float | None]


@dataclass(frozen=True)
class Pairs:
    """A dumbbell picture; ticks: (position in per cent, label)."""

    rows: tuple[Pair, ...]
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class Spot:
    """A dot of a reliability diagram."""

    x: float
    y: float
    r: float


@dataclass(frozen=True)
class Square:
    """A reliability diagram. spots: large ones first; ticks: (x, y, label); rows: (stated, came true, count)."""

    left: float
    right: float
    top: float
    bottom: float
    spots: tuple[Spot, ...]
    ticks: tuple[tuple[float, float, str], ...]
    rows: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Drawn:
    """A block with what the template needs to draw it.

    kind: "table", "heat", "dumbbell" or "reliability". about: a few words under the title, such as the unit. body: None
    where there is nothing to show. wide: it needs the whole width of the page.
    """

    kind: str
    block: Block
    about: str
    body: Grid | Shades | Pairs | Square | None
    wide: bool = False


def drawn(block: Block) -> Drawn:
    """Lay out a block.

    Raises:
        ValueError: lengths do not fit each other, a scale has no extent, or a point lies outside the unit square; the
            message names the block's title.
    """
    match block:
        case Table():
            return Drawn("table", block, "", _grid(block))
        case Heat():
            return Drawn("heat", block, _unit(block.unit), _shades(block), wide=len(block.columns) > WIDE)
        case Dumbbell():
            return Drawn("dumbbell", block, _unit(block.unit), _pairs(block))
        case Reliability():
            about = "On the diagonal, as much came true as was stated. The larger a dot, the more it counts."
            return Drawn("reliability", block, about, _square(block))


def _grid(block: Table) -> Grid | None:
    for i, row in enumerate(block.rows, 1):
        _fits(block, f"row {i} has {_count(row, 'cell')}, the head has {len(block.head)}", len(row), len(block.head))
    if not block.rows or not block.head:
        return None
    columns = [_column(c) for c in zip(*block.rows, strict=True)]
    head = []
    for name, cells in zip(block.head, columns, strict=True):
        texts = [name, *(c.text for c in cells if not c.is_number)]
        is_number = all(c.is_number or c.is_missing for c in cells) and any(c.is_number for c in cells)
        head.append((Cell(name, is_number), _least_width(texts)))
    named = all(isinstance(row[0], str) for row in block.rows)
    return Grid(tuple(head), tuple(zip(*columns, strict=True)), named)


def _column(values: Sequence[str | float | int | None]) -> list[Cell]:
    """Cells of a column: fractions have the same number of decimals, so that their points stand below each other."""
    numbers = [float(x) for x in values if not isinstance(x, str | int | None) and math.isfinite(x)]
    places = max((len(f"{x:.{PLACES}f}".rstrip("0").partition(".")[2]) for x in numbers), default=0)
    is_text = any(isinstance(x, str) for x in values)
    cells = []
    for x in values:
        if isinstance(x, str):
            cells.append(Cell(x))
        elif x is None or math.isnan(x):
            cells.append(Cell(DASH, not is_text, True))
        else:
            cells.append(Cell(_number(x, 0 if isinstance(x, int) else places), True))
    return cells


def _least_width(texts: Sequence[str]) -> int:
    """Characters: room for the longest word, and a third of the longest text, both within reason."""
    word = max((len(w) for text in texts for w in text.split()), default=1)
    return max(min(word, 16), min(max(map(len, texts)) // 3, 28), 3)


def _shades(block: Heat) -> Shades | None:
    _fits(
        block, f"{_count(block.values, 'row')} of values, {len(block.rows)} named", len(block.values), len(block.rows)
    )
    for i, row in enumerate(block.values, 1):
        wrong = f"row {i} has {_count(row, 'value')}, {_count(block.columns, 'column')} named"
        _fits(block, wrong, len(row), len(block.columns))
    _has_extent(block)
    if not block.rows or not block.columns:
        return None
    upright = len(block.columns) > UPRIGHT
    names = tuple((chart.shorten(c, _NAME_CHARS) if upright else c, c, _least_width([c])) for c in block.columns)
    places = _shared_places(block)
    cells = [tuple(_shade(block, x, _short(x, block.unit, places)) for x in row) for row in block.values]
    ends = (block.low, block.high)
    low, high = (_shade(block, x, wording.value(x, block.unit if wording.is_rate(block.unit) else "")) for x in ends)
    return Shades(
        names,
        tuple(zip(block.rows, cells, strict=True)),
        upright,
        (low, high),
        round(100 * max(0.0, -block.low) / (block.high - block.low), 1) if block.low < 0 < block.high else 0.0,
        any(shade.percent is None for row in cells for shade in row),
    )


def _shade(block: Heat, x: float | None, text: str) -> Shade:
    """Sequential from low to high; where the scale goes through 0, two colours that fade towards 0."""
    if x is None or _is_missing(x):
        return Shade(DASH, None)
    if block.low < 0 < block.high:
        share, below = abs(x) / max(-block.low, block.high), x < 0
    else:
        share, below = (x - block.low) / (block.high - block.low), False
    return Shade(text, round(100 * min(1.0, max(0.0, share)), 1), below)


def _pairs(block: Dumbbell) -> Pairs | None:
    _fits(block, f"{_count(block.ends, 'end')} named, 2 are needed", len(block.ends), 2)
    wrong = f"{_count(block.values, 'pair')} of values, {_count(block.labels, 'label')}"
    _fits(block, wrong, len(block.values), len(block.labels))
    for i, pair in enumerate(block.values, 1):
        _fits(block, f"pair {i} has {_count(pair, 'value')}", len(pair), 2)
    _has_extent(block)
    if not block.labels:
        return None
    axis = chart.Axis(block.low, block.high, 0, 100)
    rate = wording.is_rate(block.unit)
    step = (block.high - block.low) / 4
    ticks = [wording.value(block.low + i * step, block.unit if rate else "") for i in range(5)]
    ticks = [t.removesuffix(" %") if i < 4 else t for i, t in enumerate(ticks)]

    def text(x: float | None) -> str:
        if x is None or _is_missing(x):
            return DASH
        return wording.value(x, block.unit if rate else "") if math.isfinite(x) else _number(x)

    rows = []
    for label, (a, b) in zip(block.labels, block.values, strict=True):
        at = (None if a is None or _is_missing(a) else axis(a), None if b is None or _is_missing(b) else axis(b))
        rows.append(Pair(label, (text(a), text(b)), at))
    return Pairs(tuple(rows), tuple((25.0 * i, t) for i, t in enumerate(ticks)))


def _square(block: Reliability) -> Square | None:
    for i, point in enumerate(block.points, 1):
        _fits(block, f"point {i} has {_count(point, 'value')}, 3 are needed", len(point), 3)
        stated, true, count = point
        if not (0 <= stated <= 1 and 0 <= true <= 1 and count >= 0):
            raise _wrong(block, f"point {i} is {stated}, {true}, {count}; two values in [0, 1] and a count are needed")
    if not any(count for _, _, count in block.points):
        return None
    bottom = SQUARE_TOP + SQUARE.right - SQUARE.left
    upwards = chart.Axis(0, 1, bottom, SQUARE_TOP)
    most = max(count for _, _, count in block.points)
    spots = [
        Spot(SQUARE(stated), upwards(true), round(max(_SMALLEST, _DOT * math.sqrt(count / most)), 1))
        for stated, true, count in sorted(block.points, key=lambda p: -p[2])
        if count
    ]
    labels = [t for _, t in chart.rate_axis().ticks]
    ticks = [(SQUARE(i / 4), upwards(i / 4), t) for i, t in enumerate(labels)]
    rows = [(wording.value(a, "fraction"), wording.value(b, "fraction"), f"{n:,}") for a, b, n in sorted(block.points)]
    return Square(SQUARE.left, SQUARE.right, SQUARE_TOP, bottom, tuple(spots), tuple(ticks), tuple(rows))


def _number(x: float, places: int = PLACES) -> str:
    """x with so many decimals and a true minus sign; what is rounded to 0 and is not 0 says so."""
    if math.isinf(x):
        return "∞" if x > 0 else wording.MINUS + "∞"
    least = 10.0**-PLACES
    if x and abs(x) < least / 2:
        return f"< {least:g}" if x > 0 else f"> {wording.MINUS}{least:g}"
    text = f"{x:,.{places}f}" if abs(x) < 1e12 else f"{x:.{PLACES}e}"
    return text.replace("-", wording.MINUS)


def _shared_places(block: Heat) -> int | None:
    """Decimals of all numbers of a map: none where all are whole, two on a short scale, else as each needs (None)."""
    numbers = [x for row in block.values for x in row if x is not None and math.isfinite(x)]
    if all(x == round(x) for x in numbers):
        return 0
    return 2 if block.high - block.low <= 20 else None


def _short(x: float | None, unit: str, places: int | None) -> str:
    """A value in a narrow cell: whole per cent, without the sign; only 0 and 100 are shown as such."""
    if x is None or not math.isfinite(x):
        return DASH if x is None or _is_missing(x) else _number(x)
    if not wording.is_rate(unit):
        return wording.value(x, "") if places is None else f"{x:,.{places}f}".replace("-", wording.MINUS)
    percent = 100 * x
    whole = round(percent)
    if whole not in (0, 100) or math.isclose(percent, whole, abs_tol=1e-9):
        return f"{whole}".replace("-", wording.MINUS)
    if abs(percent) < 0.05:
        return "<0.1" if percent > 0 else f">{wording.MINUS}0.1"
    return ">99.9" if 99.95 <= percent < 100 else f"{percent:.1f}".replace("-", wording.MINUS)


def _unit(unit: str) -> str:
    return "in per cent" if wording.is_rate(unit) else f"in {unit}" if unit else ""


def _is_missing(x: float | None) -> bool:
    return x is None or math.isnan(x)


def _has_extent(block: Heat | Dumbbell) -> None:
    if not (math.isfinite(block.low) and math.isfinite(block.high) and block.low < block.high):
        raise _wrong(block, f"the scale goes from {block.low} to {block.high}")


def _fits(block: Block, wrong: str, length: int, wanted: int) -> None:
    if length != wanted:
        raise _wrong(block, wrong)


def _wrong(block: Block, what: str) -> ValueError:
    return ValueError(f"{type(block).__name__} {block.title!r}: {what}")


def _count(items: Sequence[object], name: str) -> str:
    return f"{len(items)} {name}{'s' if len(items) != 1 else ''}"
