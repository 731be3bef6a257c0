"""Answers to a file of prompts: JSON lines, each written as soon as it is complete."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from boresight.data.requests import Request
from boresight.lm.base import Completion, LanguageModel, Sampling
from boresight.report.files import require_place, write_json, writing
from boresight.report.safe import visible


def answer_all(
    model: LanguageModel,
    requests: Sequence[Request],
    sampling: Sampling | None,
    *,
    out: Path | None = None,
    trace: Path | None = None,
    plain: bool = False,
) -> list[Completion]:
    """Answer every request and write one line each: the row as it came, "index", "completion", and how it ended.

    out: a file (None: stdout). It is written beside its place and moved there when all answers are in it, so a file
    of that name is complete. trace: a JSON file with every completion's spans and counters. plain: print just the text.
    Raises OutputError, before anything is generated, if out or trace has no folder or is one.
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
        completions = _to_file(model, chats, sampling, line, out)
    if trace:
        write_json(trace, [_trace(i, c, head) for i, c in enumerate(completions)])
    return completions


def _to_file(
    model: LanguageModel, chats: Sequence[Any], sampling: Sampling | None, line: Any, out: Path
) -> list[Completion]:
    part = out.with_name(f"{out.name}.part")
    with writing(out):
        file: IO[str] = part.open("w", encoding="utf-8")
        finished = False
        try:

            def write(i: int, done: Completion) -> None:
                file.write(line(i, done) + "\n")
                file.flush()

            completions = model.generate(chats, sampling, on_done=write)
            finished = True
        finally:
            file.close()
            if not finished:
                print(f"boresight: the answers so far are in {part}", file=sys.stderr)
        part.replace(out)
    return completions


def _trace(index: int, done: Completion, head: dict[str, Any]) -> dict[str, Any]:
    return {"index": index, **head, **asdict(done)}
