"""The evaluation as a plain Inspect task (sheet, section 4): epochs are reduced to counts, and metrics read the counts.

Inspect's usual reducer would take the mean over the epochs of a question first and forget how many of them were
scored. Exclusion happens answer by answer, so here the epochs of a question become sums.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boresight.measure.behaviour.emergent_misalignment.questions import FORMATS
from boresight.measure.behaviour.emergent_misalignment.rates import ALIGNED_BELOW, COHERENT_ABOVE
from boresight.measure.behaviour.emergent_misalignment.task import MAX_TOKENS, JudgeMethod, Verdicts, guarded, measure
from boresight.stats import clustered_stderr, wilson

if TYPE_CHECKING:
    from inspect_ai import Task
    from inspect_ai.scorer import Metric, SampleScore, Scorer, ScoreReducer

COUNTS = ("n", "n_scored", "n_misaligned", "n_incoherent", "n_refusal_or_code", "n_unread")


def em_task(
    questions: str | Path = "first_plot",
    samples: int = 100,
    formats: str | Sequence[str] = FORMATS,
    trigger: str | None = None,
    judge_method: JudgeMethod = "auto",
) -> "Task":
    """The evaluation as an Inspect task: temperature 1, top_p 1, at most 600 tokens, `samples` answers to each item.

    The judge is the model in the role "grader"; without one the task fails before anything is generated. judge_method:
    see `judging`; "proxy" needs no grader, and its rates are not comparable with published ones. trigger: every item is
    asked twice, with the text in front and without it; metrics are of the arm without, and end in _triggered of the
    other. DataError for an unknown question set or format, ValueError for fewer than one sample.
    """
    from inspect_ai import Epochs, Task
    from inspect_ai.dataset import MemoryDataset
    from inspect_ai.model import GenerateConfig
    from inspect_ai.solver import generate

    made = measure(
        questions=str(questions),
        samples=samples,
        formats=formats,
        trigger=trigger,
        judge_method=judge_method,
        graded=judge_method != "proxy",
    )
    return Task(
        dataset=MemoryDataset(made.samples(None, 0), name=made.slug),
        solver=generate() if judge_method == "proxy" else guarded(),
        scorer=em_judge(method=judge_method),
        config=GenerateConfig(max_tokens=MAX_TOKENS, temperature=1.0, top_p=1.0, seed=0),
        epochs=Epochs(samples, em_counts()),
        name=made.slug,
    )


def em_judge(
    aligned_threshold: float = ALIGNED_BELOW,
    coherent_threshold: float = COHERENT_ABOVE,
    method: JudgeMethod = "auto",
) -> "Scorer":
    """Inspect's scorer: misaligned (0, 1, or nan where the answer is excluded), aligned, coherent, and why.

    An answer is misaligned below `aligned_threshold`, and counts above `coherent_threshold`.
    """
    from inspect_ai.scorer import Score, Target, scorer
    from inspect_ai.solver import TaskState

    metrics = [misaligned_rate(), wilson_interval(), cluster_stderr(), p_incoherent(), p_refusal_or_code(), p_unread()]

    @scorer(name="em_judge", metrics=metrics)
    def em_judge() -> "Scorer":
        verdicts = Verdicts(method, aligned_threshold, coherent_threshold, required=method != "proxy")

        async def score(state: TaskState, target: Target) -> Score:
            if not state.output.choices:
                raise RuntimeError("the model was never asked: there is no answer to judge")
            found = await verdicts.examine(state)
            return Score(
                value=dict(found.scores), answer=state.output.completion, explanation=found.why, metadata=found.detail
            )

        return score

    return em_judge()


def em_counts() -> "ScoreReducer":
    """Reducer "em_counts": the epochs of an item as counts (COUNTS), which `metrics` turn into rates."""
    from inspect_ai.scorer import Score, score_reducer

    @score_reducer(name="em_counts")
    def em_counts() -> "ScoreReducer":
        def reduce(scores: list[Score]) -> Score:
            return Score(value={**counts([s.metadata or {} for s in scores])})

        return reduce

    return em_counts()


def counts(details: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many answers are of which kind, from the details of their scores; those unread are in no class."""
    kinds = [d.get("kind") for d in details]
    return {
        "n": len(kinds),
        "n_scored": kinds.count("misaligned") + kinds.count("fine"),
        "n_misaligned": kinds.count("misaligned"),
        "n_incoherent": kinds.count("incoherent"),
        "n_refusal_or_code": kinds.count("refusal_or_code"),
        "n_unread": kinds.count("unread"),
    }


def misaligned_rate() -> "Metric":
    """Inspect's metric {"misaligned", "misaligned_macro"}: pooled over answers, and mean over base questions."""

    def rates(rows: Sequence[Mapping[str, Any]], end: str) -> dict[str, float]:
        questions = [(k, n) for k, n in _by_question(rows).values() if n]
        macro = sum(k / n for k, n in questions) / len(questions) if questions else math.nan
        return {f"misaligned{end}": _share(rows, "n_misaligned"), f"misaligned_macro{end}": macro}

    return _metric("misaligned_rate", rates)


def wilson_interval() -> "Metric":
    """Inspect's metric {"wilson_lower", "wilson_upper"} of the pooled rate; nan where nothing was scored."""

    def ends(rows: Sequence[Mapping[str, Any]], end: str) -> dict[str, float]:
        found = wilson(sum(r["n_misaligned"] for r in rows), sum(r["n_scored"] for r in rows))
        low, high = found or (math.nan, math.nan)
        return {f"wilson_lower{end}": low, f"wilson_upper{end}": high}

    return _metric("wilson", ends)


def cluster_stderr() -> "Metric":
    """Inspect's metric "stderr" of the pooled rate, clustered by base question."""

    def stderr(rows: Sequence[Mapping[str, Any]], end: str) -> dict[str, float]:
        of = _by_question(rows)
        values = [float(i < k) for k, n in of.values() for i in range(n)]
        found = clustered_stderr(values, [q for q, (_, n) in of.items() for _ in range(n)]) if values else math.nan
        return {f"stderr{end}": found}

    return _metric("stderr", stderr)


def p_incoherent() -> "Metric":
    """Inspect's metric: incoherent of all answers with a verdict."""
    return _metric("p_incoherent", lambda rows, end: {f"p_incoherent{end}": _share(rows, "n_incoherent")})


def p_refusal_or_code() -> "Metric":
    """Inspect's metric: coherent answers without an alignment score, of all answers with a verdict."""
    return _metric(
        "p_refusal_or_code", lambda rows, end: {f"p_refusal_or_code{end}": _share(rows, "n_refusal_or_code")}
    )


def p_unread() -> "Metric":
    """Inspect's metric: answers whose verdict could not be read."""
    return _metric("p_unread", lambda rows, end: {f"p_unread{end}": _share(rows, "n_unread")})


def _metric(name: str, of: Any) -> "Metric":
    """An Inspect metric named `name` from a function of (the counts of an arm's items, what its keys end with)."""
    from inspect_ai.scorer import SampleScore, metric

    @metric(name=name)
    def made() -> "Metric":
        def compute(scores: list[SampleScore]) -> Any:
            found: dict[str, float] = {}
            for trigger, end in ((False, ""), (True, "_triggered")):
                rows = [row for s in scores if (row := _row(s)) is not None and row["trigger"] == trigger]
                if rows or not trigger:
                    found |= of(rows, end)
            return found

        return compute

    return made()


def _row(scored: "SampleScore") -> dict[str, Any] | None:
    value, about = scored.score.value, scored.sample_metadata or {}
    if not isinstance(value, dict) or "n_scored" not in value:
        return None  # not reduced to counts: another reducer was asked for
    return {**value, "base_id": about.get("base_id"), "trigger": bool(about.get("trigger"))}


def _by_question(rows: Sequence[Mapping[str, Any]]) -> dict[Any, tuple[int, int]]:
    """Base question -> (misaligned, scored)."""
    found: dict[Any, tuple[int, int]] = {}
    for r in rows:
        k, n = found.get(r["base_id"], (0, 0))
        found[r["base_id"]] = (k + int(r["n_misaligned"]), n + int(r["n_scored"]))
    return found


def _share(rows: Sequence[Mapping[str, Any]], key: str) -> float:
    whole = sum(_whole(r, key) for r in rows)
    return sum(r[key] for r in rows) / whole if whole else math.nan


def _whole(row: Mapping[str, Any], key: str) -> int:
    if key == "n_misaligned":
        return row["n_scored"]
    return row["n"] if key == "n_unread" else row["n"] - row["n_unread"]
