"""From words to a model: a model spec, a stack of steering methods, a policy file.

A step of a stack is written NAME:key=value,... on a command line and {name: {key: value}} in YAML; the keys are the
keyword arguments of the method's class. Steps apply from the inside out: the first wraps the model.
"""

import inspect
import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from boresight.errors import DataError
from boresight.lm.base import LanguageModel

STEERS = {"nudging": ("boresight.steer.nudging", "Nudging"), "urial": ("boresight.steer.urial", "Urial")}
"""Name of a step -> (module, class). The class takes the model to steer first."""

MODEL_ARGUMENTS = ("nudger",)
"""Keyword arguments that name a model; they are loaded before the class sees them."""

Step = tuple[str, dict[str, Any]]


class PolicyFile(BaseModel):
    """A policy file: `model` is a spec, `steer` a list of {name: {key: value}}."""

    model_config = ConfigDict(extra="forbid")
    model: str
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
        own: list[Step] = []
        if str(spec).endswith((".yaml", ".yml")):
            spec, own = read_policy(spec)
        steps = [*own, *map(parse_step, steer)]  # what is misspelt is found before a model is loaded
        for step in steps:
            check_step(step)
        model = self.model(spec)
        for name, settings in steps:
            model = self._steer(model, name, settings)
        return model

    def _steer(self, model: LanguageModel, name: str, settings: Mapping[str, Any]) -> LanguageModel:
        values = {k: self.model(v) if k in MODEL_ARGUMENTS else v for k, v in settings.items()}
        try:
            return steer_class(name)(model, **values)
        except (ValueError, TypeError) as error:
            raise DataError(f"--steer {name}: {error}") from error


def load(
    spec: str | Path, *, steer: str | Sequence[str] = (), dtype: str = "auto", device: str = "auto"
) -> LanguageModel:
    """The language model of a spec: a zoo name, a model folder, an "org/name" in the hub cache, or a policy file.

    steer: steps such as "nudging:nudger=smollm2-135m-instruct,gamma=0.3", from the inside out. dtype: "auto",
    "float32", "bfloat16" or "float16". Raises ModelError for models that cannot be had, DataError for bad steps.
    """
    return Loader(dtype, device).subject(spec, [steer] if isinstance(steer, str) else steer)


def read_policy(path: str | Path) -> tuple[str, list[Step]]:
    """(model spec, steps) of a policy file; DataError saying what is wrong with it."""
    path = Path(path)
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        policy = PolicyFile.model_validate(data)
    except FileNotFoundError:
        raise DataError(f"the policy file {path} does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the policy file {path} cannot be read: {error}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise DataError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "top"
        raise DataError(f"{path}: {where}: {first['msg']}; 'model' and a list 'steer' are needed") from error
    steps: list[Step] = []
    for entry in policy.steer:
        if len(entry) != 1:
            raise DataError(f"{path}: a step of 'steer' must be one {{name: {{key: value}}}}, not {entry!r}")
        ((name, settings),) = entry.items()
        steps.append((name, settings or {}))
    return policy.model, steps


def parse_step(text: str) -> Step:
    """ "nudging:nudger=m,gamma=0.3" -> ("nudging", {"nudger": "m", "gamma": 0.3})."""
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
        settings[key] = value if isinstance(read, dict) else read  # "Question: " is a text, no mapping
    return name, settings


def check_step(step: Step) -> None:
    """DataError if the method or a key does not exist, a needed key is missing, or a value is of the wrong kind."""
    name, settings = step
    parameters = list(inspect.signature(steer_class(name)).parameters.values())[1:]
    known = [p.name for p in parameters]
    for key in settings:
        if key not in known:
            raise DataError(f"--steer {name} has no setting {key!r}; it takes {', '.join(known)}")
    for p in parameters:
        if p.default is p.empty and p.name not in settings:
            raise DataError(f"--steer {name} needs {p.name}=..., for example {name}:{p.name}=smollm2-135m-instruct")
    for p in parameters:
        if p.name in settings and p.default is not p.empty and not _is_like(settings[p.name], p.default):
            raise DataError(f"--steer {name}: {p.name} is {settings[p.name]!r}; a value like {p.default!r} is needed")
    for key in MODEL_ARGUMENTS:
        if not isinstance(settings.get(key, ""), str):
            raise DataError(f"--steer {name}: {key} must be a model spec, not {settings[key]!r}")


def _is_like(value: Any, default: Any) -> bool:
    """Whether a value is of its default's type; a whole number will do for a float, true and false for neither."""
    kinds = (int, float) if isinstance(default, float) else type(default)
    return isinstance(value, kinds) and isinstance(value, bool) == isinstance(default, bool)


def steer_class(name: str) -> Any:
    """The class of a steering method."""
    if name not in STEERS:
        raise DataError(f"no steering method is called {name!r}; there are {', '.join(STEERS)}")
    module, attribute = STEERS[name]
    return getattr(import_module(module), attribute)
