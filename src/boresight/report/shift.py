"""A run of token shift: two models -> a run directory.

config.yaml     what was asked for
env.json        versions, hardware, seed, both models with the hashes of their weights
positions.json  every position: labels, ranks, divergences, the best tokens of both models
report.html     the coloured view
results.json    the numbers (schema boresight.results/1); the run is finished when it is there

All are written at the end, within about a second: a run that is cut off leaves an empty directory, is begun anew there,
and is never resumed.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from boresight.chat import Chat, user
from boresight.data import draw, load_set
from boresight.data.requests import read_requests
from boresight.errors import DataError
from boresight.lm.base import LanguageModel
from boresight.measure.base import Metric
from boresight.measure.latent.token_shift import METHOD, ShiftReport, token_shift
from boresight.report.environment import environment
from boresight.report.files import claimed, write_json, write_text
from boresight.report.results import MeasureRow, Results, SubjectRow
from boresight.report.run import Progress, Silent

_SHARES = (
    ("unshifted", "first choice of the base", "Share of the aligned model's tokens that are the base's first choice."),
    ("marginal", "second or third of the base", "Share of its tokens that are the base's second or third choice."),
    ("shifted", "further down in the base", "Share of its tokens that the base ranks fourth or lower."),
)
_NATS = (
    ("kl_ab", "KL(aligned || base)", "Mean divergence per position over the whole vocabulary."),
    ("kl_ba", "KL(base || aligned)", "The other direction: what the base would have said and the aligned model not."),
    ("js", "Jensen-Shannon divergence", "Mean of both directions to their mixture, at most 0.693 nats."),
    ("kl_first", "KL, first 5 positions", "Mean KL(aligned || base) of the positions 0 to 4."),
    ("kl_later", "KL, after position 20", "Mean KL(aligned || base) of the positions after 20."),
)
_COUNT, _EXACT = "count:base-rank", "exact:logits"


def metrics() -> dict[str, Metric]:
    """Name ("token-shift.key") -> metric, of all numbers that a run states."""
    found = [Metric(key, title, "fraction", "none", _COUNT, about) for key, title, about in _SHARES]
    found += [
        Metric(f"{key}_without_eos", f"{title}, end tokens left out", "fraction", "none", _COUNT, about)
        for key, title, about in _SHARES
    ]
    found.append(Metric("base_top5", "among the base's five best", "fraction", "none", _COUNT, "Share of such tokens."))
    found += [Metric(key, title, "nats", "none", _EXACT, about) for key, title, about in _NATS]
    return {f"{METHOD.slug}.{m.key}": m for m in found}


def measured_only(results: Results) -> Results:
    """The results without subjects that have no numbers of their own, as the base model of a pair."""
    measured = {row.subject for row in results.measures}
    return results.model_copy(update={"subjects": [s for s in results.subjects if s.name in measured]})


@dataclass(frozen=True)
class ShiftRun:
    """A finished run: its directory, its numbers, and the report behind them."""

    directory: Path
    results: Results
    report: ShiftReport


def prompts_of(path: str | Path | None, limit: int | None = None, seed: int = 0) -> list[Chat]:
    """The chats of a file of JSON lines with "prompt" or "messages", or the built-in open requests.

    limit: as many of them, drawn with `seed` (None: all). DataError naming the line that is wrong.
    """
    chats = [r.chat for r in read_requests(path)] if path else [user(row["prompt"]) for row in load_set("open")]
    return draw(chats, limit, seed)


def audit_shift(
    models: Mapping[str, LanguageModel],
    prompts: Sequence[str | Chat],
    *,
    out: str | Path,
    seed: int = 0,
    max_new_tokens: int | None = None,
    progress: Progress | None = None,
    config: Mapping[str, Any] | None = None,
    **how: Any,
) -> ShiftRun:
    """Compare two models, the base first, at every token of the second one's answers; write the directory `out`.

    models: name -> model. seed: goes into the record; nothing is drawn here. how: further arguments of `token_shift`.
    config: what else belongs in config.yaml. Raises DataError unless there are two models, OutputError if `out` holds
    something or another run writes to it, and as `token_shift` does.
    """
    if len(models) != 2:
        raise DataError(f"token-shift compares two models, BASE and ALIGNED; {len(models)} named")
    (base, b), (aligned, a) = models.items()
    began, created = time.perf_counter(), datetime.now(UTC).isoformat(timespec="seconds")
    shown = progress or Silent()
    budget = {"max_new_tokens": max_new_tokens} if max_new_tokens is not None else {}
    with claimed(out) as folder:
        shown.begin(aligned, len(prompts))
        found = token_shift(b, a, prompts, on_done=shown.answered, on_step=shown.stepped, **budget, **how)
        found = replace(found, base=base, aligned=aligned)
        asked = {"measure": METHOD.slug, "base": base, "aligned": aligned, "prompts": len(prompts), "seed": seed}
        asked |= {**found.settings, **(config or {})}
        results = Results(
            created=created,
            seed=seed,
            seconds=round(time.perf_counter() - began, 1),
            subjects=[_subject(name, model) for name, model in models.items()],
            measures=_rows(found, aligned),
        )
        import yaml

        write_text(folder / "config.yaml", yaml.safe_dump(asked, sort_keys=False, allow_unicode=True))
        write_json(folder / "env.json", environment({n: m.describe() for n, m in models.items()}, seed))
        write_text(folder / "positions.json", found.json())
        write_text(folder / "report.html", found.html())
        write_text(folder / "results.json", results.to_json())
    return ShiftRun(folder, results, found)


def _rows(report: ShiftReport, subject: str) -> list[MeasureRow]:
    numbers = report.summary()
    without = numbers["shares_without_eos"]["micro"]
    held = {
        **numbers["shares"]["micro"],
        **{f"{label}_without_eos": e for label, e in without.items()},
        **{key: numbers[key]["mean"] for key in ("kl_ab", "kl_ba", "js")},
        **{key: numbers[key] for key in ("base_top5", "kl_first", "kl_later")},
    }
    return [
        MeasureRow(
            method=METHOD.slug,
            metric=name,
            subject=subject,
            value=held[metric.key]["value"],
            ci=tuple(held[metric.key]["ci"]),
            n=held[metric.key]["n"],
            unit=metric.unit,
            better="none",
            grader=metric.grader,
            dropped=numbers["empty"],
            notes=f"n counts tokens of {held[metric.key]['answers']} answers, which are resampled whole",
        )
        for name, metric in metrics().items()
    ]


def _subject(name: str, model: LanguageModel) -> SubjectRow:
    about = model.describe()
    return SubjectRow(name=name, model=about["model"], policy=about.get("policy"), revision=about.get("revision"))
