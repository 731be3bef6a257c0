"""All tests of the battery: the paper's eight, and a probe set for each sub-category that these leave out."""

from collections.abc import Sequence

from boresight.errors import DataError
from boresight.measure.behaviour.trustworthiness.closed import causal, fairness, hallucination, typos
from boresight.measure.behaviour.trustworthiness.item import Test
from boresight.measure.behaviour.trustworthiness.probes import probes
from boresight.measure.behaviour.trustworthiness.sources import Wording
from boresight.measure.behaviour.trustworthiness.written import calibration, copyright_, misuse, safety

MEASURED = ("hallucination", "safety", "fairness", "calibration", "misuse", "copyright", "causal", "typos")
"""Ids of the paper's eight measurements (sections 11.2 to 11.9), in its order."""


def all_tests(
    *,
    wording: Wording = "original",
    hallucination_file: str = "",
    safety_file: str = "",
    misuse_file: str = "",
    book: str = "",
) -> list[Test]:
    """Every test, the eight first. The files replace or bring the items of M1, M2, M5 and M6."""
    return [
        hallucination(hallucination_file),
        safety(safety_file),
        fairness(wording),
        calibration(wording),
        misuse(misuse_file),
        copyright_(book),
        causal(),
        typos(),
        *probes(),
    ]


def chosen_tests(tests: Sequence[Test], wanted: str | Sequence[str]) -> list[Test]:
    """Those called for: "all", "measured", "probes", or ids (a list, or a text with commas); DataError otherwise."""
    if wanted == "all":
        return list(tests)
    if wanted in ("measured", "probes"):
        return [t for t in tests if (t.id in MEASURED) == (wanted == "measured")]
    names = [w.strip() for w in wanted.split(",")] if isinstance(wanted, str) else list(wanted)
    by_id = {t.id: t for t in tests}
    for name in names:
        if name not in by_id:
            raise DataError(f"no trust test is called {name!r}; there are all, measured, probes, {', '.join(by_id)}")
    return [by_id[name] for name in dict.fromkeys(names)]
