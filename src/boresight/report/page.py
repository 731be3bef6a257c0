"""report.html: one self-contained page, readable without scripts or network.

Model output is untrusted. Everything that is printed passes autoescaping and `safe.visible` (the environment's
`finalize`, so that no template line can forget it), the page has no script, and its content security policy forbids
scripts and every load from outside.
"""

import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from boresight import safe
from boresight.lm.base import Span
from boresight.lm.remote.usage import described
from boresight.measure.base import Metric
from boresight.measure.blocks import Block
from boresight.report import chart, wording
from boresight.report.blocks import drawn
from boresight.report.headline import axes, sentences
from boresight.report.results import ComparisonRow, Results

OPEN_EXCHANGES = 2  # of each measure; the others are folded
FOLD_CHARS = 900  # a longer answer shows its first HEAD_CHARS and folds the rest
HEAD_CHARS = 600
_COLOURS = 7  # subjects beyond them take the colours again, never the baseline's


@dataclass(frozen=True)
class Answer:
    """One subject's answer to one prompt.

    finish_reason: one of `boresight.lm.base.FINISH_REASONS`. spans: who wrote what; those whose role is not "base" are
    marked, with their writer and `prob`, the base model's top-1 probability where they begin. scores: what the graders
    gave this answer, by a metric's key.
    """

    subject: str
    text: str
    finish_reason: str
    tokens: int
    spans: tuple[Span, ...] = ()
    scores: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Exchange:
    """One prompt of a measure with the answers of all subjects; about: what kind of prompt it is, in a few words."""

    measure: str
    id: str
    prompt: str
    about: str
    answers: tuple[Answer, ...]


def render_page(
    results: Results,
    exchanges: Sequence[Exchange],
    *,
    metrics: Mapping[str, Metric],
    titles: Mapping[str, str],
    notes: Mapping[str, Sequence[str]],
    env: Mapping[str, Any],
    title: str,
    caveats: Sequence[str],
    prompts: int | None = None,
    blocks: Mapping[str, Sequence[Block]] | None = None,
) -> str:
    """The page as HTML text. The first subject is the baseline; all exchanges that are given are shown.

    metrics: by name; titles and notes: by the slug of a measure; env: what the run recorded about itself (any nesting
    of mappings, lists and plain values); caveats: sentences on what these numbers do not tell; prompts: how many each
    subject was given (None: not known); blocks: tables and pictures, by the slug of a measure.
    """
    known = wording.described(results, metrics)
    slots = {s.name: _slot(i) for i, s in enumerate(results.subjects)}
    graders = list(dict.fromkeys(r.grader for r in results.measures))
    template = _templates().get_template("page.html.jinja")
    return template.render(
        described=described,
        blocks={slug: [drawn(one) for one in some] for slug, some in (blocks or {}).items()},
        title=title,
        lead=[(slots.get(name), text.replace(" %", "\u00a0%")) for name, text in sentences(results, metrics)],
        facts=_facts(results, prompts),
        subjects=[(slots[s.name], s, _short_hash(s.revision)) for s in results.subjects],
        measures=_measures(results, known, titles, notes, slots),
        axes=axes(results, metrics),
        comparisons=_comparisons(results, known, slots),
        levels=wording.levels([*results.measures, *results.comparisons]),
        exchanges=_exchanges(exchanges, known, titles, slots),
        unsure=any(
            wording.is_told(_mark(c, known[c.metric])["verdict"]) and not wording.is_significant(c)
            for c in results.comparisons
        ),
        neutral=any(known[c.metric].better == "none" for c in results.comparisons),
        nudged=any(s.role != "base" for e in exchanges for a in e.answers for s in a.spans),
        graders=graders,
        rules=any(g.startswith("rule") for g in graders),
        caveats=list(caveats),
        environment=_environment_groups(env, results),
        word=wording,
    )


@cache
def _templates() -> Environment:
    env = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=lambda v: safe.visible(v) if isinstance(v, str) and not isinstance(v, Markup) else v,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters["marked"] = marked
    env.filters["initial"] = lambda text: text[:1].upper() + text[1:]
    return env


def marked(text: str) -> Markup:
    """Escaped text in which each character that `safe` knows is a small label of its own."""
    text, out, at = text.replace("\r\n", "\n"), Markup(), 0
    for m in safe.MARKED.finditer(text):
        out += escape(text[at : m.start()]) + Markup("<i class=ctl>{}</i>").format(safe.name_of(m[0]))
        at = m.end()
    return out + escape(text[at:])


def _facts(results: Results, prompts: int | None) -> list[tuple[str, str]]:
    facts = [("Subjects", str(len(results.subjects)))]
    if prompts is not None:
        facts.append(("Prompts to each", f"{prompts:,}"))
    if sizes := [r.n for r in results.measures if r.value is not None]:
        low, high = min(sizes), max(sizes)
        facts.append(("Samples per number", f"{low:,}" if low == high else f"{low:,} to {high:,}"))
    return [
        *facts,
        ("Seed", str(results.seed)),
        ("Time", wording.duration(results.seconds)),
        ("Made", re.sub(r"(Z|\+00:00)$", " UTC", results.created.replace("T", " "))),
    ]


def _measures(
    results: Results,
    known: Mapping[str, Metric],
    titles: Mapping[str, str],
    notes: Mapping[str, Sequence[str]],
    slots: Mapping[str, int],
) -> list[dict[str, Any]]:
    """Measures in order, each with its metrics; a metric has one cell for each subject, and a picture."""
    method_of = {r.metric: r.method for r in results.measures}
    found: dict[str, dict[str, Any]] = {}
    for name, slug in method_of.items():
        measure = found.setdefault(
            slug, {"slug": slug, "title": titles.get(slug, slug), "notes": list(notes.get(slug, ())), "metrics": []}
        )
        measure["metrics"].append(_metric(results, name, known[name], slots))
    return list(found.values())


def _metric(results: Results, name: str, metric: Metric, slots: Mapping[str, int]) -> dict[str, Any]:
    base = results.subjects[0].name if results.subjects else ""
    cells, points = [], []
    for subject, slot in slots.items():
        row = wording.row_of(results, name, subject)
        comparison = wording.comparison_of(results, name, base, subject)
        mark = _mark(comparison, metric)
        cells.append({"subject": subject, "slot": slot, "row": row, **mark})
        sign = wording.sign(mark["verdict"], mark["sure"]) if wording.is_told(mark["verdict"]) else ""
        if row:  # a metric that does not apply to a subject has no row, and no place in the picture
            points.append(chart.Point(subject, slot, row.value, row.ci, mark["verdict"], sign))
    rows = [c["row"] for c in cells if c["row"]]
    graders = dict.fromkeys(r.grader for r in rows)
    notes = [r.notes for r in rows if r.value is not None]
    how = statistics.mode(notes) if notes else ""
    return {
        "metric": metric,
        "graders": list(graders),
        "cells": cells,
        "chart": chart.chart(points, metric.unit),
        "how": how,
    }


def _mark(row: ComparisonRow | None, metric: Metric) -> dict[str, Any]:
    """The verdict of a comparison and whether it survives the adjusted p."""
    verdict = wording.verdict(row, metric.better) if row else "none"
    return {"verdict": verdict, "sure": row is not None and wording.is_significant(row)}


def _comparisons(
    results: Results, known: Mapping[str, Metric], slots: Mapping[str, int]
) -> list[tuple[Metric, str, list[dict[str, Any]]]]:
    """Comparisons by metric, with the test that most of them went through.

    The strips of all rates share one scale, those of any other metric have their own.
    """
    groups: dict[str, list[ComparisonRow]] = {}
    for row in results.comparisons:
        groups.setdefault(row.metric, []).append(row)
    rates = [row for name, rows in groups.items() for row in rows if wording.is_rate(known[name].unit)]
    shared = chart.reach_of(rates)
    found = []
    for name, rows in groups.items():
        metric = known[name]
        reach = shared if wording.is_rate(metric.unit) else chart.reach_of(rows)
        views = [
            {
                "row": row,
                "slot": slots.get(row.b, 0),
                **_mark(row, metric),
                "strip": chart.forest(row, reach),
            }
            for row in rows
        ]
        found.append((metric, statistics.mode(row.test for row in rows), views))
    return found


def _exchanges(
    exchanges: Sequence[Exchange], known: Mapping[str, Metric], titles: Mapping[str, str], slots: Mapping[str, int]
) -> list[tuple[str, list[dict[str, Any]]]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    order = list(slots)
    for exchange in exchanges:
        group = groups.setdefault(exchange.measure, [])
        ordered = sorted(exchange.answers, key=lambda a: order.index(a.subject) if a.subject in slots else len(order))
        answers = [_answer(a, exchange.measure, known, slots) for a in ordered]
        group.append({"exchange": exchange, "answers": answers, "open": len(group) < OPEN_EXCHANGES})
    return [(titles.get(slug, slug), group) for slug, group in groups.items()]


def _answer(answer: Answer, measure: str, known: Mapping[str, Metric], slots: Mapping[str, int]) -> dict[str, Any]:
    pieces = _pieces(answer)
    head, rest = _split(pieces, _fold_at(answer.text))
    return {
        "subject": answer.subject,
        "slot": slots.get(answer.subject, 0),
        "finish": wording.FINISH.get(answer.finish_reason, answer.finish_reason),
        "tokens": answer.tokens,
        "nudges": sum(title is not None for _, title in pieces),
        "chips": [_chip(key, score, measure, known) for key, score in answer.scores.items()],
        "head": head,
        "rest": rest,
        "rest_words": sum(len(text.split()) for text, _ in rest),
    }


Piece = tuple[str, str | None]
"""A stretch of an answer and its hover text; None where the base model wrote."""


def _pieces(answer: Answer) -> list[Piece]:
    """The answer in stretches. Spans may hold more than the text (a repetition was cut off): they are cut to it."""
    written = "".join(s.text for s in answer.spans)
    start = len(written) - len(written.lstrip())
    if not written.startswith(answer.text, start):
        start = written.find(answer.text)
    if not answer.text or start < 0:
        return [(answer.text, None)] if answer.text else []
    pieces: list[Piece] = []
    at, end = 0, start + len(answer.text)
    for span in answer.spans:
        text = written[max(at, start) : min(at + len(span.text), end)] if at < end else ""
        at += len(span.text)
        title = None if span.role == "base" else _hover(span)
        if text and title is None and pieces and pieces[-1][1] is None:
            pieces[-1] = (pieces[-1][0] + text, None)
        elif text:
            pieces.append((text, title))
    return pieces


def _hover(span: Span) -> str:
    if span.prob is None:
        return f"written by {span.source}"
    return f"written by {span.source}; the base model's top-1 probability was {wording.value(span.prob, 'share')}"


def _fold_at(text: str) -> int:
    """Where to fold a long text: at the last space in reach, else in the middle of a word."""
    if len(text) <= FOLD_CHARS:
        return len(text)
    spaces = [m.end() for m in re.finditer(r"\s+", text[:HEAD_CHARS])]
    return spaces[-1] if spaces and spaces[-1] > HEAD_CHARS // 2 else HEAD_CHARS


def _split(pieces: Sequence[Piece], at: int) -> tuple[list[Piece], list[Piece]]:
    head, rest = [], []
    for text, title in pieces:
        if text[:at]:
            head.append((text[:at], title))
        if text[at:]:
            rest.append((text[at:], title))
        at = max(0, at - len(text))
    return head, rest


def _chip(key: str, score: float, measure: str, known: Mapping[str, Metric]) -> str:
    """One score in words: "ends by itself: yes". A key that is no metric's goes by its own name."""
    metric = known.get(f"{measure}.{key}")
    label = metric.title if metric else key.replace("_", " ")
    if metric and metric.unit == "fraction" and score in (0, 1):
        return f"{label}: {'yes' if score else 'no'}"
    return f"{label}: {wording.value(score, metric.unit if metric else '')}"


def _flatten(env: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """The environment in groups of (name, value): one for each mapping in it, plain values first under ""."""
    groups: list[tuple[str, list[tuple[str, str]]]] = []

    def walk(name: str, node: Any) -> None:
        items = node.items() if isinstance(node, Mapping) else enumerate(node, 1)
        plain = [(str(k), _plain(v)) for k, v in items if not _is_deep(v)]
        if plain:
            groups.append((name, plain))
        for k, v in node.items() if isinstance(node, Mapping) else enumerate(node, 1):
            if _is_deep(v):
                walk(f"{name} › {k}" if name else str(k), v)

    walk("", env)
    return groups


def _environment_groups(env: Mapping[str, Any], results: Results) -> list[tuple[str, list[tuple[str, str]]]]:
    """The environment, and whole revisions of the subjects where it does not hold them."""
    groups = _flatten(env)
    held = {value for _, items in groups for _, value in items}
    missing = [(s.name, s.revision) for s in results.subjects if s.revision and s.revision not in held]
    return [*groups, ("revisions", missing)] if missing else groups


def _is_deep(x: Any) -> bool:
    if isinstance(x, Mapping):
        return bool(x)
    return isinstance(x, Sequence) and not isinstance(x, str | bytes) and any(isinstance(i, Mapping) for i in x)


def _plain(x: Any) -> str:
    if x is None or x == "" or (isinstance(x, Sequence | Mapping) and not x):
        return "none"
    if isinstance(x, bool):
        return "yes" if x else "no"
    if isinstance(x, Sequence) and not isinstance(x, str | bytes):
        return ", ".join(map(_plain, x))
    return str(x)


def _slot(i: int) -> int:
    """The colour of the i-th subject: 0 is the baseline's alone."""
    return chart.BASELINE if i == 0 else 1 + (i - 1) % _COLOURS


def _short_hash(revision: str | None) -> str | None:
    """A long hexadecimal revision cut to what tells two apart; the whole one stands in the environment."""
    if revision and re.fullmatch(r"(?:[\w-]+:)?[0-9a-f]{20,}", revision):
        return revision[: revision.find(":") + 13] + "…"
    return revision
