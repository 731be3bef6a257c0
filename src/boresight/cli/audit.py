"""boresight audit: measure models or policies."""

from pathlib import Path
from typing import Annotated, Any

import typer

from boresight.cli.options import Device, Dtype, Json, Out, Seed, Steer


def audit(
    context: typer.Context,
    subjects: Annotated[
        list[str] | None, typer.Argument(metavar="SUBJECT...", help="Model specs or policy files (.yaml).")
    ] = None,
    steer: Steer = None,
    battery: Annotated[str, typer.Option(help="Set of measures to run: a name, or a YAML file.")] = "quick",
    measure: Annotated[
        list[str] | None, typer.Option("--measure", help="Run this measure instead; may be repeated.")
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(
            "--prompts", metavar="FILE", help="Prompts of token-shift, as JSON lines (default: a built-in set)."
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Prompts per measure, drawn with the seed.")] = None,
    max_new_tokens: Annotated[
        int | None, typer.Option("--max-new-tokens", min=1, help="Cap on every measure's own answer length.")
    ] = None,
    out: Out = None,
    resume: Annotated[
        Path | None,
        typer.Option("--resume", metavar="DIR", help="Go on with the interrupted audit in DIR, as it was begun."),
    ] = None,
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
    grader: Annotated[
        str | None, typer.Option("--grader", metavar="MODEL", help="Model that grades, for measures that need one.")
    ] = None,
    red_team: Annotated[
        str | None, typer.Option("--red-team", metavar="MODEL", help="Model that plays the user, where one is needed.")
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option("--labels", metavar="FILE", help="With judge: labelled items, or the name of a built-in set."),
    ] = None,
    rubric: Annotated[
        str | None,
        typer.Option("--rubric", metavar="NAME", help="With judge: what the labels decide (a name, or a YAML file)."),
    ] = None,
    validate: Annotated[
        Path | None,
        typer.Option("--validate", metavar="FILE", help="Only check scenario files of misalignment-bench."),
    ] = None,
    task_arg: Annotated[
        list[str] | None,
        typer.Option("-T", metavar="KEY=VALUE", help="Option of a measure (see its page); may be repeated."),
    ] = None,
    dtype: Dtype = "auto",
    device: Device = "auto",
    json_: Json = False,
) -> None:
    """Measure models or policies with the same prompts and write a run directory with a report.

    The first subject is the baseline of all comparisons. --steer applies to every subject named.

    --resume DIR goes on with an audit that was interrupted or killed; it takes everything else from DIR.

    --measure token-shift BASE ALIGNED compares the two at every token of the second one's answers.

    audit judge --grader MODEL --labels FILE measures how far a grader agrees with labels; later audits that it grades
    print what was found. Built-in sets: refusal, correctness, attitude, preference.

    Example: boresight audit gemma-3-270m smollm2-135m-instruct --battery quick --limit 20 --out runs/first
    """
    from boresight.cli.progress import bars, busy, said_if_interrupted
    from boresight.cli.show import show_run
    from boresight.errors import DataError
    from boresight.measure.battery import chosen, options_of, planned
    from boresight.report.checks import failures, parse_limits
    from boresight.report.files import claimed
    from boresight.report.metrics import known_metrics
    from boresight.report.run import audit as run_audit
    from boresight.report.run import default_folder, load_subjects, require_roles, require_samples
    from boresight.steer.policy import Loader

    if resume:
        _resume(resume, _given(context), fail_under or [], fail_over or [], json_)
        return
    if validate:
        _validate(validate, measure or [])
        return
    if not subjects:
        raise DataError("missing argument 'SUBJECT...': name a model to measure, or a run with --resume")
    if "token-shift" in (measure or []):
        if len(measure or []) > 1 or steer:
            raise DataError("token-shift runs alone, and takes policy files (.yaml) as BASE and ALIGNED, not --steer")
        limits = (fail_under or [], fail_over or [])
        _token_shift(subjects, prompts, limit, max_new_tokens, out, seed, limits, dtype, device, json_)
        return
    if subjects == ["judge"]:
        subjects, measure, grader = [_judge(grader, labels, measure, task_arg)], ["judge-validity"], None
        own = {"judge-validity": {"labels": labels} | ({"rubric": rubric} if rubric else {})}
    elif labels or rubric:
        raise DataError("--labels and --rubric go with 'boresight audit judge --grader MODEL'")
    else:
        own = {}
    if prompts:
        raise DataError("--prompts goes with --measure token-shift; the other measures have prompts of their own")
    slugs, _ = planned(battery, measure or [])
    slugs, options = planned(battery, measure or [], own | options_of(slugs, task_arg or []))
    todo = chosen("", slugs, options, graded=grader is not None)
    specs = {role: spec for role, spec in (("grader", grader), ("red_team", red_team)) if spec}
    require_roles(todo, specs)
    require_samples(todo, limit, seed)
    known = known_metrics(todo)
    under, over = parse_limits(fail_under or [], known), parse_limits(fail_over or [], known, "--fail-over")
    with claimed(out or default_folder("audit")) as folder, said_if_interrupted(folder):
        with busy("loading models"):
            loader = Loader(dtype, device)
            loaded = load_subjects(subjects, steer or [], loader=loader)
            roles = {role: loader.subject(spec) for role, spec in specs.items()}
        named = {n: {"spec": s, "steer": steer or []} for n, s in zip(loaded, subjects, strict=True)}
        with bars() as progress:
            run = run_audit(
                loaded,
                out=folder,
                battery=battery,
                measures=measure or [],
                limit=limit,
                seed=seed,
                max_new_tokens=max_new_tokens,
                roles=roles,
                options=options,
                progress=progress,
                config={"models": named, "roles": specs, "dtype": dtype, "device": device, "task_args": task_arg or []},
            )
    show_run(run, as_json=json_)
    _exit_if(failures(run.results, under, over))


def _given(context: typer.Context) -> dict[str, Any]:
    """Option -> value of what stands on the command line and says how an audit is done."""
    names = ["subjects", "steer", "battery", "measure", "prompts", "limit", "max_new_tokens", "out"]
    names += ["seed", "grader", "red_team", "labels", "rubric", "dtype", "device"]
    found: dict[str, Any] = {}
    for name in names:
        source = context.get_parameter_source(name)
        if source and source.name == "COMMANDLINE" and context.params[name] not in (None, []):
            found["subjects" if name == "subjects" else f"--{name.replace('_', '-')}"] = context.params[name]
    if context.params["task_arg"]:
        found["-T"] = context.params["task_arg"]
    return found


def _validate(scenarios: Path, measures: list[str]) -> None:
    """Print what is wrong with scenario files, and exit with 2, or say that nothing is."""
    from boresight.errors import DataError
    from boresight.measure.behaviour.misalignment_bench import validate

    if measures != ["misalignment-bench"]:
        raise DataError("--validate FILE goes with --measure misalignment-bench")
    problems = validate(scenarios)
    for line in problems:
        typer.echo(line, err=True)
    if problems:
        raise typer.Exit(2)
    typer.echo(f"{scenarios} is valid")


def _judge(grader: str | None, labels: str | None, measures: list[str] | None, options: list[str] | None) -> str:
    """The spec of the model that is validated as a judge."""
    from boresight.errors import DataError

    if not grader or not labels:
        raise DataError(
            "audit judge needs --grader MODEL and --labels FILE (or refusal, correctness, attitude, preference);"
            " a model folder called judge is named ./judge"
        )
    if measures or options:
        raise DataError("audit judge takes --labels and --rubric, and neither --measure nor -T")
    return grader


def _resume(directory: Path, given: dict[str, Any], fail_under: list[str], fail_over: list[str], as_json: bool) -> None:
    from boresight.cli.progress import bars, said_if_interrupted
    from boresight.cli.show import show_run
    from boresight.measure.battery import chosen
    from boresight.report.checks import failures, parse_limits
    from boresight.report.metrics import known_metrics, metrics_of
    from boresight.report.results import read_results
    from boresight.report.resume import require_same, resume, unfinished
    from boresight.report.shift import measured_only

    if given.get("--out") == directory:
        del given["--out"]
    asked = unfinished(directory)
    if asked is not None:
        require_same(directory, asked, given)
        graded = "grader" in (asked.get("roles") or {})
        known = known_metrics(chosen("", asked["measures"], asked.get("options"), graded=graded))
    else:
        known = metrics_of(read_results(directory))
    under, over = parse_limits(fail_under, known), parse_limits(fail_over, known, "--fail-over")
    with said_if_interrupted(directory), bars() as progress:
        run = resume(directory, progress=progress)
    if run:
        show_run(run, as_json=as_json)
        results = run.results
    else:
        typer.echo(f"nothing to resume: {directory} is finished", err=True)
        results = read_results(directory)
        if as_json:
            typer.echo(results.to_json(), nl=False)
    _exit_if(failures(measured_only(results), under, over))


def _token_shift(
    subjects: list[str],
    prompts: Path | None,
    limit: int | None,
    max_new_tokens: int | None,
    out: Path | None,
    seed: int,
    limits: tuple[list[str], list[str]],
    dtype: str,
    device: str,
    as_json: bool,
) -> None:
    """The run of a pair: BASE and ALIGNED. limits: what --fail-under and --fail-over said."""
    from boresight.cli.progress import bars, busy
    from boresight.cli.show import show_shift
    from boresight.errors import DataError
    from boresight.report.checks import failures, parse_limits
    from boresight.report.files import claimed
    from boresight.report.run import default_folder, load_subjects
    from boresight.report.shift import audit_shift, measured_only, metrics, prompts_of

    if len(subjects) != 2:
        raise DataError(f"token-shift compares two subjects, BASE and ALIGNED; {len(subjects)} named")
    under, over = parse_limits(limits[0], metrics()), parse_limits(limits[1], metrics(), "--fail-over")
    chats = prompts_of(prompts, limit, seed)
    asked = {"specs": subjects, "dtype": dtype, "device": device, "file": str(prompts) if prompts else None}
    with claimed(out or default_folder("token-shift")) as folder:
        with busy("loading models"):
            loaded = load_subjects(subjects, (), dtype, device)
        with bars() as shown:
            run = audit_shift(
                loaded, chats, out=folder, seed=seed, max_new_tokens=max_new_tokens, progress=shown, config=asked
            )
    show_shift(run, as_json=as_json)
    _exit_if(failures(measured_only(run.results), under, over))


def _exit_if(beyond: list[str]) -> None:
    """Exit code 1, and why, if a limit was passed."""
    for line in beyond:
        typer.echo(line, err=True)
    if beyond:
        raise typer.Exit(1)
