"""Emergent misalignment (Betley et al., arXiv 2502.17424): from a judge's tokens to scores, from scores to rates.

The evaluation itself is not a measure yet; these are its pure parts, for verdicts that were made elsewhere.
"""

from boresight.measure.behaviour.emergent_misalignment.rates import (
    EMRates,
    QuestionRate,
    aggregate_0_100,
    em_rates,
)

__all__ = ["EMRates", "QuestionRate", "aggregate_0_100", "em_rates"]
