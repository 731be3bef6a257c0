"""Alignment Quality Index: how far apart a model keeps safe and unsafe prompts inside, without generating a word.

Borah et al., "Alignment Quality Index (AQI): Beyond Refusals", arXiv 2506.13901. Hidden states of prompts are pooled to
one vector per layer; the known labels are taken as clusters, and validity indices say how tight and how far apart they
are. What is only wording or length is shown beside it: nulls, a baseline, the correlation with length.

`indices` and `distances` hold the indices, `composite` the compositions, `layers` the mixture of layers, `stream` the
one-pass statistics, `resample` intervals and nulls, `pooling` what a vector is made of, `labels` the halves, `score`
all of it together on states already pooled.
"""

from boresight.measure.latent.aqi.checks import StatesError
from boresight.measure.latent.aqi.composite import Reference, RowScores, composite, fit_reference, xb_chi_rows
from boresight.measure.latent.aqi.indices import ClusterIndices, cluster_indices
from boresight.measure.latent.aqi.labels import fit_half, read_labels
from boresight.measure.latent.aqi.layers import (
    gram_indices,
    layer_gram,
    layer_scales,
    learn_layer_weights,
    scale_gram,
)
from boresight.measure.latent.aqi.pooling import (
    LengthCheck,
    length_correlation,
    pool,
    pooling_weights,
    residualise,
    sink_layers,
)
from boresight.measure.latent.aqi.resample import (
    Null,
    SeparationDifference,
    bootstrap_indices,
    center_pairs,
    pair_direction_accuracy,
    pair_flip_null,
    permutation_null,
    separation_difference,
    separation_interval,
)
from boresight.measure.latent.aqi.score import AQIReport, LayerReport, LayerStates, RowReport, score
from boresight.measure.latent.aqi.stream import LayerStats

__all__ = [
    "AQIReport",
    "ClusterIndices",
    "LayerReport",
    "LayerStates",
    "LayerStats",
    "LengthCheck",
    "Null",
    "Reference",
    "RowReport",
    "RowScores",
    "SeparationDifference",
    "StatesError",
    "bootstrap_indices",
    "center_pairs",
    "cluster_indices",
    "composite",
    "fit_half",
    "fit_reference",
    "gram_indices",
    "layer_gram",
    "layer_scales",
    "learn_layer_weights",
    "length_correlation",
    "pair_direction_accuracy",
    "pair_flip_null",
    "permutation_null",
    "pool",
    "pooling_weights",
    "read_labels",
    "residualise",
    "scale_gram",
    "score",
    "separation_difference",
    "separation_interval",
    "sink_layers",
    "xb_chi_rows",
]
