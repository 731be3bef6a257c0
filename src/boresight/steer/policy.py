"""From words to a model: a model spec, a stack of steering methods, a policy file.

A step of a stack is written NAME:key=value,... on a command line and {name: {key: value}} in YAML; the keys are the
keyword arguments of the method's class. Steps apply from the inside out: the first wraps the model. What may stand on
what is in `boresight.steer.stack`.
"""

import inspect
import itertools
import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from boresight.errors import DataError
from boresight.lm.base import LanguageModel
from boresight.steer.stack import STEPS, refused

POLICY_ENDINGS = (".yaml", ".yml")


class Step(NamedTuple):
    """A step that was asked for; where: how a message names the place ("--steer nudging", "p.yaml: step 2 (urial)")."""

    name: str
    settings: dict[str, Any]
    where: str


class PolicyFile(BaseModel):
    """A policy file: `model` is a spec or another policy file, `steer` a list of {name: {key: value}}."""

    model_config = ConfigDict(extra="forbid")
    model: str = Field(min_length=1)
    steer: list[dict[str, dict[str, Any] | None]] = []


class Loader:
    """Loads models and policies, each model once (subjects of an audit share weights)."""

    def __init__(self, dtype: str = "auto", device: str = "auto") -> None:
        self.dtype, self.device = dtype, device
        self._models: dict[str | Path, LanguageModel] = {}

    def model(self, spec: str | Path) -> LanguageModel:
        """The model of a spec, loaded at the first call."""
        if spec not in self._models:
            from boresight.lm.load import load_model

            self._models[spec] = load_model(spec, dtype=self.dtype, device=self.device)
        return self._models[spec]

    def subject(self, spec: str | Path, steer: Sequence[str] = ()) -> LanguageModel:
        """A model spec or a policy file (.yaml), with further steps around it."""
        spec, steps = self.plan(spec, steer)
        model = self.model(spec)
        for step in steps:
            model = self._steer(model, step)
        return model

    @staticmethod
    def plan(spec: str | Path, steer: Sequence[str] = ()) -> tuple[str | Path, list[Step]]:
        """The model of a spec and the steps around it; what is misspelt or cannot stand is found without loading."""
        own: list[Step] = []
        if _is_policy(spec):
            spec, own = read_policy(spec)
        steps = [*own, *map(parse_step, steer)]
        check_stack(steps)
        return spec, steps

    def _steer(self, model: LanguageModel, step: Step) -> LanguageModel:
        models = STEPS[step.name].models
        values = {k: self.model(v) if k in models else v for k, v in step.settings.items()}
        try:
            return steer_class(step.name)(model, **values)
        except (ValueError, TypeError, DataError) as error:
            raise _at(step, error) from error


def _at(step: Step, error: Exception) -> DataError:
    """What is wrong with a step, and which step it is."""
    return DataError(f"{step.where}: {error}")


def load(
    spec: str | Path, *, steer: str | Sequence[str] = (), dtype: str = "auto", device: str = "auto"
) -> LanguageModel:
    """The language model of a spec: a zoo name, a model folder, an "org/name" in the hub cache, or a policy file.

    steer: steps such as "nudging:nudger=smollm2-135m-instruct,gamma=0.3", from the inside out. dtype: "auto",
    "float32", "bfloat16" or "float16". Raises ModelError for models that cannot be had, DataError for bad steps.
    """
    return Loader(dtype, device).subject(spec, [steer] if isinstance(steer, str) else steer)


def read_policy(path: str | Path) -> tuple[str, list[Step]]:
    """(model spec, steps) of a policy file; DataError saying what is wrong with it.

    `model` may be another policy file, given relative to this one: its steps come first.
    """
    return _read_policy(Path(path), ())


def _read_policy(path: Path, above: tuple[Path, ...]) -> tuple[str, list[Step]]:
    if path.resolve() in above:
        raise DataError(f"the policy file {path} stands on itself")
    try:
        policy = PolicyFile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise DataError(f"the policy file {path} does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the policy file {path} cannot be read: {error}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise DataError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        raise DataError(f"{path}: {_complaint(error)}") from error
    steps: list[Step] = []
    for number, entry in enumerate(policy.steer, 1):
        if len(entry) != 1:
            raise DataError(f"{path}: step {number} must be one {{name: {{key: value}}}}, not {entry!r}")
        ((name, settings),) = entry.items()
        steps.append(Step(name, settings or {}, f"{path}: step {number} ({name})"))
    if not _is_policy(policy.model):
        return policy.model, steps
    model, first = _read_policy(path.parent / policy.model, (*above, path.resolve()))
    return model, [*first, *steps]


def _complaint(error: ValidationError) -> str:
    """What pydantic found first, in a sentence."""
    first = error.errors()[0]
    place, kind = first["loc"], first["type"]
    if kind == "extra_forbidden":
        return f"there is no key {place[0]!r}; a policy has 'model' and 'steer'"
    if kind == "missing":
        return "the key 'model' is missing; a policy has 'model' and 'steer'"
    if place and place[0] == "model":
        return f"'model' is {first['input']!r}; the name of a model is needed"
    if place and place[0] == "steer":
        number = f"step {int(place[1]) + 1}" if len(place) > 1 else "'steer'"
        return f"{number} is {first['input']!r}; 'steer' is a list of {{name: {{key: value}}}}"
    return "a mapping with 'model' and a list 'steer' is needed"


def _is_policy(spec: object) -> bool:
    return str(spec).endswith(POLICY_ENDINGS)


def parse_step(text: str) -> Step:
    """ "nudging:nudger=m,gamma=0.3" -> ("nudging", {"nudger": "m", "gamma": 0.3}, "--steer nudging")."""
    name, _, rest = text.partition(":")
    settings: dict[str, Any] = {}
    for part in re.split(r",(?=\w+=)", rest) if rest else ():
        key, equals, value = part.partition("=")
        if not equals or not key:
            raise DataError(f"--steer {text!r}: {part!r} is not of the form key=value")
        try:
            read = yaml.safe_load(value) if value else ""
        except (yaml.YAMLError, RecursionError) as error:
            raise DataError(f"--steer {text!r}: the value of {key} cannot be read as YAML") from error
        if key in settings:
            raise DataError(f"--steer {text!r}: {key} is given twice")
        settings[key] = value if isinstance(read, dict) else read  # "Question: " is a text, no mapping
    return Step(name, settings, f"--steer {name}")


def check_stack(steps: Sequence[Step]) -> None:
    """DataError unless every step is well-formed and may stand on the one before it."""
    for step in steps:
        check_step(step)
    for below, step in itertools.pairwise(steps):
        if why := refused(step.name, below.name):
            raise DataError(f"{step.where}: {why}")
        if void := [key for key in STEPS[step.name].void if key in below.settings]:
            raise DataError(
                f"{below.where}: {void[0]} has no effect under {step.name}, which decides that itself; leave it out"
            )


def check_step(step: Step) -> None:
    """DataError if the method or a key does not exist, a needed key is missing, or a value is not one it can have."""
    parameters = {
        p.name: p for p in list(inspect.signature(steer_class(step.name, step.where)).parameters.values())[1:]
    }
    models = STEPS[step.name].models
    for key, value in step.settings.items():
        if key not in parameters:
            raise DataError(f"{step.where}: there is no setting {key!r}{_did_you_mean(key, parameters)}")
        if key in models:
            _check_spec(step, key, value)
        elif not _is_like(value, parameters[key].default):
            raise DataError(f"{step.where}: {key} is {value!r}; {_needed(parameters[key].default)} is needed")
    for p in parameters.values():
        if p.default is p.empty and p.name not in step.settings:
            example = f"{step.name}:{p.name}=smollm2-135m-instruct"
            raise DataError(f"{step.where}: {p.name} is missing, the name of a model, for example {example}")
    try:
        steer_class(step.name).check(step.settings)
    except (ValueError, DataError) as error:
        raise _at(step, error) from error


def _check_spec(step: Step, key: str, value: Any) -> None:
    if not isinstance(value, str) or not value:
        raise DataError(f"{step.where}: {key} is {value!r}; the name of a model is needed")
    if _is_policy(value):
        raise DataError(
            f"{step.where}: {key} is a policy file; a model of its own is needed, since its text is continued"
        )


def _is_like(value: Any, default: Any) -> bool:
    """Whether a value is of its default's type; a whole number will do for a float, true and false for neither."""
    if default is None:
        return value is None or isinstance(value, str)
    kinds = (int, float) if isinstance(default, float) else type(default)
    return isinstance(value, kinds) and isinstance(value, bool) == isinstance(default, bool)


def _needed(default: Any) -> str:
    kinds = {bool: "true or false", int: "a whole number", float: "a number"}
    example = "" if default in (None, "") or isinstance(default, bool) else f" like {default!r}"
    return kinds.get(type(default), "a text") + example


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    near = get_close_matches(word, known, 1, 0.5)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(known)}"


def steer_class(name: str, where: str = "") -> Any:
    """The class of a steering method; DataError, naming the closest, if there is none."""
    if name not in STEPS:
        raise DataError(f"{where or name}: no steering method is called {name!r}{_did_you_mean(name, STEPS)}")
    return getattr(import_module(STEPS[name].module), STEPS[name].attribute)
