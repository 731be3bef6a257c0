"""Options that several verbs share, each described once."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from boresight.lm.base import Sampling

Steer = Annotated[
    list[str] | None,
    typer.Option(
        "--steer",
        metavar="NAME:KEY=VALUE,...",
        help="Steer with urial, nudging, ensemble or proxy-tuning; repeat to stack, innermost first (urial, nudging).",
    ),
]
Dtype = Annotated[str, typer.Option("--dtype", help="auto (measured on this machine), float32, bfloat16 or float16.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 or mps.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of every random choice.")]
MaxNewTokens = Annotated[
    int | None,
    typer.Option("--max-new-tokens", min=1, help="Longest answer, in tokens (default: the policy's own, else 256)."),
]
Temperature = Annotated[float | None, typer.Option("--temperature", min=0.0, help="0 is greedy, the default.")]
TopP = Annotated[float | None, typer.Option("--top-p", min=0.01, max=1.0, help="Nucleus kept when sampling.")]
Stop = Annotated[list[str] | None, typer.Option("--stop", help="A string that ends the answer; may be repeated.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Out = Annotated[Path | None, typer.Option("--out", help="Folder for the run; it must be new or empty.")]


def sampling_of(
    max_new_tokens: int | None, temperature: float | None, top_p: float | None, stop: list[str] | None, seed: int
) -> "Sampling | None":
    """What was asked for; None if nothing was, so that a policy's own settings hold."""
    from boresight.errors import DataError
    from boresight.lm.base import Sampling

    given = {"max_new_tokens": max_new_tokens, "temperature": temperature, "top_p": top_p, "stop": tuple(stop or ())}
    given = {name: value for name, value in given.items() if value not in (None, ())}
    try:
        return Sampling(**given, seed=seed) if given else None
    except ValueError as error:
        raise DataError(str(error)) from error
