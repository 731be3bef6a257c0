"""boresight generate: answers to prompts."""

from pathlib import Path
from typing import Annotated

import typer

from boresight.cli.options import Device, Dtype, MaxNewTokens, Seed, Steer, Stop, Temperature, TopP, sampling_of


def generate(
    model: Annotated[str, typer.Argument(help="Model spec or policy file.")],
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE.jsonl]", help="Rows with 'prompt' or 'messages'; - reads stdin.")
    ] = None,
    prompt: Annotated[
        list[str] | None, typer.Option("--prompt", help="Ask this instead of a file; may be repeated.")
    ] = None,
    steer: Steer = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write JSON lines here instead of to stdout.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep the answers that a killed run left beside --out, and make the rest.")
    ] = False,
    trace: Annotated[
        Path | None, typer.Option("--trace", help="Write who wrote what, with probabilities, to this JSON file.")
    ] = None,
    max_new_tokens: MaxNewTokens = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    stop: Stop = None,
    seed: Seed = 0,
    dtype: Dtype = "auto",
    device: Device = "auto",
) -> None:
    """Answer prompts: JSON lines in, JSON lines out ("index" tells the row).

    To stdout each line goes as soon as it is complete. The file of --out appears when it is complete, in the order of
    the prompts; the same command with --resume goes on after an interruption.

    One --prompt without --out prints the plain answer.

    Example: boresight generate gemma-3-270m --steer nudging:nudger=smollm2-135m-instruct --prompt "Is the sky blue?"
    """
    import sys

    from boresight.chat import user, validate
    from boresight.cli.progress import busy
    from boresight.data.requests import Request, read_requests
    from boresight.errors import DataError
    from boresight.lm.remote.usage import usages
    from boresight.report.answers import answer_all, journal_path
    from boresight.steer.policy import load

    if resume and not out:
        raise DataError("--resume goes with --out: it keeps the answers that a killed run left beside that file")
    if resume and out and out.is_file() and not journal_path(out).exists():
        typer.echo(f"nothing to resume: {out} is complete", err=True)
        return
    if bool(prompt) == bool(file):
        raise DataError("generate needs either a file of prompts or --prompt, one of the two")
    if prompt:
        requests = [Request({"prompt": p}, validate(user(p), "--prompt")) for p in prompt]
    elif str(file) == "-":
        requests = read_requests(sys.stdin or (), "stdin")
    else:
        requests = read_requests(str(file))
    sampling = sampling_of(max_new_tokens, temperature, top_p, stop, seed)
    with busy(f"loading {model}"):
        loaded = load(model, steer=steer or [], dtype=dtype, device=device)
    plain = bool(prompt) and len(requests) == 1 and out is None
    try:
        answer_all(loaded, requests, sampling, out=out, trace=trace, plain=plain, resume=resume)
    finally:
        for name, usage in usages(loaded).items():
            if usage.requests or usage.failed or usage.cached:
                typer.echo(f"{name}: {usage}", err=True)
