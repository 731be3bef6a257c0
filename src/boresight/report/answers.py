"""Answers to a file of prompts: JSON lines.

To stdout each goes as soon as it is complete. A file is written when all answers are there, in the order of the
prompts; until then a journal beside it (`OUT.part`) holds them, and a run that was killed goes on from it.
"""

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from boresight.data.requests import Request
from boresight.errors import DataError, OutputError
from boresight.lm.base import Completion, LanguageModel, Sampling, completion_from
from boresight.report.files import held, require_place, write_json, write_text
from boresight.report.identity import identity
from boresight.report.journal import Journal
from boresight.safe import visible


def answer_all(
    model: LanguageModel,
    requests: Sequence[Request],
    sampling: Sampling | None,
    *,
    out: Path | None = None,
    trace: Path | None = None,
    plain: bool = False,
    resume: bool = False,
) -> list[Completion]:
    """Answer every request and write one line each: the row as it came, "index", "completion", and how it ended.

    out: a file (None: stdout); it appears when it is complete. resume: take the answers that an earlier call with the
    same model, requests and sampling left beside `out` when it was killed. trace: a JSON file with every completion's
    spans and counters. plain: print just the text.

    Raises OutputError, before anything is generated, if out or trace has no folder or is one, if another process is
    writing to it, or if there are such answers and `resume` is not set; DataError if they belong to something else.
    """
    for path in (out, trace):
        if path:
            require_place(path)
    about = model.describe()
    head = {"model": about["model"], "policy": about.get("policy")}

    def line(i: int, done: Completion) -> str:
        ended = {"index": i, "completion": done.text, "finish_reason": done.finish_reason, "tokens": done.tokens}
        return json.dumps({**requests[i].row, **ended, **head}, ensure_ascii=False)

    chats = [request.chat for request in requests]
    if plain:
        completions = model.generate(chats, sampling)
        text = completions[0].text
        print(visible(text) if sys.stdout.isatty() else text)  # a terminal would obey control characters
    elif out is None:
        completions = model.generate(chats, sampling, on_done=lambda i, c: print(line(i, c), flush=True))
    else:
        lock, busy = out.with_name(f".{out.name}.lock"), f"another run is writing to {out}; wait until it has ended"
        with held(lock, busy), _journal(out, model, requests, sampling, resume) as journal, _said(journal):
            completions = _answers(model, chats, sampling, journal)
            write_text(out, "".join(line(i, c) + "\n" for i, c in enumerate(completions)))
            journal.remove()
    if trace:
        write_json(trace, [{"index": i, **head, **asdict(c)} for i, c in enumerate(completions)])
    return completions


def journal_path(out: Path) -> Path:
    """Where the answers stand while `out` is not complete."""
    return out.with_name(f"{out.name}.part")


def _journal(
    out: Path, model: LanguageModel, requests: Sequence[Request], sampling: Sampling | None, resume: bool
) -> Journal:
    """The journal of these answers: a new one, or the one that is there if it belongs to the same question."""
    rows = hashlib.sha256(json.dumps([[dict(m) for m in r.chat] for r in requests]).encode()).hexdigest()
    asked = {"prompts": rows, "sampling": json.loads(json.dumps(asdict(sampling))) if sampling else None}
    asked |= dict(identity(model.describe()))
    path = journal_path(out)
    journal = Journal(path) if path.exists() else None
    if journal is None or not journal.held:
        return Journal(path, {"journal": 1, "asked": asked})
    if not resume:
        journal.close()
        raise OutputError(f"{path} holds answers of a run that was cut off; go on with --resume, or delete that file")
    before = journal.head.get("asked")
    changed = [key for key, value in asked.items() if not isinstance(before, Mapping) or before.get(key) != value]
    if changed:
        journal.close()
        raise DataError(f"{path} was begun with other {changed[0]}; resume with the same, or delete that file")
    return journal


@contextmanager
def _said(journal: Journal) -> Iterator[None]:
    """Tell what is kept when the work ends early; a journal without an answer goes."""
    try:
        yield
    except BaseException:
        if journal.held:
            kept = f"the answers so far are in {journal.path}; the same command with --resume goes on"
            print(f"boresight: {kept}", file=sys.stderr)
        else:
            journal.remove()
        raise


def _answers(
    model: LanguageModel, chats: Sequence[Any], sampling: Sampling | None, journal: Journal
) -> list[Completion]:
    """All answers: those in the journal, and the model's to the other chats, each written down when it is there."""
    found = {entry["row"]: completion_from(entry["completion"]) for entry in journal.entries}
    left = [i for i in range(len(chats)) if i not in found]

    def keep(k: int, done: Completion) -> None:
        journal.add({"row": left[k], "completion": asdict(done)})
        found[left[k]] = done

    if left:
        own = sampling or getattr(model, "sampling", None)  # a policy that samples by itself draws by row number too
        drawn = [replace(own, row=i) for i in left] if own and own.temperature else sampling
        model.generate([chats[i] for i in left], drawn, on_done=keep)
    return [found[i] for i in range(len(chats))]
