"""An audit: subjects x measures -> a run directory.

config.yaml   what was asked for
env.json      versions, hardware, seeds, models with the hashes of their weights
logs/         one Inspect log per subject and measure: every prompt, answer, trace and score (`inspect view`)
results.json  the numbers (schema boresight.results/1); the run is finished when it is there
report.html   the page

Until then `journal.jsonl` holds every answer so far (`report.attempt`), and `report.resume` goes on from it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from boresight.errors import BoresightError, DataError
from boresight.lm.base import LanguageModel
from boresight.lm.remote.usage import Spent
from boresight.measure.base import make_task
from boresight.measure.battery import Options, chosen, planned
from boresight.report.attempt import Attempt
from boresight.report.engines import TARGET, engines_of, spent_on
from boresight.report.environment import environment
from boresight.report.exchanges import exchanges
from boresight.report.files import claimed, write_json, write_text
from boresight.report.metrics import known_metrics
from boresight.report.records import Record, records, records_of_files
from boresight.report.results import Results, SubjectRow, UsageRow
from boresight.report.tally import tally
from boresight.report.validation import figures, remember
from boresight.steer.policy import Loader

if TYPE_CHECKING:
    from inspect_ai import Task

    from boresight.measure.base import Measure, Metric


ROLES = {"grader": "--grader MODEL", "red_team": "--red-team MODEL"}
"""Model roles besides the target, and how the command line names them."""

SMALL_JUDGE = 3_000_000_000
"""Parameters below which a report says that the grader is no judge."""

MUCH_NUDGED = 0.2
"""Share of nudged tokens from which a report warns (nudging sheet, section 5)."""


class Progress(Protocol):
    """Who wants to see how far an audit is."""

    def begin(self, subject: str, answers: int) -> None:
        """A subject's turn: this many answers are to come."""

    def answered(self) -> None:
        """One more answer is there."""

    def stepped(self, rows: int) -> None:
        """One more forward pass was done, for this many rows."""


class Silent:
    """No progress display."""

    def begin(self, subject: str, answers: int) -> None:
        """Nothing."""

    def answered(self) -> None:
        """Nothing."""

    def stepped(self, rows: int) -> None:
        """Nothing."""


@dataclass(frozen=True)
class Run:
    """A finished audit: its directory, its numbers, and what is behind them.

    judges: measure -> how good the model that graded it was found to be. metrics: by name, as
    its measures describe them.
    """

    directory: Path
    results: Results
    records: list[Record]
    errors: list[str]
    judges: dict[str, str] = field(default_factory=dict)
    metrics: "dict[str, Metric]" = field(default_factory=dict)


def default_folder(verb: str) -> Path:
    """runs/VERB-TIME, for those who name no folder."""
    return Path("runs") / f"{verb}-{datetime.now().strftime('%Y%m%d-%H%M%S')}"


def load_subjects(
    specs: Sequence[str],
    steer: Sequence[str] = (),
    dtype: str = "auto",
    device: str = "auto",
    *,
    loader: Loader | None = None,
) -> dict[str, LanguageModel]:
    """Name -> model of each spec with `steer` around it; a name that comes twice gets a number."""
    loader = loader or Loader(dtype, device)
    for spec in specs:
        loader.plan(spec, steer)  # a mistake in the last one should not cost the loading of the first
    found: dict[str, LanguageModel] = {}
    for spec in specs:
        model = loader.subject(spec, steer)
        name, number = model.name, 2
        while name in found:
            name, number = f"{model.name}-{number}", number + 1
        found[name] = model
    return found


def audit(
    subjects: Mapping[str, LanguageModel | str] | Sequence[str],
    *,
    out: str | Path,
    battery: str = "quick",
    measures: Sequence[str] = (),
    limit: int | None = None,
    seed: int = 0,
    max_new_tokens: int | None = None,
    roles: Mapping[str, LanguageModel | str] | None = None,
    options: Mapping[str, Options] | None = None,
    progress: Progress | None = None,
    config: Mapping[str, Any] | None = None,
    title: str = "",
) -> Run:
    """Measure every subject with the same prompts and write the run directory `out` (new or empty).

    subjects: name -> model or spec, or specs to load; comparisons are against the first. battery: name of a set of
    measures; or `measures` by slug. limit: prompts per measure, drawn with `seed` (None: all). max_new_tokens: caps
    every measure's own budget. roles: "grader" and "red_team" -> model or spec, for measures that need one. options: of
    measures, by slug. config: what else belongs in config.yaml. title: of the page.

    Raises DataError for unknown names, for a measure that needs a role which is not given and for subjects without a
    single answer, OutputError if `out` cannot be written.
    """
    if not subjects:
        raise DataError("an audit needs at least one subject")
    if limit is not None and limit < 1:
        raise DataError(f"limit is {limit}; at least 1 is needed")
    if max_new_tokens is not None and max_new_tokens < 1:
        raise DataError(f"max_new_tokens is {max_new_tokens}; at least 1 is needed")
    if seed < 0:
        raise DataError(f"seed is {seed}; at least 0 is needed")
    roles = dict(roles or {})
    slugs, options = planned(battery, [measures] if isinstance(measures, str) else measures, options)
    todo = chosen("", slugs, options, graded="grader" in roles)
    require_roles(todo, roles)
    require_samples(todo, limit, seed)
    with claimed(out) as folder:
        if isinstance(subjects, Mapping):
            loader = Loader()
            models = {n: loader.subject(m) if isinstance(m, str) else m for n, m in subjects.items()}
        else:
            subjects = [subjects] if isinstance(subjects, str) else list(subjects)
            loader = Loader()
            models = load_subjects(subjects, loader=loader)
        helpers = {role: loader.subject(m) if isinstance(m, str) else m for role, m in roles.items()}
        specs = list(subjects.values()) if isinstance(subjects, Mapping) else subjects
        asked = {
            "subjects": list(models),
            "battery": None if measures else battery,
            "measures": [m.slug for m in todo],
            "limit": limit,
            "seed": seed,
            "max_new_tokens": max_new_tokens,
            "options": {s: {k: str(v) if isinstance(v, Path) else v for k, v in o.items()} for s, o in options.items()},
            "roles": {role: m if isinstance(m, str) else None for role, m in roles.items()},
            "title": title,
        }
        if all(isinstance(spec, str) for spec in specs):
            asked["models"] = {name: {"spec": spec, "steer": []} for name, spec in zip(models, specs, strict=True)}
        asked |= config or {}
        import yaml

        about = environment({n: m.describe() for n, m in models.items()}, seed)
        about |= {"roles": {role: m.describe() for role, m in helpers.items()}} if helpers else {}
        write_json(folder / "env.json", about)
        write_text(folder / "config.yaml", yaml.safe_dump(asked, sort_keys=False, allow_unicode=True))
        with Attempt(folder) as attempt:
            return carry_out(attempt, models, helpers, asked, progress or Silent())


def require_roles(measures: "Sequence[Measure]", roles: Mapping[str, Any]) -> None:
    """DataError if a measure needs a model in a role that nobody has, or a role is none that any could use."""
    for role in roles:
        if role not in ROLES:
            raise DataError(f"no role is called {role!r}; there are {', '.join(ROLES)}")
    for measure in measures:
        for role in measure.roles:
            if role not in roles:
                raise DataError(
                    f"{measure.slug} needs a model as its {role.replace('_', ' ')}: name one with {ROLES[role]}"
                )


def require_samples(measures: "Sequence[Measure]", limit: int | None, seed: int) -> None:
    """DataError if a measure cannot draw its prompts here: what it lacks is said before anything is loaded."""
    for measure in measures:
        measure.samples(limit, seed)


def carry_out(
    attempt: Attempt,
    models: Mapping[str, LanguageModel],
    helpers: Mapping[str, LanguageModel],
    asked: Mapping[str, Any],
    progress: Progress,
) -> Run:
    """Ask what an attempt's journal has no answer to, and write the results.

    helpers: role -> model. asked: what config.yaml holds.
    """
    todo = chosen("", asked["measures"], asked.get("options"), graded="grader" in helpers)
    limit, seed, budget = asked["limit"], asked["seed"], asked["max_new_tokens"]
    found: list[Record] = []
    errors: list[str] = []
    for name, model in models.items():
        logs = attempt.finished(name)
        if logs:
            new, wrong = records_of_files(logs, name)
        else:
            new, wrong = records(
                _ask(name, model, helpers, [(m, make_task(m, limit, seed, budget)) for m in todo], attempt, progress),
                name,
            )
        if not any(r.scores is not None for r in new):
            raise DataError(f"{name} gave no answer at all: {wrong[0] if wrong else 'no prompt was drawn'}")
        found += new
        errors += wrong
    rows = [_subject_row(name, model, spent_on(attempt, name, helpers)) for name, model in models.items()]
    measured, compared = tally(found, todo, list(models), seed, {role: m.name for role, m in helpers.items()})
    results = Results(
        created=attempt.created,
        seed=seed,
        seconds=attempt.seconds,
        subjects=rows,
        measures=measured,
        comparisons=compared,
    )
    remember(results, found, models)
    grader = helpers.get("grader")
    judges = figures(grader, todo, results) if grader else {}
    run = Run(attempt.folder, results, found, errors, judges, known_metrics(todo))
    write_text(run.directory / "report.html", _page(run, todo, asked["title"], models, helpers))
    write_text(run.directory / "results.json", results.to_json())
    attempt.complete()
    return run


def _page(
    run: Run,
    measures: "Sequence[Measure]",
    title: str,
    models: Mapping[str, LanguageModel],
    helpers: Mapping[str, LanguageModel],
) -> str:
    import json

    from boresight.report.page import render_page

    caveats = [
        *_about_graders(run, models, helpers),
        "Prompts were drawn from small built-in sets, so a difference that is not shown here may still exist.",
    ]
    env = json.loads((run.directory / "env.json").read_text(encoding="utf-8"))
    if env.get("resumed") and (coarse := sorted(set(values_of(env["subjects"], "dtype")) - {"float32"})):
        caveats.append(
            f"This run was interrupted and resumed; in {' and '.join(coarse)} an answer may differ from that of an"
            " uninterrupted run where two tokens were nearly tied."
        )
    caveats += [
        f"The nudging model wrote {row.value:.0%} of the tokens of {row.subject}; above about {MUCH_NUDGED:.0%} a pair"
        " is reported to fail often."
        for row in run.results.measures
        if row.metric == "text-health.nudged_share" and row.value is not None and row.value > MUCH_NUDGED
    ]
    if run.errors:
        caveats.append(f"{len(run.errors)} samples ended in an error and are counted as dropped: {run.errors[0]}")
    return render_page(
        run.results,
        exchanges(run.records, [m.slug for m in measures]),
        metrics=run.metrics,
        titles={m.slug: m.title for m in measures},
        notes={m.slug: [*m.notes(), *([run.judges[m.slug]] if m.slug in run.judges else [])] for m in measures},
        blocks={m.slug: list(m.blocks([r for r in run.records if r.measure == m.slug])) for m in measures},
        env=env,
        title=title or "Audit",
        caveats=caveats,
        prompts=len({(r.measure, r.id) for r in run.records}),
    )


def _about_graders(
    run: Run, models: Mapping[str, LanguageModel], helpers: Mapping[str, LanguageModel]
) -> "Iterator[str]":
    grader = helpers.get("grader")
    if grader is None or not run.judges:
        if proxies := sorted({r.grader for r in run.results.measures if r.grader.startswith("proxy:")}):
            yield f"{' and '.join(proxies)}: a small classifier or word list; no judge read anything."
        elif not all(r.grader.startswith("labels:") for r in run.results.measures):
            yield "All graders of this audit are rules or counts; none reads an answer for sense, truth or tone."
        return
    known = dict.fromkeys(run.judges.values())
    yield f"What {grader.name} graded is its opinion. {' '.join(known)}"
    for name, model in models.items():
        if model is grader or model.describe() == grader.describe():
            yield f"{name} was graded by itself: models rate their own answers higher."
    small = parameters(grader)
    if small is not None and small < SMALL_JUDGE:
        yield f"{grader.name} has {small / 1e6:,.0f} million parameters. A model of that size is not a judge."


def parameters(model: Any) -> int | None:
    """How many parameters a model on this machine has; None for one that is elsewhere, or a policy."""
    count = getattr(getattr(model, "model", None), "num_parameters", None)
    return count() if count else None


def values_of(about: Any, key: str) -> list[Any]:
    """All values that stand under `key` in nested descriptions of models."""
    if not isinstance(about, Mapping):
        return []
    own = [about[key]] if key in about else []
    return own + [value for inner in about.values() for value in values_of(inner, key)]


def _subject_row(name: str, model: LanguageModel, spent: Spent) -> SubjectRow:
    about = model.describe()
    return SubjectRow(
        name=name,
        model=about["model"],
        policy=about.get("policy"),
        revision=about.get("revision"),
        usage={remote: UsageRow(**counters) for remote, counters in spent.items()} if spent else None,
    )


def _ask(
    name: str,
    model: LanguageModel,
    helpers: Mapping[str, LanguageModel],
    todo: "Sequence[tuple[Measure, Task]]",
    attempt: Attempt,
    progress: Progress,
) -> list[Any]:
    """Run the tasks under Inspect; returns Inspect's logs.

    Where a task asks one prompt of each sample, all of them are announced to the model's engine first.
    """
    from inspect_ai import eval as inspect_eval

    from boresight.inspect import inspect_model
    from boresight.measure.engine import announced

    tasks = [task for _, task in todo]
    prompts = [pair for measure, task in todo if measure.solver is None for pair in announced(task)]
    asked = sum(len(task.dataset) * measure.epochs * measure.answers for measure, task in todo)
    progress.begin(name, asked)
    with engines_of(name, model, helpers, attempt, progress) as engines:
        engine = engines[TARGET]
        engine.submit(prompts)
        done = inspect_eval(
            list(tasks),
            model=inspect_model(_as_name(name), engine),
            model_roles={role: inspect_model(_as_name(m.name), engines[role]) for role, m in helpers.items()},
            log_dir=str(attempt.logs),
            display="none",
            metadata={"subject": name},
            log_level="error",
            fail_on_error=False,
            max_tasks=len(tasks),
            max_samples=max(1, sum(len(task.dataset) * measure.epochs for measure, task in todo)),
            log_realtime=False,
            score_display=False,
        )
        trouble = next((e.trouble for e in engines.values() if e.trouble), None)
    if trouble:
        raise trouble
    # Ctrl-C makes Inspect return early: logs are cancelled, still under way, or not there at all.
    if len(done) < len(tasks) or any(log.status in ("cancelled", "started") for log in done):
        raise KeyboardInterrupt
    for log in done:
        if log.status == "error" and not log.samples:
            raise BoresightError(f"{name}: {log.error.message if log.error else 'the evaluation failed'}")
    attempt.finish(name, [Path(log.location).name for log in done])
    return done


def _as_name(name: str) -> str:
    return re.sub(r"[^\w.+-]", "-", name)
