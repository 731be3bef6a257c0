"""boresight audit: measure models or policies."""

from typing import Annotated

import typer

from boresight.cli.options import Device, Dtype, Json, Out, Seed, Steer


def audit(
    subjects: Annotated[list[str], typer.Argument(metavar="SUBJECT...", help="Model specs or policy files (.yaml).")],
    steer: Steer = None,
    battery: Annotated[str, typer.Option(help="Set of measures to run.")] = "quick",
    measure: Annotated[
        list[str] | None, typer.Option("--measure", help="Run this measure instead; may be repeated.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Prompts per measure, drawn with the seed.")] = None,
    max_new_tokens: Annotated[
        int | None, typer.Option("--max-new-tokens", min=1, help="Cap on every measure's own answer length.")
    ] = None,
    out: Out = None,
    seed: Seed = 0,
    fail_under: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-under", metavar="METRIC=VALUE", help="Exit with 1 if a subject is below; may be repeated."
        ),
    ] = None,
    fail_over: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-over", metavar="METRIC=VALUE", help="The same for metrics where lower is better: 1 if above."
        ),
    ] = None,
    dtype: Dtype = "auto",
    device: Device = "auto",
    json_: Json = False,
) -> None:
    """Measure models or policies with the same prompts and write a run directory with a report.

    The first subject is the baseline of all comparisons. --steer applies to every subject named.

    Example: boresight audit gemma-3-270m smollm2-135m-instruct --battery quick --limit 20 --out runs/first
    """
    from boresight.cli.progress import bars, busy
    from boresight.cli.show import show_run
    from boresight.measure.battery import chosen
    from boresight.report.checks import failures, parse_limits
    from boresight.report.files import new_directory, unless_it_fails
    from boresight.report.metrics import known_metrics
    from boresight.report.run import audit as run_audit
    from boresight.report.run import default_folder, load_subjects

    known = known_metrics(chosen(battery, measure or []))
    under, over = parse_limits(fail_under or [], known), parse_limits(fail_over or [], known, "--fail-over")
    folder = new_directory(out or default_folder("audit"))
    with unless_it_fails(folder), busy("loading models"):
        loaded = load_subjects(subjects, steer or [], dtype, device)
    with bars() as progress:
        run = run_audit(
            loaded,
            out=folder,
            battery=battery,
            measures=measure or [],
            limit=limit,
            seed=seed,
            max_new_tokens=max_new_tokens,
            progress=progress,
            config={"specs": subjects, "steer": steer or [], "dtype": dtype, "device": device},
        )
    show_run(run, as_json=json_)
    beyond = failures(run.results, under, over)
    for line in beyond:
        typer.echo(line, err=True)
    if beyond:
        raise typer.Exit(1)
