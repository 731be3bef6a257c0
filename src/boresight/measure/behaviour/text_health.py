"""Signs that a generated text has broken down: loops, repeated lines, too few different word sequences.

A model pushed too far (by a steering vector, an aggressive edit, a high temperature) often falls into a
loop long before its answers turn wrong, so these checks are cheap early warnings. They read the text only
and need no model. Distinct n-grams are the diversity measure of Li et al. 2016 ("A Diversity-Promoting
Objective Function").

The measure asks everyday open requests and tells how often the answer ends by itself, how often it breaks down, and,
for models that run here, how sure the writer was and how much of the text a nudging model wrote.
"""

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from boresight.catalog import Card
from boresight.data import draw, load_set
from boresight.lm.base import Completion
from boresight.lm.repetition import repeated_suffix
from boresight.measure.base import Graded, Measure, Metric

if TYPE_CHECKING:
    from inspect_ai.dataset import Sample

METHOD = Card(
    slug="text-health",
    title="Text health",
    room="audit",
    summary="Does an answer end by itself, and does it stay clear of loops? Everyday requests, no judge.",
    paper="Distinct n-grams: Li et al.: A Diversity-Promoting Objective Function (arXiv 1510.03055)",
    needs=("any model",),
    example="boresight audit smollm2-135m-instruct --measure text-health --limit 20 --out runs/health",
)

# A generator in a loop is cut off by its token limit while looping, so the loop stands at the very end.
# Two copies of 15 characters cover 30; what people double on purpose ("New York, New York") is shorter.
LOOP_CHUNK = 15
# Answers repeat a line two or three times for effect (a refrain); four times is rarely meant.
REPEATED_LINES = 4
# Shorter lines repeat in good text: closing braces, table rules, "Yes." in a list of answers.
LINE_CHARS = 10
# Share of different word triples. Of 2,396 passages of 200 words from package documentation (prose, lists,
# licences) half are above 0.95, 99 % above 0.59 and three below 0.5. Below it, more than half of the triples
# have been said before: the text goes in circles even where no stretch is repeated exactly.
DISTINCT_3 = 0.5
# Below this length the share moves in large steps: one repeated sentence would decide it.
DISTINCT_WORDS = 40

_CUT = ",-–—(&/\\"  # a text that ends on one of these was going on


def distinct_n(text: str, n: int) -> float | None:
    """Different n-grams as a share of all n-grams, over words split at whitespace; None below n words."""
    if n < 1:
        raise ValueError(f"n is {n}, but an n-gram needs at least one word.")
    words = text.split()
    total = len(words) - n + 1
    if total < 1:
        return None
    return len({tuple(words[i : i + n]) for i in range(total)}) / total


def most_repeated_line(text: str) -> int:
    """How often the most frequent line of at least `LINE_CHARS` characters with a letter or digit occurs."""
    lines = (line.strip() for line in text.splitlines())
    counts = Counter(line for line in lines if len(line) >= LINE_CHARS and any(c.isalnum() for c in line))
    return max(counts.values(), default=0)


def looks_degenerate(text: str) -> bool:
    """Whether the text looks like a broken generation; any one of three signs is enough.

    - a loop at the end: a chunk of at least `LOOP_CHUNK` characters stands there twice in a row,
    - a line of at least `LINE_CHARS` characters occurs `REPEATED_LINES` times or more,
    - at least `DISTINCT_WORDS` words, of whose word triples fewer than `DISTINCT_3` are different.

    A long ruled line at the very end ("_____") also counts as a loop. An empty text is not degenerate
    here: callers count empty replies on their own.
    """
    body = text.strip()
    if repeated_suffix(body, LOOP_CHUNK) or most_repeated_line(body) >= REPEATED_LINES:
        return True
    distinct = distinct_n(body, 3) if len(body.split()) >= DISTINCT_WORDS else None
    return distinct is not None and distinct < DISTINCT_3


def ends_cleanly(text: str) -> bool:
    """Whether the last line ends as a finished text does; meant to spot replies cut off in mid-sentence.

    A line that ends on a letter, a digit, a comma or a dash is unfinished unless it is a list item, a heading
    or at most three words long (a bare answer, a signature), where no full stop is expected.
    """
    lines = text.strip().splitlines()
    if not lines:
        return False
    last = lines[-1].split()
    if last[-1][-1] in _CUT:
        return False
    starts_item = last[0][0] in "-*+•#" or last[0].rstrip(".)").isdigit()
    return starts_item or len(last) <= 3 or not last[-1][-1].isalnum()


def samples(limit: int | None, seed: int) -> "list[Sample]":
    """Everyday open requests that a paragraph can answer."""
    from inspect_ai.dataset import Sample

    rows = draw(load_set("open"), limit, seed)
    return [Sample(id=row["id"], input=row["prompt"], metadata={"topic": row["topic"]}) for row in rows]


def grade(completion: Completion, metadata: dict[str, Any]) -> Graded:
    """Look at one answer. An empty one does not count as ended by itself: silence must not win."""
    text = completion.text
    ends = completion.finish_reason == "stop" and bool(text.strip())
    broken = looks_degenerate(text)
    distinct = distinct_n(text, 3)
    nudged = completion.trace.detail.get("nudge_token_ratio")
    sure = completion.trace.mean_top1_prob
    return Graded(
        {
            "ends": float(ends),
            "degenerate": float(broken),
            "distinct_3": math.nan if distinct is None else distinct,
            "top1_prob": math.nan if sure is None else sure,
            "nudged_share": math.nan if nudged is None else nudged,
        },
        f"finish reason {completion.finish_reason}" + (", looks degenerate" if broken else ""),
    )


MEASURE = Measure(
    slug=METHOD.slug,
    title=METHOD.title,
    samples=samples,
    grade=grade,
    max_new_tokens=128,
    metrics=(
        Metric(
            "ends",
            "ends by itself",
            "fraction",
            "higher",
            "rule:finish-reason-v1",
            "Share of answers that are not empty and end before the token budget is used up; says nothing about what"
            " they say.",
        ),
        Metric(
            "degenerate",
            "breaks down",
            "fraction",
            "lower",
            "rule:degenerate-v1",
            "Share of answers that end in a loop, repeat a line four times, or go round in the same word triples.",
        ),
        Metric(
            "distinct_3",
            "different word triples",
            "share",
            "none",
            "rule:distinct-3",
            "Mean share of an answer's word triples that occur once; near 1 is normal prose, short answers score"
            " higher.",
        ),
        Metric(
            "top1_prob",
            "mean top-1 probability",
            "share",
            "none",
            "model:own-probabilities",
            "How sure the writing model was of its most likely next token; for a nudged model, its base where asked.",
        ),
        Metric(
            "nudged_share",
            "nudged tokens",
            "share",
            "none",
            "count:base-tokens",
            "Mean share of an answer's tokens that the nudging model wrote; published work warns above 20 %.",
        ),
    ),
)
