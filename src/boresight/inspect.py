"""boresight under plain Inspect: `inspect eval TASK --model boresight/SUBJECT`, `inspect eval boresight/MEASURE`.

Found through the package's entry point. SUBJECT is what `boresight.load` takes; `-M steer=...` wraps it.
"""

import atexit
import re
import threading
from collections.abc import Sequence
from importlib import import_module
from inspect import Parameter, Signature, signature
from typing import Any

from inspect_ai import Task, task
from inspect_ai.model import GenerateConfig, Model, modelapi

from boresight.catalog import METHODS
from boresight.errors import BoresightError
from boresight.lm.base import LanguageModel
from boresight.measure.base import make_task
from boresight.measure.battery import MEASURES, measure
from boresight.measure.engine import BoresightAPI, Engine

_Subject = tuple[str, tuple[str, ...], str, str]
_engines: dict[_Subject, tuple[Engine, int]] = {}
_lock = threading.Lock()


@modelapi(name="boresight")
class SubjectAPI(BoresightAPI):
    """The provider `boresight/<subject>`: a model spec or policy file, or a name for an engine that runs already.

    Inspect makes one of these for each task, role and configuration; those of the same subject share one engine, so
    that its weights are in memory once. It ends when the last of them is closed.
    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig = GenerateConfig(),  # noqa: B008 - the signature Inspect calls
        *,
        engine: Engine | None = None,
        steer: str | Sequence[str] = (),
        dtype: str = "auto",
        device: str = "auto",
    ) -> None:
        self._subject: _Subject | None = None
        if engine is None:
            self._subject = (model_name, tuple(steps_of(steer)), dtype, device)
            engine = _engine(self._subject)
        self._shares = self._subject is not None
        super().__init__(model_name, base_url, api_key, config, engine=engine)

    def close(self) -> None:
        """Stop the engine, unless another still needs it."""
        with _lock:
            subject, self._subject = self._subject, None
            if subject is None and self._shares:
                return
            if subject is not None:
                engine, users = _engines.pop(subject)
                if users > 1:
                    _engines[subject] = (engine, users - 1)
                    return
        super().close()


def _loaded(spec: str, steps: tuple[str, ...], dtype: str, device: str) -> LanguageModel:
    """Load a subject; what is wrong with it becomes the kind of error that Inspect prints as a sentence."""
    from inspect_ai._util.error import PrerequisiteError

    from boresight.steer.policy import load

    try:
        return load(spec, steer=steps, dtype=dtype, device=device)
    except BoresightError as error:
        raise PrerequisiteError(str(error).replace("[", "\\[")) from error


def _engine(subject: _Subject) -> Engine:
    spec, steps, dtype, device = subject
    with _lock:
        engine, users = _engines.get(subject, (None, 0))
        if engine is None:
            engine = Engine(_loaded(spec, steps, dtype, device))
        _engines[subject] = (engine, users + 1)
        return engine


@atexit.register
def _close_all() -> None:
    """A thread that is computing when the interpreter goes would abort the process."""
    for engine, _ in _engines.values():
        engine.close()


def steps_of(steer: str | Sequence[str]) -> list[str]:
    """The steps in `-M steer=...`. Inspect cuts it at the commas: a piece that is KEY=VALUE goes back to its step."""
    steps: list[str] = []
    for piece in [steer] if isinstance(steer, str) else steer:
        if steps and re.match(r"\w+=", piece):
            steps[-1] += f",{piece}" if ":" in steps[-1] else f":{piece}"
        else:
            steps.append(piece)
    return steps


def inspect_model(name: str, engine: Engine) -> Model:
    """An Inspect model called `boresight/<name>` that `engine` answers."""
    api: Any = SubjectAPI  # the decorator hides its own keywords
    return Model(api(name, engine=engine), GenerateConfig())


def _register(slug: str) -> None:
    """Make a measure the task `boresight/<slug>`, with its options, a limit and a seed as task parameters."""
    module = import_module(METHODS[slug])
    own = () if hasattr(module, "MEASURE") else signature(module.measure).parameters.values()
    more = {"limit": None, "seed": 0}

    def make(limit: int | None = None, seed: int = 0, **options: Any) -> Task:
        return make_task(measure(slug, options), limit, seed)

    make.__doc__ = f"{module.METHOD.title}: {module.METHOD.summary}"
    make.__signature__ = Signature(  # type: ignore[attr-defined] - Inspect reads a task's parameters off it
        [*own, *(Parameter(k, Parameter.KEYWORD_ONLY, default=v) for k, v in more.items())]
    )
    for name in dict.fromkeys((slug, slug.replace("-", "_"))):
        task(name=name)(make)


for _slug in MEASURES:
    _register(_slug)
