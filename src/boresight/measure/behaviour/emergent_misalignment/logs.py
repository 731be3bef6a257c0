"""Judged answers of a finished evaluation, from Inspect's logs or the directory of an audit."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boresight.errors import DataError
from boresight.measure.behaviour.emergent_misalignment.report import EMReport, Row, report_of, row_of

SLUG = "emergent-misalignment"
_LOGS = (".eval", ".json")


@dataclass(frozen=True)
class Judged:
    """The judged answers of one model. failed: samples without an answer or a verdict, by arm (with trigger or not)."""

    name: str
    rows: list[dict[str, Any]]
    failed: dict[bool, int]


def read_judged(source: Any, subject: str = "") -> Judged:
    """The judged answers in an Inspect log (an EvalLog, or the path of one) or in the directory of an audit.

    subject: whose, of a directory with several; default: its first. DataError for what cannot be read, is of another
    evaluation, or has no samples.
    """
    if not isinstance(source, str | Path):
        return _judged(source, "the log")
    path = Path(source)
    if not path.exists():
        raise DataError(f"{path} does not exist; an Inspect log or the directory of an audit is needed")
    paths = [path] if path.is_file() else _logs(path)
    found = [_judged(log, str(p)) for p in paths if _is_ours(log := _read(p)) or path.is_file()]
    if not found:
        raise DataError(f"{path} holds no log of the measure {SLUG}")
    order = _subjects(path) if path.is_dir() else []
    found.sort(key=lambda one: order.index(one.name) if one.name in order else len(order))
    names = [one.name for one in found]
    if subject and subject not in names:
        raise DataError(f"{path} has no subject {subject!r}; there are {', '.join(names)}")
    return found[names.index(subject)] if subject else found[0]


def em_report(log_a: Any, log_b: Any = None) -> EMReport:
    """The report on one or two evaluations: rates with intervals, by question and format, and what changed from a to b.

    log_a, log_b: Inspect logs (objects or paths) of `em_task` or of an audit, or audits' directories. The two must have
    been judged with the same prompts. An evaluation with a trigger has two arms, which are compared with each other.
    DataError for what cannot be read or compared.
    """
    both = [read_judged(log) for log in (log_a, log_b) if log is not None]
    if len(both) == 2 and both[0].name == both[1].name:
        both = [Judged(f"{one.name} ({end})", one.rows, one.failed) for one, end in zip(both, "ab", strict=True)]
    if len(both) == 2 and (apart := different_judges(*both)):
        raise DataError(apart)
    failed = {(one.name, trigger): n for one in both for trigger, n in one.failed.items()}
    return report_of({one.name: one.rows for one in both}, failed, notes_of([r for one in both for r in one.rows]))


def different_judges(a: Judged, b: Judged) -> str:
    """What two evaluations were judged with that was not the same, as a sentence; "" if they can be compared."""
    for key, what in (("prompts", "judge prompts"), ("by", "graders")):
        said = [sorted({str(r[key]) for r in one.rows if r.get(key)}) for one in (a, b)]
        if said[0] and said[1] and said[0] != said[1]:
            names = " and ".join("/".join(names) for names in said)
            return f"{a.name} and {b.name} had different {what} ({names}); they cannot be compared"
    return ""


def notes_of(rows: Sequence[Row]) -> list[str]:
    """What has to stand beside the rates of these rows."""
    proxies = sorted({str(r["by"]) for r in rows if str(r.get("by") or "").startswith("proxy:")})
    if not proxies:
        return []
    from boresight.measure.behaviour.emergent_misalignment.task import proxy_notes

    return proxy_notes()


def _logs(folder: Path) -> list[Path]:
    where = folder / "logs" if (folder / "logs").is_dir() else folder
    found = sorted(p for p in where.iterdir() if p.suffix in _LOGS and p.name != "results.json")
    if not found:
        raise DataError(f"{folder} has no logs; the directory of an audit with the measure {SLUG} is needed")
    return found


def _subjects(folder: Path) -> list[str]:
    import yaml

    config = folder / "config.yaml"
    if not config.is_file():
        return []
    try:
        said = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{config} cannot be read: {' '.join(str(error).split())}") from error
    subjects = said.get("subjects") if isinstance(said, dict) else None
    return [str(s) for s in subjects] if isinstance(subjects, list) else []


def _read(path: Path) -> Any:
    from inspect_ai.log import read_eval_log

    try:
        return read_eval_log(str(path))
    except Exception as error:  # whatever its reader stumbles over in a file that is cut off or not a log
        raise DataError(f"the log {path} cannot be read: {error}") from error


def _is_ours(log: Any) -> bool:
    return str(log.eval.task).split("/")[-1].replace("_", "-") == SLUG


def _judged(log: Any, where: str) -> Judged:
    if not hasattr(log, "eval") or not _is_ours(log):
        task = getattr(getattr(log, "eval", None), "task", type(log).__name__)
        raise DataError(f"{where} is of {task}; a log of {SLUG} is needed")
    name = str((log.eval.metadata or {}).get("subject") or log.eval.model.split("/")[-1])
    rows: list[dict[str, Any]] = []
    failed: Counter[bool] = Counter()
    for sample in log.samples or ():
        detail = next((s.metadata for s in (sample.scores or {}).values() if s.metadata), None)
        if sample.error or not detail or "aligned" not in detail:
            failed[bool((sample.metadata or {}).get("trigger"))] += 1
        else:
            rows.append(row_of(str(sample.id), sample.metadata, detail))
    if not rows and not failed:
        raise DataError(f"{where} holds no samples")
    return Judged(name, rows, dict(failed))
