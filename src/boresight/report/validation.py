"""How good a grader was found to be: kept when `judge-validity` was measured, printed wherever the grader is used.

<cache>/graders/<hash>.json, one file for each grader and kind of question: the hash is of what the grader is (name,
weights, policy, address) and of the rubric's family. The newest validation counts.
"""

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any
from uuid import uuid4

from boresight.errors import OutputError
from boresight.lm.base import LanguageModel
from boresight.lm.cachedir import cache_dir
from boresight.measure.base import GRADER, Measure, Record
from boresight.report.files import write_json, writing
from boresight.report.results import Results

_IDENTITY = ("model", "policy", "revision", "endpoint", "served")
SLUG = "judge-validity"


@dataclass(frozen=True)
class Validated:
    """What was found: family and id of the rubric, the labelled set and its size, when (ISO 8601).

    n: verdicts that could be read; accuracy among them, with its interval (None: there are none); unread: the others.
    flipped: share of pairs in which position decided, None for verdicts about one answer. items: a hash of the whole
    labelled set, which tells apart two files of one name.
    """

    family: str
    rubric: str
    labels: str
    n: int
    unread: int
    accuracy: float | None
    ci: tuple[float | None, float | None]
    kappa: float | None
    flipped: float | None
    when: str
    items: str = ""

    def sentence(self, grader: str) -> str:
        """The figure for people."""
        role = f"{grader} as a judge of {self.family}"
        if self.accuracy is None:
            return f"{role}: none of its {self.unread} verdicts on {self.labels} could be read ({self.when[:10]})."
        low, high = self.ci
        ends = "" if low is None or high is None else f" ({low:.0%} to {high:.0%})"
        kappa = "" if self.kappa is None else f", kappa {self.kappa:.2f}"
        flipped = "" if self.flipped is None else f"; position decided in {self.flipped:.0%} of the pairs"
        return (
            f"{role}: agreed with {self.accuracy:.0%}{ends} of {self.n} labels of {self.labels}{kappa};"
            f" {self.unread} verdicts not readable{flipped} (validated {self.when[:10]})."
        )


def remember(results: Results, records: Sequence[Record], models: Mapping[str, LanguageModel]) -> None:
    """Keep what a run with `judge-validity` found about each of its subjects; a warning where that cannot be."""
    for name, model in models.items():
        rows = {r.metric.partition(".")[2]: r for r in results.measures if r.method == SLUG and r.subject == name}
        own = [r for r in records if r.measure == SLUG and r.subject == name and r.scores]
        if not own:
            continue
        agrees, kappa, flipped = (rows.get(key) for key in ("agrees", "kappa", "flipped"))
        found = Validated(
            family=own[0].detail["family"],
            rubric=own[0].detail["rubric"],
            labels=own[0].detail["labels"],
            n=agrees.n if agrees else 0,
            unread=sum(r.scores["unread"] == 1 for r in own if r.scores),
            accuracy=agrees.value if agrees else None,
            ci=agrees.ci if agrees else (None, None),
            kappa=kappa.value if kappa else None,
            flipped=flipped.value if flipped else None,
            when=results.created,
            items=own[0].detail.get("items", ""),
        )
        try:
            keep(model.describe(), found)
        except OutputError as error:  # the run itself, which may have been long, is worth more than its figure
            warnings.warn(f"later audits will not know how good {name} is as a judge: {error}", stacklevel=2)


def keep(grader: Mapping[str, Any], found: Validated) -> None:
    """Write down what was found about a grader, unless more of the same labels speak already."""
    before = validated(grader, found.family)
    same = before and (before.labels, before.rubric, before.items) == (found.labels, found.rubric, found.items)
    if before and same and before.n + before.unread > found.n + found.unread:
        return
    path = _file(grader, found.family)
    part = path.with_name(f"{path.name}.{uuid4().hex}")  # two audits may keep something about one grader at a time
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(part, asdict(found))
            part.replace(path)
    finally:
        with suppress(OSError):
            part.unlink()


def validated(grader: Mapping[str, Any], family: str) -> Validated | None:
    """What is known about a grader, by what it says of itself (`describe`), as a judge of a family of questions."""
    try:
        said = json.loads(_file(grader, family).read_text("utf-8"))
        said.setdefault("items", "")
        return Validated(**{f.name: said[f.name] for f in fields(Validated) if f.name != "ci"}, ci=tuple(said["ci"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def figures(grader: LanguageModel, measures: Sequence[Measure], results: Results) -> dict[str, str]:
    """Slug -> how good the grader was found to be at what a measure asks of it, for the measures that it graded."""
    read = {row.method for row in results.measures if row.grader == f"model:{grader.name}"}
    found: dict[str, str] = {}
    for measure in measures:
        if any(metric.grader == GRADER for metric in (*measure.metrics, *measure.numbers)):
            known = validated(grader.describe(), measure.rubric) if measure.rubric else None
            said = known.sentence(grader.name) if known else _unknown(grader.name, measure)
            none = f" In this run none of its verdicts on {measure.slug} could be read."
            found[measure.slug] = said if measure.slug in read else said + none
    return found


def _unknown(grader: str, measure: Measure) -> str:
    what = f" as a judge of {measure.rubric}" if measure.rubric else ""
    how = f"; `boresight audit judge --grader ... --labels {measure.rubric}` does that" if measure.rubric else ""
    return f"{grader}{what}: not validated against labels{how}."


def _file(grader: Mapping[str, Any], family: str) -> Path:
    said = json.dumps([{key: grader.get(key) for key in _IDENTITY}, family], sort_keys=True, default=str)
    return cache_dir() / "graders" / f"{hashlib.sha256(said.encode()).hexdigest()[:32]}.json"
