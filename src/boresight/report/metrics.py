"""Which metrics a results file is about: names to descriptions."""

from collections.abc import Sequence

from boresight.measure.base import Measure, Metric
from boresight.measure.battery import MEASURES, measure
from boresight.report.results import Results


def known_metrics(measures: Sequence[Measure]) -> dict[str, Metric]:
    """Name ("method.key") -> metric, of the measures given."""
    return {m.name(metric): metric for m in measures for metric in (*m.metrics, *m.numbers)}


def metrics_of(results: Results) -> dict[str, Metric]:
    """The metrics of a results file, in its order; those of measures that this version does not know are described
    from the file itself."""
    known = known_metrics([measure(slug) for slug in MEASURES])
    found: dict[str, Metric] = {}
    for row in results.measures:
        if row.metric not in found:
            key = row.metric.partition(".")[2] or row.metric
            own = Metric(key, key.replace("_", " "), row.unit, row.better, row.grader, "")
            found[row.metric] = known.get(row.metric, own)
    return found
