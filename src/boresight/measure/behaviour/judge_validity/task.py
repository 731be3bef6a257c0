"""The measure "judge-validity": a model in the place of a judge, on items whose right verdict is known.

The subject is the judge. It is asked as `measure.judge` asks every grader (unread verdicts again with a reminder, pairs
in both orders), and, where it tells log-probabilities, how likely it finds each verdict. `report.validation` keeps what
was found, and audits that use the judge as their grader print it.
"""

import asyncio
import hashlib
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from boresight.catalog import Card
from boresight.chat import user
from boresight.data import draw
from boresight.measure.base import Graded, Measure, Metric, Number, Record
from boresight.measure.behaviour.judge_validity.agreement import Ends, kappa, length_pull, shares_of
from boresight.measure.behaviour.judge_validity.rubrics import Item, Rubric, labelled, prompt_of
from boresight.measure.blocks import Block, Reliability, Table
from boresight.stats import calibration, newcombe, paired_bootstrap, proportion

if TYPE_CHECKING:
    from inspect_ai.dataset import Sample
    from inspect_ai.model import Model
    from inspect_ai.solver import Generate, Solver, TaskState

METHOD = Card(
    slug="judge-validity",
    title="Validity of a judge",
    room="audit",
    summary="How far a grader agrees with labels: accuracy, kappa, calibration, position and length bias.",
    paper="Zheng et al.: MT-Bench (arXiv 2306.05685); Cohen 1960; Guo et al. (arXiv 1706.04599)",
    needs=("any model",),
    example="boresight audit judge --grader smollm2-135m-instruct --labels refusal --limit 40 --out runs/judge",
)
SAID = "judge"
"""Key of a sample's store under which what the judge said stands."""


def measure(*, labels: str = "refusal", rubric: str = "") -> Measure:
    """Validity of a judge as a measure.

    labels: a family (refusal, correctness, attitude, preference) for its built-in labelled set, or a file of labelled
    items. rubric: a family or a YAML file; default the one that the labels belong to. See `rubrics.labelled`.
    """
    name, asked, items = labelled(labels, rubric)
    by = f"labels:{name}"
    known = hashlib.sha256(repr(items).encode("utf-8", "surrogatepass")).hexdigest()[:12]

    def samples(limit: int | None, seed: int) -> "list[Sample]":
        from inspect_ai.dataset import Sample

        return [
            Sample(id=item.id, input=prompt_of(asked, item), target=item.label, metadata=_about(asked, item))
            for item in draw(items, limit, seed)
        ]

    metrics = [
        _rate("agrees", "agrees with the label", "higher", by, "Share of items whose written verdict is the label."),
        _rate(
            "unread",
            "verdict not readable",
            "lower",
            by,
            "Share of items whose verdict could not be read.",
        ),
    ]
    if asked.pairs:
        metrics += [
            _rate("flipped", "position decided", "lower", by, "Share of pairs in which the two orders name two texts."),
            Metric(
                "first",
                "first one preferred",
                "share",
                "none",
                by,
                "Share of decided verdicts for the text that was shown first; 0.5 for a judge without position bias.",
            ),
        ]
    metrics.append(
        _rate(
            "likeliest_agrees",
            "likeliest verdict agrees",
            "higher",
            by,
            "The same for the verdict that the judge finds likeliest, whatever it writes (log-probabilities).",
        )
    )
    return Measure(
        slug=METHOD.slug,
        title=METHOD.title,
        samples=samples,
        solver=lambda: judges(asked),
        examine=lambda state: _examine(state, asked, name, known),
        answers=2 if asked.pairs else 1,
        max_new_tokens=32,
        metrics=tuple(metrics),
        numbers=_numbers(by),
        summary=lambda own, first, seed: summary(own, asked, by, seed),
        blocks=lambda records: blocks(records, asked),
        notes=lambda: _notes(name, asked, items),
    )


def _rate(key: str, title: str, better: Any, by: str, about: str) -> Metric:
    return Metric(key, title, "fraction", better, by, about)


def _numbers(by: str) -> tuple[Metric, Metric, Metric]:
    return (
        Metric("kappa", "kappa", "", "higher", by, "Agreement beyond chance: 0 is chance, 1 is perfect (Cohen)."),
        Metric(
            "ece",
            "calibration error",
            "share",
            "lower",
            by,
            "Mean distance of the likeliest verdict's probability from how often it is right, in ten bins.",
        ),
        Metric(
            "length_bias",
            "pull of length",
            "",
            "none",
            by,
            "Pairs: how much more often the longer text is preferred than it is better. Answers: accuracy on those "
            "longer than the median minus accuracy on the others.",
        ),
    )


def _about(rubric: Rubric, item: Item) -> dict[str, Any]:
    about: dict[str, Any] = {"label": item.label, "length": len(item.first)}
    if item.second is not None:
        about |= {"second_length": len(item.second), "other_order": prompt_of(rubric, item, swapped=True)}
    return about


def judges(rubric: Rubric) -> "Solver":
    """An Inspect solver: the model under test gives a verdict on the item, of a pair in both orders."""
    from inspect_ai.model import ModelOutput, ModelUsage, get_model
    from inspect_ai.solver import solver

    @solver
    def gives_verdicts() -> "Solver":
        async def solve(state: "TaskState", generate: "Generate") -> "TaskState":
            from boresight.measure.judge import Judge

            model = get_model()
            prompts = [state.input_text]
            if rubric.pairs:
                prompts.append(state.metadata["other_order"])
            asked = [Judge(model).word(p, rubric.words) for p in prompts]
            likely = [_likely(model, p, rubric) for p in prompts]
            said, shares = await asyncio.gather(asyncio.gather(*asked), asyncio.gather(*likely))
            state.store.set(
                SAID,
                {
                    "verdicts": [v.value for v in said],
                    "raw": [v.raw for v in said],
                    "tries": [v.tries for v in said],
                    "shares": list(shares),
                },
            )
            state.output = ModelOutput.from_content(str(model), "\n".join(v.raw for v in said))
            state.output.usage = ModelUsage()
            state.messages.append(state.output.message)
            return state

        return solve

    return gives_verdicts()


async def _likely(model: "Model", prompt: str, rubric: Rubric) -> dict[str, float] | None:
    """Probability of each word as the verdict, among themselves; None where the judge does not tell.

    Of a model on this machine, what it would say of an item without content is taken off first (Zhao et al. 2021, arXiv
    2102.09690): a small one prefers a word whatever it reads.
    """
    from boresight.measure.likelihood import first_token, option_logprobs, shares, tells

    words = rubric.words
    if tells(model):
        empty = Item("", _EMPTY, _EMPTY, "", _EMPTY if rubric.pairs else None)
        scores = await option_logprobs(model, user(prompt), words, prior=user(prompt_of(rubric, empty)))
        return dict(zip(words, shares(scores), strict=True))
    first = await first_token(model, user(prompt))
    return shares_of(first, words) if first else None


_EMPTY = "N/A"


async def _examine(state: "TaskState", rubric: Rubric, labels: str, items: str) -> Graded:
    graded = judged(state.store.get(SAID), state.metadata["label"], rubric)
    graded.detail.update(family=rubric.name, rubric=rubric.id, labels=labels, items=items)
    return graded


def judged(said: dict[str, Any], label: str, rubric: Rubric) -> Graded:
    """The scores of one item from what the judge said about it."""
    from boresight.measure.judge import combine

    read = said["verdicts"]
    verdict: str | None = combine(*read) if rubric.pairs else read[0]
    likeliest, confidence = _likeliest(said["shares"], rubric)
    scores = {
        "agrees": math.nan if verdict is None else float(verdict == label),
        "unread": float(verdict is None),
        "likeliest_agrees": math.nan if likeliest is None else float(likeliest == label),
    }
    if rubric.pairs:
        sides = [v for v in read if v in ("A", "B")]
        scores["flipped"] = math.nan if None in read else float(set(read) in ({"A"}, {"B"}) and len(sides) == 2)
        scores["first"] = sides.count("A") / len(sides) if sides else math.nan
    detail = {**said, "verdict": verdict, "likeliest": likeliest, "confidence": confidence}
    return Graded(scores, f"label {label}, verdict {verdict or 'not readable'}", detail)


def _likeliest(shares: Sequence[dict[str, float] | None], rubric: Rubric) -> tuple[str | None, float | None]:
    """The likeliest verdict and its probability; of a pair the mean of both orders, the second turned round."""
    told = [s for s in shares if s]
    if len(told) < len(shares):
        return None, None
    if rubric.pairs:
        first, second = told
        mean = {
            "a": (first["A"] + second["B"]) / 2,
            "b": (first["B"] + second["A"]) / 2,
            "tie": (first["tie"] + second["tie"]) / 2,
        }
    else:
        mean = told[0]
    best = max(mean, key=lambda word: mean[word])
    return best, min(1.0, mean[best])


def _pairs(own: Sequence[Record], key: str) -> list[tuple[str, str]]:
    """(label, verdict) of the items whose verdict under `key` could be read."""
    return [(r.metadata["label"], r.detail[key]) for r in own if r.detail.get(key) is not None]


def summary(own: Sequence[Record], rubric: Rubric, by: str, seed: int) -> list[Number]:
    """Kappa, calibration error and length bias of one judge."""
    on_kappa, on_ece, on_length = _numbers(by)
    read = _pairs(own, "verdict")
    value, ends = kappa([a for a, _ in read], [b for _, b in read], seed)
    dropped = len(own) - len(read)
    found = [Number(on_kappa, value, ends, len(read), dropped, "interval: bootstrap" if value is not None else _ONE)]
    told = [r for r in own if r.detail.get("confidence") is not None]
    if told:
        right = [r.detail["likeliest"] == r.metadata["label"] for r in told]
        of = calibration([r.detail["confidence"] for r in told], right, seed=seed)
        note = "interval: bootstrap; few items in a bin make the error, and its interval, too large"
        found.append(Number(on_ece, of.ece, of.ci or (None, None), of.n, len(own) - of.n, note))
    else:
        found.append(Number(on_ece, None, (None, None), 0, len(own), "The judge tells no log-probabilities."))
    value, ends, n, note = _length(own, rubric, seed)
    found.append(Number(on_length, value, ends, n, len(own) - n, note))
    return found


_ONE = "Not defined: labels and verdicts are one and the same throughout, or there are none."


def _length(own: Sequence[Record], rubric: Rubric, seed: int) -> tuple[float | None, Ends, int, str]:
    rows = [r for r in own if r.detail.get("verdict") is not None]
    if rubric.pairs:
        lengths = [(r.metadata["length"], r.metadata["second_length"]) for r in rows]
        pull = length_pull(lengths, [r.metadata["label"] for r in rows], [r.detail["verdict"] for r in rows])
        if not pull:
            return None, (None, None), 0, "No pair with a decided label, a decided verdict and unequal lengths."
        found = paired_bootstrap([a for a, _ in pull], [b for _, b in pull], seed=seed)
        ends = (None, None) if math.isnan(found.low) else (found.low, found.high)
        return found.value, ends, found.n, "interval: paired bootstrap"
    if len(rows) < 2:
        return None, (None, None), 0, "Fewer than two verdicts."
    middle = sorted(r.metadata["length"] for r in rows)[(len(rows) - 1) // 2]
    right = {True: [0, 0], False: [0, 0]}
    for r in rows:
        side = right[r.metadata["length"] > middle]
        side[0] += r.detail["verdict"] == r.metadata["label"]
        side[1] += 1
    (k2, n2), (k1, n1) = right[True], right[False]
    if not n2:
        return None, (None, None), 0, "All replies are of one length."
    low, high = newcombe(k1, n1, k2, n2)
    return k2 / n2 - k1 / n1, (low, high), n1 + n2, f"median {middle} characters; interval: Newcombe"


def blocks(records: Sequence[Record], rubric: Rubric) -> list[Block]:
    """The table of labels and verdicts of each judge, and its reliability diagram where it tells probabilities."""
    found: list[Block] = []
    for subject in dict.fromkeys(r.subject for r in records):
        own = [r for r in records if r.subject == subject and r.detail]
        head = ("label \\ verdict", *rubric.labels, "not readable")
        rows = []
        for label in rubric.labels:
            of = [r.detail["verdict"] for r in own if r.metadata["label"] == label]
            rows.append([label, *(of.count(word) for word in rubric.labels), of.count(None)])
        found.append(Table(f"{subject}: labels and verdicts", head, rows, f"Counts of items. {rubric.question}"))
        told = [r for r in own if r.detail["confidence"] is not None and r.scores]
        if told:
            right = [r.detail["likeliest"] == r.metadata["label"] for r in told]
            points = calibration([r.detail["confidence"] for r in told], right, resamples=0).points
            note = "Probability of the likeliest verdict among the possible ones, and how often it is the label."
            found.append(Reliability(f"{subject}: calibration", points, note))
    return found


def _notes(name: str, rubric: Rubric, items: Sequence[Item]) -> list[str]:
    counts = {label: sum(i.label == label for i in items) for label in rubric.labels}
    most = max(counts, key=lambda label: counts[label])
    share = proportion(counts[most], len(items)).value
    return [
        f"The labels are those of {name} ({len(items)} items: {', '.join(f'{n} {k}' for k, n in counts.items())})."
        f" Saying always {most!r} would agree with {share:.0%}.",
        f"Rubric {rubric.id}: {rubric.question}",
        "A judge that is good on these items may be worse on others: another kind, language or length.",
    ]
