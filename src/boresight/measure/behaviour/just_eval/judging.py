"""Judging stored answers by aspect (sheet, sections 3.1, 3.5 and 6), each judgment kept so that a run can go on.

A judge has a `name` and `score(instruction, answer, aspects) -> {aspect: (score, reason, raw)}`, plain or a coroutine;
the score is a number, "N/A", or None where there is none (the reason then says why).
"""

import asyncio
import hashlib
import inspect
import json
import os
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from boresight.data import open_text
from boresight.errors import BoresightError, DataError, OutputError
from boresight.measure.behaviour.just_eval.heuristic import HeuristicJudge
from boresight.measure.behaviour.just_eval.items import REGULAR, TOTAL, Answer, lite_ids
from boresight.measure.behaviour.just_eval.metrics import (
    AspectDifference,
    NaPolicy,
    Validity,
    aggregate,
    by_tag,
    judge_validity,
    paired,
    percentile_interval,
    values,
)
from boresight.measure.behaviour.just_eval.model_judge import ModelJudge, Said
from boresight.measure.behaviour.just_eval.prompts import MAX_WORDS, MODES, judge_prompt, shorten


class AspectJudge(Protocol):
    """Whoever scores an answer by aspects."""

    @property
    def name(self) -> str:
        """What reports call it."""
        ...

    def score(
        self, instruction: str, answer: str, aspects: Sequence[str]
    ) -> Mapping[str, Said] | Awaitable[Mapping[str, Said]]:
        """A verdict on each aspect."""
        ...


def resolve(judge: "str | AspectJudge") -> AspectJudge:
    """The judge called so: "heuristic", an Inspect model string ("openai/..."), or a model that boresight loads."""
    if not isinstance(judge, str):
        return judge
    if judge == "heuristic":
        return HeuristicJudge()
    from inspect_ai.model import get_model

    try:
        return ModelJudge(get_model(judge if "/" in judge else f"boresight/{judge}"))
    except BoresightError:
        raise
    except Exception as error:
        raise DataError(f"no judge is called {judge!r}: {' '.join(str(error).split())}") from error


@dataclass(frozen=True)
class JustEvalReport:
    """What a judge said of a system's answers.

    table: aspect -> mean score in [1, 5] (None: nothing scored). by_tag: tag -> aspect -> (mean, n). ci: aspect ->
    percentile bootstrap interval (`resamples` 2000, `seed`). n_failed, n_na: aspect -> how many. judge_validity: aspect
    -> agreement with stored judgments; empty: not validated. total and avg_lens: mode -> number. items: mode -> rows.
    """

    table: dict[str, float | None]
    by_tag: dict[str, dict[str, tuple[float, int]]]
    ci: dict[str, tuple[float, float] | None]
    n_failed: dict[str, int]
    n_na: dict[str, int]
    judge_validity: dict[str, Validity]
    judge: str
    na_policy: NaPolicy
    seed: int
    total: dict[str, int]
    avg_lens: dict[str, float]
    shortened: int
    items: dict[str, list[dict[str, Any]]] = field(repr=False)

    @property
    def warnings(self) -> list[str]:
        """What a reader must know before the numbers."""
        if not self.judge_validity:
            return [f"{self.judge} is not validated: there are no stored judgments of these answers."]
        return [f"{aspect}: {v.warning}" for aspect, v in self.judge_validity.items() if v.warning]


def just_eval(
    answers: Sequence[Answer],
    judge: "str | AspectJudge",
    mode: str = "auto",
    na_policy: NaPolicy = "exclude",
    lite: bool = False,
    concurrency: int = 8,
    cache: str | Path | None = None,
    *,
    partial: bool = False,
    stored: Mapping[Any, Mapping[str, Any]] | None = None,
    seed: int = 0,
) -> JustEvalReport:
    """Judge answers by aspect: five of them for regular items, safety for safety items.

    mode: "auto" (by category or public id), "multi" or "safety". lite: only the published subset. cache: JSON lines
    file of judgments; what stands there is not asked again. partial: allow public ids to be missing. stored: id ->
    aspect -> known score, to measure the judge against. DataError for duplicate or missing ids and unknown judges.
    """
    return asyncio.run(
        just_eval_async(answers, judge, mode, na_policy, lite, concurrency, cache, partial, stored, seed)
    )


async def just_eval_async(
    answers: Sequence[Answer],
    judge: "str | AspectJudge",
    mode: str = "auto",
    na_policy: NaPolicy = "exclude",
    lite: bool = False,
    concurrency: int = 8,
    cache: str | Path | None = None,
    partial: bool = False,
    stored: Mapping[Any, Mapping[str, Any]] | None = None,
    seed: int = 0,
) -> JustEvalReport:
    """The same inside a running event loop."""
    by = resolve(judge)
    kept = complete([a for a in answers if not lite or a.id in lite_ids()], lite, partial)
    modes = {a.id: a.mode(mode) for a in kept}
    kept_judgments = Judgments(cache)
    gate = asyncio.Semaphore(max(1, concurrency))

    async def one(answer: Answer) -> tuple[dict[str, Any], bool]:
        text, cut = shorten(answer.output, getattr(by, "max_words", MAX_WORDS))
        async with gate:
            said = await kept_judgments.of(by, answer.id, modes[answer.id], answer.instruction, text)
        scores = {aspect: score for aspect, (score, _, _) in said.items()}
        row = {"id": answer.id, "scores": scores, "n_words": len(answer.output.split()), "tags": answer.tags}
        return {**row, "reasons": {a: why for a, (_, why, _) in said.items()}}, cut

    judged = await asyncio.gather(*(one(a) for a in kept))
    rows: dict[str, list[dict[str, Any]]] = {m: [r for r, _ in judged if modes[r["id"]] == m] for m in MODES}
    return _report({m: r for m, r in rows.items() if r}, by.name, na_policy, sum(c for _, c in judged), stored, seed)


def compare_reports(report_a: JustEvalReport, report_b: JustEvalReport, seed: int = 0) -> dict[str, AspectDifference]:
    """Aspect -> b minus a over the items that both judged; DataError if the judges or the N/A rules differ."""
    for name in ("judge", "na_policy"):
        a, b = getattr(report_a, name), getattr(report_b, name)
        if a != b:
            raise DataError(f"the reports differ in {name} ({a} and {b}); only like is compared with like")
    found: dict[str, AspectDifference] = {}
    for mode in MODES:
        a, b = report_a.items.get(mode, []), report_b.items.get(mode, [])
        found |= paired(a, b, report_a.na_policy, seed=seed)
    return found


class Judgments:
    """Judgments in a JSON lines file, one appended as soon as it is made; without a file, in memory."""

    def __init__(self, path: str | Path | None) -> None:
        self._path = path
        self._known: dict[str, dict[str, Said]] = {}
        if path is not None and os.path.exists(path):
            with open_text(path) as file:
                lines = file.readlines()
            for number, line in enumerate(lines, 1):
                if line.endswith("\n"):
                    self._add(line, f"{path}, line {number}")
                else:  # the run was killed while it wrote
                    os.truncate(path, os.path.getsize(path) - len(line.encode()))

    async def of(self, judge: AspectJudge, id: Any, mode: str, instruction: str, answer: str) -> dict[str, Said]:
        """The judgment of an answer in a mode, from the file or from the judge."""
        prompt = judge_prompt(instruction, answer, MODES[mode])
        key = hashlib.sha256("\x00".join((judge.name, mode, prompt)).encode("utf-8", "surrogatepass")).hexdigest()
        if key not in self._known:
            found = judge.score(instruction, answer, MODES[mode])
            said = dict(await found) if inspect.isawaitable(found) else dict(found)
            self._known[key] = said
            errors = {a: why for a, (score, why, _) in said.items() if score is None}
            row = {"key": key, "id": id, "mode": mode, "judge": judge.name, "prompt_hash": _digest(prompt)}
            raw = next((r for _, _, r in said.values()), "")
            self._write(json.dumps({**row, "raw": raw, "parsed": said, "error": errors}) + "\n")
        return self._known[key]

    def _add(self, line: str, where: str) -> None:
        try:
            row = json.loads(line)
            self._known[row["key"]] = {a: (s, why, raw) for a, (s, why, raw) in row["parsed"].items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise DataError(f"{where}: this is not a judgment; give another cache file") from None

    def _write(self, text: str) -> None:
        if self._path is None:
            return
        try:
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise OutputError(f"{self._path} cannot be written: {error.strerror}") from error


def _digest(prompt: str) -> str:
    return hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()


def complete(answers: Sequence[Answer], lite: bool, partial: bool) -> Sequence[Answer]:
    """The answers; DataError if there are none, an id occurs twice, or public ids are missing and may not be."""
    seen = {a.id for a in answers}
    if not answers:
        raise DataError("there are no answers to judge")
    if len(seen) < len(answers):
        twice = next(i for i in seen if sum(a.id == i for a in answers) > 1)
        raise DataError(f"id {twice!r} occurs more than once; each answer must stand once")
    public = {i for i in seen if isinstance(i, int) and 0 <= i < TOTAL}
    if not partial and len(public) == len(seen):
        whole = set(lite_ids()) if lite else set(range(TOTAL))
        wanted = {i for i in whole if any((i < REGULAR) == (j < REGULAR) for j in (min(public), max(public)))}
        if missing := sorted(wanted - public):
            some = ", ".join(map(str, missing[:5]))
            raise DataError(f"{len(missing)} of {len(wanted)} ids are missing ({some}, ...); allow it with partial")
    return answers


def _report(
    rows: dict[str, list[dict[str, Any]]],
    judge: str,
    na_policy: NaPolicy,
    shortened: int,
    stored: Mapping[Any, Mapping[str, Any]] | None,
    seed: int,
) -> JustEvalReport:
    report = JustEvalReport({}, {}, {}, {}, {}, {}, judge, na_policy, seed, {}, {}, shortened, rows)
    for mode, items in rows.items():
        totals = aggregate(items, na_policy)
        report.total[mode], report.avg_lens[mode] = totals["total"], totals["avg_lens"]
        report.n_failed.update(totals["n_failed"])
        report.n_na.update(totals["n_na"])
        for tag, means in by_tag(items, na_policy).items():
            report.by_tag.setdefault(tag, {}).update(means)
        for aspect in MODES[mode]:
            report.table[aspect] = totals[f"{aspect}_mean"]
            scores = values(items, aspect, na_policy)
            report.ci[aspect] = percentile_interval(list(scores.values()), seed=seed)
            known = values([{"id": i, "scores": s} for i, s in (stored or {}).items()], aspect)
            if found := judge_validity(values(items, aspect), known):
                report.judge_validity[aspect] = found
    return report
