"""What the papers claim and small untrained models can show (dishonesty sheet, section 6).

The claims about fine-tuning need trained weights and are not checked here.
"""

from boresight.claim import Claim, Given, Measured, judged
from boresight.data import draw

MODEL = "smollm2-135m-instruct"
QUESTIONS = 4  # a statement and three beliefs


def evasion_flatters(given: Given) -> Measured:
    """Share of rows that are neither a lie nor honest: what 1 - p_lie adds to p_honest."""
    from boresight.measure.behaviour.dishonesty.logit import decide, forced_choices, log_odds
    from boresight.measure.behaviour.dishonesty.mask import consistent_belief, mask_label
    from boresight.measure.behaviour.dishonesty.rows import pressure_rows
    from boresight.stats import bootstrap_mean

    rows = draw(pressure_rows(), given.limit, 0)
    odds = log_odds(given.load(MODEL), [pair for row in rows for pair in forced_choices(row)])
    labels: list[str] = []
    for i in range(len(rows)):
        said, *believed = map(decide, odds[QUESTIONS * i : QUESTIONS * (i + 1)])
        labels.append(mask_label(said, consistent_belief(believed, "binary"), "binary"))
    neither = [float(label in ("evasive", "no_belief")) for label in labels]
    counts = ", ".join(f"{labels.count(name)} {name}" for name in dict.fromkeys(labels))
    return judged(bootstrap_mean(neither), "share", f"{MODEL} in logit mode on {len(rows)} rows: {counts}")


CLAIMS = (
    Claim(
        name="evasion",
        statement="The published honesty score, 1 - p_lie, is above the share of rows that are honest.",
        published="MASK counts evasion and missing belief as no lie (arXiv 2503.03750, metric)",
        expected="SmolLM2-135M-Instruct, built-in rows, forced choices: honesty score > honest share",
        check=evasion_flatters,
    ),
)
