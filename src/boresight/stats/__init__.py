"""Intervals, tests, agreement and sample sizes, each a pure function: arrays in, numbers out."""

from boresight.stats.calibration import (
    Calibration,
    calibration,
    calibration_difference,
    expected_calibration_error,
)
from boresight.stats.counts import (
    cluster_bootstrap,
    clustered_stderr,
    mcnemar_exact,
    newcombe,
    sign_flip_test,
    wilson,
)
from boresight.stats.estimates import (
    Difference,
    Estimate,
    bootstrap_mean,
    cohens_kappa,
    holm,
    mcnemar,
    paired_bootstrap,
    paired_proportions,
    proportion,
    sample_size_paired,
    sample_size_two_proportions,
)
from boresight.stats.ranking import auc, auroc

__all__ = [
    "Calibration",
    "Difference",
    "Estimate",
    "auc",
    "auroc",
    "bootstrap_mean",
    "calibration",
    "calibration_difference",
    "cluster_bootstrap",
    "clustered_stderr",
    "cohens_kappa",
    "expected_calibration_error",
    "holm",
    "mcnemar",
    "mcnemar_exact",
    "newcombe",
    "paired_bootstrap",
    "paired_proportions",
    "proportion",
    "sample_size_paired",
    "sample_size_two_proportions",
    "sign_flip_test",
    "wilson",
]
