"""What the Nudging paper claims, and what two small models can show of it (nudging sheet, section 5)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from boresight.chat import user
from boresight.claim import Claim, Comparison, Given, Measured, counted, judged
from boresight.data import draw, load_set
from boresight.lm.base import Sampling
from boresight.steer.nudging.text import NudgeResult

if TYPE_CHECKING:
    from boresight.lm.local import LocalModel
    from boresight.stats import Estimate

BASE, NUDGER = "gemma-3-270m", "smollm2-135m-instruct"
GAMMAS = (0.0, 0.2, 0.4, 0.6, 0.8)
TOKENS = 64
EDGES = (0.1, 0.3, 0.5, 0.8, 1.0)  # bins of the base's top-1 probability, for the note
RESAMPLES = 1000


def sweep(given: Given) -> dict[float, list[NudgeResult]]:
    """Answers of the pair to the same open requests, for every gamma."""

    def run() -> dict[float, list[NudgeResult]]:
        found = {}
        for gamma in GAMMAS:
            policy = given.load(BASE, f"nudging:nudger={NUDGER},gamma={gamma},max_new_tokens={TOKENS}")
            prompts = [policy.prompts(user(q)) for q in _questions(given)]
            found[gamma] = policy.run_batch(prompts, on_step=given.on_step)
        return found

    return given.once("nudging sweep", run)


def nudged_share(given: Given) -> Measured:
    """Does the share of nudged words rise with gamma? The least-squares slope of each request, and their mean."""
    from boresight.stats import bootstrap_mean

    found = sweep(given)
    centre = sum(GAMMAS) / len(GAMMAS)
    scale = sum((g - centre) ** 2 for g in GAMMAS)
    slopes = [
        sum((g - centre) * r.nudge_word_ratio for g, r in zip(GAMMAS, row, strict=True)) / scale
        for row in zip(*found.values(), strict=True)
    ]
    means = ", ".join(f"{g:g}: {sum(r.nudge_word_ratio for r in rs) / len(rs):.2f}" for g, rs in found.items())
    note = f"slope per request; mean share of nudged words by gamma {means}; answers of {TOKENS} tokens"
    return judged(bootstrap_mean(slopes), "share of words per unit of gamma", note)


def base_passes(given: Given) -> Measured:
    """Passes of the base model for each token of the answer; base-only decoding makes one."""
    base = given.load(BASE)
    counts = [
        (r.forwards["base"], tokens, tokens + r.rounds + 1)
        for results in sweep(given).values()
        for r in results
        if (tokens := base.count_tokens(r.raw_text))
    ]
    if not counts:
        return counted(float("nan"), 0, "base passes per token")
    passes, tokens, _ = max(counts, key=lambda c: c[0] / c[1])
    pooled = sum(c[0] for c in counts) / sum(c[1] for c in counts)
    note = (
        f"largest of all answers, an answer of {tokens} tokens; {sum(c[0] > c[1] for c in counts)} of {len(counts)} "
        f"answers are above 1; all together {pooled:.2f}; {sum(c[0] > c[2] for c in counts)} are above one pass a "
        f"token, one a round and one more; gamma {GAMMAS[0]:g} to {GAMMAS[-1]:g}"
    )
    return counted(passes / tokens, len(counts), "base passes per token", note, most=1.0)


class Position(NamedTuple):
    """The beginning of a word that the aligned model wrote.

    answer: whose. prob: the base's top-1 probability there. differs: the word does not begin with the base's token.
    """

    answer: int
    prob: float
    differs: bool


def unsure_where_they_differ(given: Given) -> Measured:
    """Does the base's uncertainty tell the words on which the aligned model disagrees from the others?

    The aligned model answers; at the beginning of every word of its answer but the first the base says what it would
    have written. They agree if the word begins with the base's token (the takeover rule), so tokenizers may differ.
    """
    base, aligned = given.load(BASE), given.load(NUDGER)
    questions = [user(q) for q in _questions(given)]
    answers = aligned.generate(questions, Sampling(max_new_tokens=TOKENS), on_step=given.on_step)
    found = positions(base, [base.render(chat) for chat in questions], [a.text for a in answers])
    rates = []
    for low, high in zip((0.0, *EDGES), EDGES, strict=False):
        hits = [p.differs for p in found if low <= p.prob < high or (high == 1.0 and p.prob == 1.0)]
        rates.append(f"{low:g} to {high:g}: {sum(hits) / len(hits):.2f} of {len(hits)}" if hits else f"{low:g}: none")
    note = (
        f"words of {len(answers)} answers, which are resampled whole; disagreement by the base's top-1 probability: "
        + ", ".join(rates)
    )
    return judged(auc_over_answers(found), "AUC, 0.5 is chance", note, above=0.5)


def positions(base: "LocalModel", prompts: Sequence[str], answers: Sequence[str]) -> list[Position]:
    """Every word of the answers but the first, as the base sees it; words are split at spaces."""
    from boresight.lm.scoring import answer_logits

    rows = [base.joined(p, a) for p, a in zip(prompts, answers, strict=True)]
    found = []
    for row, first, logits in answer_logits(base, rows):
        ids, start = rows[row]
        at = start + first
        tops = logits.max(-1)
        probs = (tops.values - logits.logsumexp(-1)).exp().tolist()
        whole = base.decode(ids)
        for k, (top, prob) in enumerate(zip(tops.indices.tolist(), probs, strict=True), at):
            before = base.decode(ids[:k])
            rest = whole[len(before) :]
            if k == start or not rest.startswith(" ") or not rest.strip(" "):
                continue
            word = " " + rest[1:].partition(" ")[0]
            said = base.decode([*ids[:k], top])[len(before) :]
            found.append(Position(row, prob, not said or not word.startswith(said)))
    return found


def auc_over_answers(found: Sequence[Position]) -> "Estimate":
    """AUC of 1 - prob for `differs`, with the percentile interval of resampled answers; nan if a class is empty."""
    from boresight.stats import auroc

    ours, others = ([p for p in found if p.differs is differs] for differs in (True, False))
    return auroc(
        [1 - p.prob for p in ours],
        [1 - p.prob for p in others],
        [p.answer for p in ours],
        [p.answer for p in others],
        resamples=RESAMPLES,
    )


def _questions(given: Given) -> list[str]:
    return [row["prompt"] for row in draw(load_set("open"), given.limit, 0)]


CLAIMS = (
    Claim(
        name="ends",
        statement="A nudged base model behaves like an aligned one, without training.",
        published="Llama-2-70b nudged by 7b-chat 57.9 against 56.7 for 70b-chat (mean of 11 benchmarks)",
        expected="nudged answers end by themselves more often than the base model's",
        check=Comparison("text-health.ends", (BASE,), (BASE, f"nudging:nudger={NUDGER}")),
    ),
    Claim(
        name="unsure",
        statement="The base model is unsure exactly where the aligned one would write something else.",
        published="about 90 % disagreement where the base's top-1 probability is below 0.1 (Llama-2)",
        expected="the base's uncertainty separates the words on which the two disagree: AUC above 0.5",
        check=unsure_where_they_differ,
    ),
    Claim(
        name="gamma",
        statement="The threshold gamma decides how much the nudging model writes.",
        published="about 10 % of the tokens are nudged at gamma 0.3 to 0.4",
        expected="the share of nudged words rises with gamma from 0 to 0.8",
        check=nudged_share,
    ),
    Claim(
        name="passes",
        statement="Nudging costs little time beyond decoding with the base model.",
        published="about 15 % more run time with prefix caching",
        expected="no answer takes more base passes per token than base-only decoding",
        check=base_passes,
    ),
)
