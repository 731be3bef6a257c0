"""boresight chat: talk to a model or policy in the terminal."""

from typing import Annotated

import typer

from boresight.cli.options import Device, Dtype, MaxNewTokens, Seed, Steer, Temperature, TopP, sampling_of


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
    from boresight.report.safe import visible
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
        with busy("writing"):
            done = loaded.generate([turns], sampling)[0]
        shown = Text()
        spans = done.trace.spans
        if "".join(s.text for s in spans).strip() == done.text.strip():
            for span in spans:
                shown.append(visible(span.text), "underline" if span.role == "nudge" else "")
        else:
            shown.append(visible(done.text))
        console.print(shown, soft_wrap=True)
        if done.finish_reason != "stop":
            console.print(f"[dim]({done.finish_reason})[/dim]")
        turns.append({"role": "assistant", "content": done.text})
