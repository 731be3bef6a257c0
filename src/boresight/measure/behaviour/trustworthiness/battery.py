"""The battery on any of our models, without Inspect: one call, all replies in few batches (sheet, section 7)."""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from boresight.chat import user
from boresight.errors import ModelError
from boresight.lm.base import LanguageModel, Sampling
from boresight.measure.base import Number
from boresight.measure.behaviour import refusal_rules
from boresight.measure.behaviour.trustworthiness.calibrate import (
    LABELLED,
    Quality,
    labelled,
    quality_of,
    rule_quality,
    verdict_text,
)
from boresight.measure.behaviour.trustworthiness.coverage import Row, coverage_rows
from boresight.measure.behaviour.trustworthiness.item import Ask, Item, Reply, Scores, Test
from boresight.measure.behaviour.trustworthiness.metrics import rate_bounds
from boresight.measure.behaviour.trustworthiness.numbers import (
    CORRECTED,
    Constant,
    calibration_numbers,
    causal_numbers,
    constant_policy,
    corrected_numbers,
    is_constant,
    places,
)
from boresight.measure.behaviour.trustworthiness.parse import parse_letter, parse_yes_no
from boresight.measure.behaviour.trustworthiness.tests import all_tests, chosen_tests
from boresight.measure.likelihood import scorer_of, shares
from boresight.stats import bootstrap_mean, wilson

RULE = "rule"
"""Judge of `battery` that decides by the refusal rules instead of a model."""


@dataclass(frozen=True)
class TestResult:
    """What a test found. value: of its headline metric, a mean over n items with the interval `ci`; dropped: items
    without a verdict; bounds: the rate with all of these bad, and all good. means: metric -> (mean, n). baseline: what
    the best constant answer reaches; constant: whether the model always took the same place. prompts: their hash.
    skipped: what the test needs, where it did not run; then the value is None.
    """

    __test__ = False

    id: str
    title: str
    subs: tuple[str, ...]
    kind: str
    metric: str
    value: float | None = None
    ci: tuple[float, float] | None = None
    n: int = 0
    dropped: int = 0
    bounds: tuple[float, float] | None = None
    means: dict[str, tuple[float, int]] = field(default_factory=dict)
    numbers: tuple[Number, ...] = ()
    baseline: Constant | None = None
    constant: bool = False
    grader: str = ""
    prompts: str = ""
    skipped: str = ""


@dataclass(frozen=True)
class TrustReport:
    """Results of all tests that were called for, the model's name and the seed."""

    model: str
    seed: int
    results: tuple[TestResult, ...]
    tests: tuple[Test, ...]

    def __getitem__(self, test: str) -> TestResult:
        """The result of a test; KeyError if it was not called for."""
        return {r.id: r for r in self.results}[test]


def coverage(report: TrustReport) -> list[Row]:
    """The 29 sub-categories: measured, probe, user-supplied, public or not measured, with the reason."""
    skipped = {r.id: r.skipped for r in report.results if r.skipped}
    return coverage_rows(report.tests, skipped, {r.id: r.n for r in report.results if r.n})


def battery(
    model: LanguageModel,
    tests: str | Sequence[str] = "all",
    judge: LanguageModel | str | None = None,
    n: int | None = None,
    seed: int = 0,
    *,
    calibrate: int = LABELLED,
    **files: str,
) -> TrustReport:
    """Run trust tests on a model.

    tests: "all", "measured", "probes" or ids. judge: a model that answers yes or no, RULE for the refusal rules, or
    None: then safety and misuse are skipped, with a row that says so. n: items of each test, None: all. calibrate:
    labelled answers that a judge of safety or misuse is checked on; 0: none. files: as of `all_tests`. Raises DataError
    for a test that is not known, ValueError for n below 1.
    """
    if n is not None and n < 1:
        raise ValueError(f"n is {n}; at least 1 item of each test is needed")
    todo = chosen_tests(all_tests(**files), tests)  # type: ignore[arg-type]
    results = [_run(model, test, judge, n, seed, calibrate) for test in todo]
    return TrustReport(model.name, seed, tuple(results), tuple(todo))


def _run(
    model: LanguageModel, test: Test, judge: LanguageModel | str | None, n: int | None, seed: int, calibrate: int
) -> TestResult:
    needs = test.needs or ("a judge" if test.judged and test.kind == "measured" and judge is None else "")
    if needs:
        return TestResult(test.id, test.title, test.subs, test.kind, test.headline, skipped=needs)
    items = test.draw(n, seed)
    replies = answers(model, items, seed)
    said, quality = _verdicts(test, items, replies, judge, calibrate if test.id in CORRECTED else 0)
    scores = [test.score(*row) for row in zip(items, replies, said, strict=True)]
    return _result(test, items, replies, scores, _grader(test, judge), quality)


def _result(
    test: Test,
    items: Sequence[Item],
    replies: Sequence[Sequence[Reply]],
    scores: Sequence[Scores],
    grader: str,
    quality: Quality | None,
) -> TestResult:
    means: dict[str, tuple[float, int]] = {}
    for metric in test.metrics:
        name = metric.key.removeprefix(test.key(""))
        known = [s[name] for s in scores if name in s and not math.isnan(s[name])]
        if known:
            means[name] = (sum(known) / len(known), len(known))
    asked = sum(test.headline in s for s in scores)  # twins: half of the items bear on the headline
    value, count = means.get(test.headline, (None, 0))
    good = round((value or 0.0) * count)
    details = [test.detail(item, r) for item, r in zip(items, replies, strict=True)]
    numbers = causal_numbers(details) if test.id == "causal" else calibration_numbers(details)
    if test.id in CORRECTED:
        one = replace(CORRECTED[test.id], grader=grader)
        numbers = corrected_numbers(test.id, one, good, count, asked - count, quality)
    return TestResult(
        id=test.id,
        title=test.title,
        subs=test.subs,
        kind=test.kind,
        metric=test.headline,
        value=value,
        ci=interval([s[test.headline] for s in scores if not math.isnan(s.get(test.headline, math.nan))]),
        n=count,
        dropped=asked - count,
        bounds=rate_bounds(good, count, asked - count),
        means=means,
        numbers=tuple(numbers),
        baseline=constant_policy(test, items),
        constant=is_constant([p for item, r in zip(items, replies, strict=True) for p in places(item, r)]),
        grader=grader,
        prompts=prompts_hash(items),
    )


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Wilson's for a rate, a bootstrap for values between 0 and 1 (ties count one half)."""
    if all(v in (0.0, 1.0) for v in values):
        return wilson(round(sum(values)), len(values))
    found = bootstrap_mean(values)
    return found.low, found.high


def _grader(test: Test, judge: LanguageModel | str | None) -> str:
    if not test.judged:
        return next(m.grader for m in test.metrics if m.key == test.key(test.headline))
    return test.rule_name if judge is None or isinstance(judge, str) else f"model:{judge.name}"


def prompts_hash(items: Sequence[Item]) -> str:
    """A hash of everything that the items ask."""
    asked = [[list(map(dict, ask.chat)), ask.options] for item in items for ask in item.asks]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]


def answers(model: LanguageModel, items: Sequence[Item], seed: int = 0) -> list[list[Reply]]:
    """The model's replies to all that the items ask: options in one call by likelihood where the model tells it,
    everything else in one call of generate."""
    asks = [ask for item in items for ask in item.asks]
    scorer = scorer_of(model)
    replies: list[Reply] = [None] * len(asks)
    closed = [i for i, ask in enumerate(asks) if ask.options and scorer]
    if scorer and closed:
        render, logprobs = scorer
        pairs = [(render(asks[i].chat), option) for i in closed for option in asks[i].options]
        found = iter(logprobs([p for p, _ in pairs], [o for _, o in pairs]))
        for i in closed:
            replies[i] = tuple(shares([sum(next(found)) for _ in asks[i].options]))
    rest = [(i, k) for i, ask in enumerate(asks) if replies[i] is None for k in range(ask.samples or 1)]
    if rest:
        how = [sampling(asks[i], seed) for i, _ in rest]
        written = model.generate([asks[i].chat for i, _ in rest], how)
        texts: dict[int, list[str]] = {}
        for (i, _), completion in zip(rest, written, strict=True):
            texts.setdefault(i, []).append(completion.text)
        for i, said in texts.items():
            replies[i] = read(asks[i], said)
    at = iter(replies)
    return [[next(at) for _ in item.asks] for item in items]


def sampling(ask: Ask, seed: int) -> Sampling:
    """How an answer to an ask is drawn."""
    return Sampling(max_new_tokens=ask.tokens, temperature=1.0 if ask.samples else 0.0, seed=seed)


def read(ask: Ask, texts: Sequence[str]) -> Reply:
    """A reply from written answers: the text, or the shares of the options that were named.

    A refusal in words counts for the option that declines, if there is one (M3); of several samples, so do all those
    that cannot be read (M4).
    """
    if not ask.options:
        return texts[0]
    picks = [_pick(ask, text) for text in texts]
    if ask.samples:
        picks = [len(ask.options) - 1 if pick is None else pick for pick in picks]
    if picks[0] is None:
        return None
    return tuple(sum(pick == i for pick in picks) / len(picks) for i in range(len(ask.options)))


def _pick(ask: Ask, text: str) -> int | None:
    options = ask.options
    if options == ("Yes", "No"):
        yes = parse_yes_no(text)
        return None if yes is None else int(not yes)
    letter = parse_letter(text, options)
    if letter is not None:
        return options.index(letter)
    return ask.declines if ask.declines is not None and refusal_rules.classify(text).refused else None


def verdict_prompt(test: Test, item: Item, answer: str) -> str:
    """What a judge is asked about a written answer."""
    return verdict_text(test.judged, item.asks[0].chat[-1]["content"], answer)


def _verdicts(
    test: Test, items: Sequence[Item], replies: Sequence[Sequence[Reply]], judge: LanguageModel | str | None, n: int
) -> tuple[list[bool | None], Quality | None]:
    """A verdict for each item, and how good the judge is on n labelled answers (rules: on all there are)."""
    texts = [r[0] if isinstance(r[0], str) else "" for r in replies]
    if not test.judged:
        return [None] * len(items), None
    if judge is None or isinstance(judge, str):
        if judge not in (None, RULE):
            raise ModelError(f"judge is {judge!r}; a model that is loaded, {RULE!r} or None is needed")
        return [test.rule(text) if test.rule else None for text in texts], rule_quality(test.judged)
    asked = [(i, verdict_prompt(test, items[i], text)) for i, text in enumerate(texts) if text.strip()]
    rows = labelled(test.judged, n) if n and asked else []
    known = [verdict_text(test.judged, r.request, r.answer) for r in rows]
    unique = list(dict.fromkeys([*(prompt for _, prompt in asked), *known]))  # equal questions are asked once
    said = judge.generate([user(p) for p in unique], Sampling(max_new_tokens=8)) if unique else []
    by_prompt = {p: parse_yes_no(c.text) for p, c in zip(unique, said, strict=True)}
    found: list[bool | None] = [None] * len(items)
    for i, prompt in asked:
        found[i] = by_prompt[prompt]
    return found, quality_of(rows, [by_prompt[p] for p in known]) if rows else None
