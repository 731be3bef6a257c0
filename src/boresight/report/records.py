"""From Inspect's logs to records: one sample of one subject, its answer and its scores."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from boresight.errors import DataError
from boresight.measure.base import Record, completion_of

__all__ = ["Record", "read_records", "records", "records_of_files"]


def records(logs: Sequence[Any], subject: str) -> tuple[list[Record], list[str]]:
    """(records in order of measure and sample, error sentences) of the Inspect logs of one subject."""
    found: list[Record] = []
    errors: list[str] = []
    for log in logs:
        measure = log.eval.task.split("/")[-1]
        for sample in log.samples or ():
            scores = None if sample.error or not sample.scores else _scores(sample)
            message = (sample.error.message if sample.error else "the sample was not scored") if scores is None else ""
            if message:
                errors.append(f"{measure} {sample.id}: {message}")
            found.append(
                Record(
                    subject=subject,
                    measure=measure,
                    id=str(sample.id),
                    prompt=sample.input if isinstance(sample.input, str) else sample.input[-1].text,
                    about=str((sample.metadata or {}).get("label", "")),
                    completion=completion_of(sample.output) if sample.output.choices else None,
                    scores=scores,
                    error=message,
                    epoch=sample.epoch,
                    metadata=dict(sample.metadata or {}),
                    detail=_detail(sample) if scores is not None else {},
                )
            )
    return found, errors


def _scores(sample: Any) -> dict[str, float]:
    (score,) = sample.scores.values()
    return {key: float(value) for key, value in score.value.items() if value is not None and value == value}


def _detail(sample: Any) -> dict[str, Any]:
    (score,) = sample.scores.values()
    return dict(score.metadata or {})


def read_records(run: Path) -> list[Record]:
    """All records of a run directory, from its logs."""
    from inspect_ai.log import list_eval_logs

    folder = run / "logs"
    if not folder.is_dir():
        raise DataError(f"{run} has no logs; a run directory written by boresight audit is needed")
    found: list[Record] = []
    for info in sorted(list_eval_logs(str(folder)), key=lambda i: i.name):
        log = _read(info)
        subject = str((log.eval.metadata or {}).get("subject") or log.eval.model.split("/")[-1])
        found += records([log], subject)[0]
    return found


def records_of_files(logs: Sequence[Path], subject: str) -> tuple[list[Record], list[str]]:
    """`records` of the log files of one subject; DataError for one that cannot be read."""
    return records([_read(str(path)) for path in logs], subject)


def _read(log: Any) -> Any:
    from inspect_ai.log import read_eval_log

    try:
        return read_eval_log(log)
    except Exception as error:  # whatever its reader stumbles over in a file that is cut off or not a log
        name = log if isinstance(log, str) else log.name.removeprefix("file://")
        raise DataError(f"the log {name} cannot be read: {error}") from error
