"""boresight demo: the main job on the small real models."""

from typing import Annotated

import typer

from boresight.cli.options import Json, Out, Seed


def demo(
    fast: Annotated[bool, typer.Option("--fast", help="Fewer and shorter answers: about a minute.")] = False,
    out: Out = None,
    seed: Seed = 0,
    json_: Json = False,
) -> None:
    """Audit a base model, steer it in two ways without touching its weights, and show what changed.

    The models must be in the cache: boresight models pull gemma-3-270m smollm2-135m-instruct --accept-licence

    Example: boresight demo --out runs/demo
    """
    from boresight.cli.progress import bars, busy, said_if_interrupted
    from boresight.cli.show import show_run
    from boresight.report.demo import demo as run_demo
    from boresight.report.demo import demo_subjects
    from boresight.report.environment import peak_memory_mib
    from boresight.report.run import default_folder

    folder = out or default_folder("demo")
    with busy("loading models"):
        subjects = demo_subjects()
    with said_if_interrupted(folder), bars() as progress:
        run = run_demo(subjects, folder, fast=fast, seed=seed, progress=progress)
    show_run(run, as_json=json_)
    peak = peak_memory_mib()
    memory = f", peak memory {peak / 1024:.1f} GiB" if peak else ""
    typer.echo(f"time: {run.results.seconds:.0f} s{memory}", err=json_)
