"""What the paper claims about token shift, and what small models can show of it (token-shift sheet, section 5).

The zoo has no base model with its own aligned version. Two pairs stand in: an aligned model behind its chat template
against the same weights in the frame of a query ("template pair"), and a base model behind the URIAL prompt against the
same weights in that frame ("prompt pair").
"""

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from boresight.claim import Claim, Given, Measured, counted, judged
from boresight.data import draw, load_set
from boresight.stats import bootstrap_mean

if TYPE_CHECKING:
    from boresight.measure.latent.token_shift.report import ShiftReport

ALIGNED, BASE = "smollm2-135m-instruct", "gemma-3-270m"
PAIRS = {"template": ((ALIGNED,), (ALIGNED,), "query"), "prompt": ((BASE,), (BASE, "urial"), "query")}
SAME = ((ALIGNED,), (ALIGNED,), "chat")
EARLY, LATE = 5, 20
TOKENS = 64


def report(given: Given, pair: str) -> "ShiftReport":
    """The token shift of a pair on open requests, worked out once a run."""
    from boresight.measure.latent.token_shift.score import token_shift

    base, aligned, template = PAIRS.get(pair, SAME)
    prompts = [row["prompt"] for row in draw(load_set("open"), given.limit, 0)]
    return given.once(
        f"token shift {pair}",
        lambda: token_shift(
            given.load(*base),
            given.load(*aligned),
            prompts,
            base_template=template,
            max_new_tokens=TOKENS,
            on_step=given.on_step,
        ),
    )


def mostly_unshifted(pair: str, given: Given) -> Measured:
    """Share of unshifted tokens less that of shifted ones, over all tokens; answers are resampled whole."""
    found = report(given, pair)
    labels = found.positions["label"]
    gap = (labels == "unshifted").astype(float) - (labels == "shifted")
    shares = ", ".join(f"{label} {(labels == label).mean():.1%}" for label in ("unshifted", "marginal", "shifted"))
    note = f"{pair} pair, {_answers(found)}; {shares}"
    estimate = bootstrap_mean(gap, clusters=found.positions["prompt_id"].tolist())
    return judged(estimate, "share unshifted less share shifted", note)


def early_shift(pair: str, given: Given) -> Measured:
    """KL(aligned || base) of the first positions of an answer less that of its later ones, mean over answers."""
    found = report(given, pair)
    kl, t, answer = (found.positions[name] for name in ("kl_ab", "t", "prompt_id"))
    gaps = [
        kl[mine & (t < EARLY)].mean() - kl[mine & (t > LATE)].mean()
        for i in np.unique(answer)
        if (mine := (answer == i) & np.isfinite(kl)).any() and t[mine].max() > LATE
    ]
    numbers = found.summary()
    first, later = (numbers[name]["value"] for name in ("kl_first", "kl_later"))
    note = f"{pair} pair, {_answers(found)}, of which {len(gaps)} are longer than {LATE} tokens"
    if first is not None and later is not None:
        note += f"; mean KL {first:.2f} nats at positions 0 to {EARLY - 1}, {later:.2f} after {LATE}"
    return judged(bootstrap_mean(gaps), "nats", note)


def nothing_shifts(given: Given) -> Measured:
    """The largest KL of a model against itself."""
    found = report(given, "same")
    kl, labels = found.positions["kl_ab"], found.positions["label"]
    own = (labels == "unshifted").mean() if len(labels) else float("nan")
    note = f"the same model and prompt on both sides, {_answers(found)}; {own:.1%} unshifted"
    return counted(float(kl.max(initial=0.0)), len(kl), "largest KL in nats", note)


def _answers(found: "ShiftReport") -> str:
    return f"{len(found.answers)} answers of at most {TOKENS} tokens"


CLAIMS = (
    Claim(
        name="shares",
        statement="At most positions the base model's first choice is the aligned model's token; few are shifted.",
        published="Llama-2-7b to its chat model: 77.7 % unshifted, 14.5 % marginal, 7.8 % shifted (section 2)",
        expected="an aligned model against its own weights without the chat template: unshifted > shifted",
        check=partial(mostly_unshifted, "template"),
    ),
    Claim(
        name="early",
        statement="The shift is largest at the beginning of an answer and falls with the position.",
        published="KL by position falls over the first tokens (figure of section 2)",
        expected="the same pair: the mean KL of the first 5 positions is above that of positions after 20",
        check=partial(early_shift, "template"),
    ),
    Claim(
        name="prompt-shares",
        statement="A prompt of examples changes few tokens too.",
        published="no figure for this pair; 7.8 % shifted by training (Llama-2-7b)",
        expected="base model with and without the URIAL prompt: unshifted > shifted",
        check=partial(mostly_unshifted, "prompt"),
    ),
    Claim(
        name="prompt-early",
        statement="What a prompt of examples changes stands at the beginning of an answer.",
        published="no figure for this pair; KL by position falls over the first tokens",
        expected="base model with and without the URIAL prompt: KL of the first 5 positions above that after 20",
        check=partial(early_shift, "prompt"),
    ),
    Claim(
        name="same",
        statement="A model does not differ from itself.",
        published="by definition 0",
        expected="every KL is exactly 0",
        check=nothing_shifts,
    ),
)
