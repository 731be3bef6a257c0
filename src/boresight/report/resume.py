"""Going on with a run that was killed or interrupted: every sample once, as if nothing had happened.

Everything is taken from the run directory. What it says about the models is compared with those at hand, because
answers of two different models in one run would be no run at all.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from boresight.errors import DataError
from boresight.lm.base import LanguageModel
from boresight.report.attempt import Attempt
from boresight.report.environment import environment
from boresight.report.files import LOCK, claimed, write_json
from boresight.report.identity import identity
from boresight.report.results import read_results
from boresight.report.run import Progress, Run, Silent, carry_out, values_of
from boresight.steer.policy import Loader

NEEDED = ("subjects", "measures", "limit", "seed", "max_new_tokens", "title")


def unfinished(directory: str | Path) -> dict[str, Any] | None:
    """What config.yaml of a run asks for; None if the run is finished. DataError if this is no audit's directory."""
    import yaml

    folder = Path(directory)
    if not folder.is_dir():
        raise DataError(f"{folder} is no run directory: there is no such folder")
    if (folder / "results.json").exists():
        read_results(folder)
        return None
    try:
        asked = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    except FileNotFoundError:
        if not any(inside.name != LOCK for inside in folder.iterdir()):
            raise DataError(
                f"{folder} holds nothing to go on with: the run was cut off before its first answer was kept, or is one"
                " of token-shift, which does not resume; begin anew with --out in place of --resume"
            ) from None
        raise DataError(f"{folder} is no run directory of boresight audit: it has no config.yaml") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"{folder / 'config.yaml'} cannot be read: {' '.join(str(error).split())}") from error
    if isinstance(asked, dict) and asked.get("measure") == "token-shift":
        raise DataError(f"{folder} is an unfinished run of token-shift, which does not resume; begin anew elsewhere")
    missing = [key for key in NEEDED if not isinstance(asked, dict) or key not in asked]
    if missing:
        raise DataError(f"{folder / 'config.yaml'} is not that of a resumable audit: it has no {missing[0]!r}")
    return asked


def require_same(directory: str | Path, asked: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """DataError for the first option of `given` (as on the command line) that contradicts the run's config."""
    named = list(asked.get("models", {}).values())
    said = {
        "subjects": [how["spec"] for how in named],
        "--steer": named[0]["steer"] if named else [],
        "--battery": asked.get("battery"),
        "--measure": asked["measures"],
        "--limit": asked["limit"],
        "--max-new-tokens": asked["max_new_tokens"],
        "--seed": asked["seed"],
        "--dtype": asked.get("dtype"),
        "--device": asked.get("device"),
        "--grader": (asked.get("roles") or {}).get("grader"),
        "-T": asked.get("task_args", []),
        "--red-team": (asked.get("roles") or {}).get("red_team"),
    }
    for name, value in given.items():
        if said.get(name) != value:
            raise DataError(
                f"{name} {_shown(value)} contradicts {Path(directory) / 'config.yaml'} ({_shown(said.get(name))}); a"
                " resumed run takes its settings from there, so leave it out"
            )


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def subjects_of(directory: str | Path, asked: Mapping[str, Any], loader: Loader) -> dict[str, LanguageModel]:
    """Load the subjects that a run's config names."""
    named = asked.get("models")
    if not named:
        raise DataError(
            f"{directory} was begun from Python with models of its own; pass the same models to"
            " boresight.report.resume.resume"
        )
    return {name: loader.subject(how["spec"], how["steer"]) for name, how in named.items()}


def loader_of(directory: str | Path, asked: Mapping[str, Any]) -> Loader:
    """A loader that gives models the number format that they had."""
    dtype = asked.get("dtype", "auto")
    if dtype == "auto":  # measured when a model is loaded: a busy machine might measure something else now
        used = set(values_of(_env(Path(directory)).get("subjects", {}), "dtype"))
        dtype = used.pop() if len(used) == 1 else dtype
    return Loader(dtype, asked.get("device", "auto"))


def _helpers(
    folder: Path, asked: Mapping[str, Any], given: Mapping[str, LanguageModel], loader: Loader
) -> dict[str, LanguageModel]:
    """The models in roles: those given, and those that the run's config names."""
    found: dict[str, LanguageModel] = {}
    for role, spec in (asked.get("roles") or {}).items():
        if role not in given and spec is None:
            raise DataError(f"{folder} had a model of its own as {role}; pass it to boresight.report.resume.resume")
        found[role] = given[role] if role in given else loader.subject(spec)
    return found


def resume(
    directory: str | Path,
    models: Mapping[str, LanguageModel] | None = None,
    *,
    roles: Mapping[str, LanguageModel] | None = None,
    progress: Progress | None = None,
) -> Run | None:
    """Finish the run in `directory`; None if there is nothing left to do.

    models: name -> model, for a run that was begun with models built in Python; else they are loaded as config.yaml
    says. roles: the same for the models in roles. Raises DataError if the directory is no audit's or the models have
    changed since, OutputError if another process is at work on it.
    """
    if unfinished(directory) is None:
        return None
    with claimed(directory, new=False) as folder:
        asked = unfinished(folder)  # whoever held it until now may have finished it
        if asked is None:
            return None
        loader = loader_of(folder, asked)
        found = dict(models) if models is not None else subjects_of(folder, asked, loader)
        helpers = _helpers(folder, asked, roles or {}, loader)
        if list(found) != asked["subjects"]:
            raise DataError(f"{folder} measures {', '.join(asked['subjects'])}; got {', '.join(found) or 'no model'}")
        env = _env(folder) or environment({n: m.describe() for n, m in found.items()}, asked["seed"])
        _require_unchanged(env.get("subjects", {}), found, env, folder)
        _require_unchanged(env.get("roles", {}), helpers, env, folder)
        write_json(folder / "env.json", {**env, "resumed": env.get("resumed", 0) + 1})
        with Attempt(folder) as attempt:
            return carry_out(attempt, found, helpers, asked, progress or Silent())


def _env(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / "env.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise DataError(f"{folder / 'env.json'} cannot be read: {error}") from error


def _require_unchanged(
    described: Mapping[str, Any], models: Mapping[str, LanguageModel], env: Mapping[str, Any], folder: Path
) -> None:
    """DataError if a model is not the one that env.json describes, or boresight has another version."""
    from boresight import __version__

    began = env.get("packages", {}).get("boresight", __version__)
    if began != __version__:
        raise DataError(
            f"{folder} was begun with boresight {began} and this is {__version__}; finish it with that version, or"
            " begin anew"
        )
    for name, model in models.items():
        before = dict(identity(described.get(name, {})))
        for key, value in identity(model.describe()):
            if before.get(key) != value:
                raise DataError(
                    f"{name} has changed since {folder} was begun: its {key} was {before.get(key)} and is {value} now;"
                    " a run cannot mix the two, so begin anew"
                )
