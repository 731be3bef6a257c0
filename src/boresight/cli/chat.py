"""boresight chat: talk to a model or policy in the terminal."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from boresight.cli.options import Device, Dtype, MaxNewTokens, Seed, Steer, Temperature, TopP, sampling_of

if TYPE_CHECKING:
    from boresight.chat import Chat
    from boresight.lm.base import Completion, LanguageModel, Sampling, Span


def chat(
    model: Annotated[str, typer.Argument(help="Model spec or policy file.")],
    steer: Steer = None,
    system: Annotated[str, typer.Option("--system", help="System message.")] = "",
    max_new_tokens: MaxNewTokens = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    seed: Seed = 0,
    dtype: Dtype = "auto",
    device: Device = "auto",
) -> None:
    """Talk to a model. A line is a turn; /new starts over, an empty line or Ctrl-D ends. Nudged words are underlined.

    Example: boresight chat gemma-3-270m --steer nudging:nudger=smollm2-135m-instruct
    """
    import sys

    from rich.console import Console
    from rich.text import Text

    from boresight.chat import user
    from boresight.cli.progress import busy
    from boresight.errors import DataError
    from boresight.lm.base import Span
    from boresight.safe import visible
    from boresight.steer.policy import load

    if sys.stdin is None:
        raise DataError("chat reads what you say from standard input, and it is closed")
    sampling = sampling_of(max_new_tokens, temperature, top_p, None, seed)
    with busy(f"loading {model}"):
        loaded = load(model, steer=steer or [], dtype=dtype, device=device)
    console = Console()
    turns: list[dict[str, str]] = []
    while True:
        if sys.stdin.isatty():
            console.print("[bold]you[/bold] > ", end="")
        line = sys.stdin.readline()
        if not line.strip():
            return
        if line.strip() == "/new":
            turns = []
            continue
        turns += user(line.strip(), system if not turns else "")
        running = streamed(loaded, turns, sampling)
        with busy("writing"):
            piece = next(running)
        shown = ""
        while isinstance(piece, Span):
            text = piece.text if shown else piece.text.lstrip()
            console.print(Text(visible(text), "underline" if piece.role == "nudge" else ""), end="", soft_wrap=True)
            shown += text
            piece = next(running)
        done = piece
        console.print()
        if shown.strip() != done.text.strip():
            console.print("[dim](the end repeats itself and is cut from what the model reads)[/dim]")
        if done.finish_reason != "stop":
            console.print(f"[dim]({done.finish_reason})[/dim]")
        turns.append({"role": "assistant", "content": done.text})


def streamed(model: "LanguageModel", chat: "Chat", sampling: "Sampling | None") -> "Iterator[Span | Completion]":
    """The answer in pieces as it is written, then the Completion; in one piece where a model answers only whole."""
    if hasattr(model, "stream_chat"):
        return model.stream_chat(chat, sampling)  # type: ignore[attr-defined]
    if hasattr(model, "session"):
        from boresight.lm.stream import stream_local

        return stream_local(model, chat, sampling)  # type: ignore[arg-type]
    (done,) = model.generate([chat], sampling)
    return iter((*done.trace.spans, done) if done.trace.spans else (_whole(done), done))


def _whole(done: "Completion") -> "Span":
    from boresight.lm.base import Span

    return Span("", done.text)
