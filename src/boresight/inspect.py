"""boresight under plain Inspect: `inspect eval TASK --model boresight/SUBJECT`, `inspect eval boresight/MEASURE`.

Found through the package's entry point. SUBJECT is what `boresight.load` takes; `-M steer=...` wraps it.
"""

from collections.abc import Sequence
from typing import Any

from inspect_ai import Task, task
from inspect_ai.model import GenerateConfig, Model, modelapi

from boresight.measure.base import make_task
from boresight.measure.battery import measure
from boresight.measure.engine import BoresightAPI, Engine


@modelapi(name="boresight")
class SubjectAPI(BoresightAPI):
    """The provider `boresight/<subject>`: a model spec or policy file, or a name for an engine that runs already."""

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
        if engine is None:
            from boresight.steer.policy import load

            steps = [steer] if isinstance(steer, str) else list(steer)
            engine = Engine(load(model_name, steer=steps, dtype=dtype, device=device))
        super().__init__(model_name, base_url, api_key, config, engine=engine)


def inspect_model(name: str, engine: Engine) -> Model:
    """An Inspect model called `boresight/<name>` that `engine` answers."""
    api: Any = SubjectAPI  # the decorator hides its own keywords
    return Model(api(name, engine=engine), GenerateConfig())


@task(name="text-health")
def text_health(limit: int | None = None, seed: int = 0) -> Task:
    """Does an answer end by itself, and does it stay clear of loops?"""
    return make_task(measure("text-health"), limit, seed)


@task(name="instructions")
def instructions(limit: int | None = None, seed: int = 0) -> Task:
    """Verifiable instructions."""
    return make_task(measure("instructions"), limit, seed)


@task(name="refusal")
def refusal(limit: int | None = None, seed: int = 0) -> Task:
    """Refusal of harmful requests and of harmless look-alikes."""
    return make_task(measure("refusal"), limit, seed)


@task(name="facts")
def facts(limit: int | None = None, seed: int = 0) -> Task:
    """Short factual questions."""
    return make_task(measure("facts"), limit, seed)
