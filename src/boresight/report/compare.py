"""What changed between two subjects, from the logs of one run directory or of two."""

from pathlib import Path
from typing import Any

from boresight.errors import DataError
from boresight.measure.base import Measure
from boresight.measure.battery import MEASURES, measure
from boresight.report.records import Record, read_records
from boresight.report.results import Results, SubjectRow, read_results
from boresight.report.tally import tally


def compare(
    a: str | Path, b: str | Path | None = None, *, subject_a: str | None = None, subject_b: str | None = None
) -> Results:
    """Results of two subjects on the samples that both answered, with the paired comparisons b minus a.

    a, b: run directories; without b both subjects are taken from a. subject_a: default the first subject of a;
    subject_b: default the one of the same name in another run b, else the last one. Raises DataError
    if a run is not finished, a subject is not in it, the two allowed answers of different length, or share no prompt.
    """
    first, second = Path(a), Path(b if b is not None else a)
    left, right = read_results(first), read_results(second)
    row_a = _pick(left, subject_a, 0, first)
    if subject_b is None and b is not None and any(r.name == row_a.name for r in right.subjects):
        subject_b = row_a.name
    row_b = _pick(right, subject_b, -1, second)
    if first == second and row_a.name == row_b.name:
        if len(left.subjects) > 1:
            raise DataError(f"{row_a.name!r} of {first} cannot be compared with itself; name another with --a or --b")
        raise DataError(f"{first} has only the subject {row_a.name!r}; a second run is needed to compare it with")
    config, other = _config(first), _config(second)
    budgets = config["max_new_tokens"] or "none", other["max_new_tokens"] or "none"
    if budgets[0] != budgets[1]:
        raise DataError(
            f"{first} and {second} allowed answers of different length (max_new_tokens {budgets[0]} and {budgets[1]}),"
            " which alone changes their numbers; run them with the same --max-new-tokens"
        )
    name_a, name_b = row_a.name, row_b.name
    if name_a == name_b:
        name_a, name_b = f"{first.name}/{name_a}", f"{second.name}/{name_b}"
        if name_a == name_b:
            name_a, name_b = f"{name_a} (a)", f"{name_b} (b)"
    own_a = {(r.measure, r.id, r.epoch, r.prompt): r for r in read_records(first) if r.subject == row_a.name}
    own_b = {(r.measure, r.id, r.epoch, r.prompt): r for r in read_records(second) if r.subject == row_b.name}
    shared = [key for key in own_a if key in own_b]
    if not shared:
        raise DataError(f"{first} and {second} share no prompt; run them with the same measures, limit and seed")
    records = [_as(name_a, own_a[key]) for key in shared] + [_as(name_b, own_b[key]) for key in shared]
    slugs = [slug for slug in MEASURES if any(slug == key[0] for key in shared)]
    measures = [_same_measure(slug, (first, config), (second, other)) for slug in slugs]
    rows, pairs = tally(records, measures, [name_a, name_b], left.seed)
    graders = _graders(left, right, {row.metric for row in rows})
    rows = [row.model_copy(update={"grader": graders.get(row.metric, row.grader)}) for row in rows]
    subjects: list[SubjectRow] = [row_a.model_copy(update={"name": name_a}), row_b.model_copy(update={"name": name_b})]
    return Results(
        created=max(left.created, right.created),
        seed=left.seed,
        seconds=left.seconds + (right.seconds if first != second else 0.0),
        subjects=subjects,
        measures=rows,
        comparisons=pairs,
    )


def _same_measure(slug: str, a: tuple[Path, dict[str, Any]], b: tuple[Path, dict[str, Any]]) -> Measure:
    """The measure with the options that both runs had; DataError if they had different ones."""
    asked = [(config.get("options") or {}).get(slug) or {} for _, config in (a, b)]
    if asked[0] != asked[1]:
        raise DataError(
            f"{a[0]} and {b[0]} ran {slug} with different options ({asked[0] or 'none'} and {asked[1] or 'none'});"
            " run them with the same -T"
        )
    return measure(slug, asked[0], graded="grader" in (a[1].get("roles") or {}))


def _graders(left: Results, right: Results, metrics: set[str]) -> dict[str, str]:
    """Who decided each metric; DataError where it was not the same grader in both runs."""
    found = {row.metric: row.grader for row in left.measures if row.metric in metrics}
    for row in right.measures:
        if found.get(row.metric, row.grader) != row.grader:
            raise DataError(
                f"{row.metric} was graded by {found[row.metric]} in one run and by {row.grader} in the other;"
                " run them with the same --grader"
            )
    return found


def _config(run: Path) -> dict[str, Any]:
    """A run's config.yaml; it has at least `max_new_tokens`."""
    import yaml

    try:
        config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
        config["max_new_tokens"]
        return config
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError) as error:
        raise DataError(f"{run} has no config.yaml of a run; one written by boresight audit is needed") from error


def _pick(results: Results, wanted: str | None, default: int, run: Path) -> SubjectRow:
    if not results.subjects:
        raise DataError(f"{run} has no subject at all")
    if wanted is None:
        return results.subjects[default]
    for row in results.subjects:
        if row.name == wanted:
            return row
    raise DataError(f"{run} has no subject {wanted!r}; it has {', '.join(r.name for r in results.subjects)}")


def _as(name: str, record: Record) -> Record:
    from dataclasses import replace

    return replace(record, subject=name)
