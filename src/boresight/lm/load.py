"""From a few words to a model: a zoo name, a folder, org/name from the model hub's local cache, or a remote model.

Nothing is downloaded here. What is not on this machine is an error that says which command fetches it, unless it names
a server's address or one of Inspect's providers (`lm.remote`).
"""

import contextlib
import json
import os
import re
from pathlib import Path

from boresight.errors import ModelError
from boresight.lm import zoo
from boresight.lm.base import LanguageModel
from boresight.lm.cachedir import cache_dir, marker, models_dir
from boresight.lm.fetch import file_sha256
from boresight.lm.remote import is_address, is_inspect, load_remote


def load_model(spec: str | Path, *, dtype: str = "auto", device: str = "auto") -> LanguageModel:
    """Load a causal language model for inference.

    spec: a zoo name ("gemma-3-270m"), a folder ("./my-model", or any folder with a config.json), or "org/name", which
    has been pulled from the model hub; else a server's address ("http://HOST:PORT/v1#MODEL") or a model string of
    Inspect's ("openai/gpt-x"). A name that is both on this machine and a provider's is the one on this machine.
    dtype: "auto", "float32", "bfloat16", "float16". device: "auto", "cpu", "cuda", "cuda:1", "mps"; both for models on
    this machine.

    Raises ModelError, in one sentence with what to do, if there is no such model.
    """
    if isinstance(spec, str) and (is_address(spec) or (is_inspect(spec) and not _is_here(spec))):
        return _remote(spec)
    name, folder, revision = locate(spec)
    from boresight.lm.local import load_local

    _require_device(device)
    return load_local(folder, name=name, revision=revision or folder_revision(folder), dtype=dtype, device=device)


def _is_here(spec: str) -> bool:
    try:
        return bool(locate(spec))
    except ModelError:
        return False


def _remote(spec: str) -> LanguageModel:
    try:
        return load_remote(spec)
    except ModelError as error:
        if not zoo.is_repository(spec):
            raise
        raise ModelError(f"{error}; for the model hub's {spec}, run boresight models pull {spec} first") from error


def _require_device(device: str) -> None:
    """ModelError for a device that torch does not know or does not have."""
    import torch

    if device in ("auto", "cpu"):
        return
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0].partition(". ")[0]
        raise ModelError(f"device {device!r} cannot be used here ({reason}); auto, cpu, cuda, cuda:1 or mps") from error


def locate(spec: str | Path) -> tuple[str, Path, str]:
    """(name, folder, revision) of what `load_model` would load; the revision is "" for a folder of the user's own."""
    text = str(spec)
    if text in zoo.ENTRIES:
        return _zoo_model(text)
    folder = Path(text).expanduser()
    if (folder / "config.json").is_file():
        resolved = folder.resolve()
        said = marker(resolved) if resolved.parent == models_dir().resolve() else None
        if said:  # a zoo model that is named by its path
            return str(said["name"]), resolved, str(said["revision"])
        require_whole(folder, f"{folder} is not a complete model folder")
        return resolved.name, resolved, ""
    if folder.is_dir():
        raise ModelError(f"{folder} is not a model folder: it has no config.json")
    if text.startswith((".", "~", os.sep)) or re.match(r"[A-Za-z]:[\\/]", text) or isinstance(spec, Path):
        raise ModelError(f"there is no folder {folder}; a folder with config.json and safetensors is needed")
    if zoo.is_repository(text):
        return _hub_model(text)
    near = " or ".join(zoo.closest(text))
    raise ModelError(f"no model is called {text!r}; did you mean {near}? A folder (./my-model) or org/name works too")


def folder_of(spec: str | Path) -> Path:
    """The folder of a model on this machine, sentence embeddings included; ModelError if it is not here."""
    return zoo.held(str(spec)) if str(spec) in zoo.ENTRIES else locate(spec)[1]


def _zoo_model(name: str) -> tuple[str, Path, str]:
    if not zoo.ENTRIES[name].generates:
        raise ModelError(f"{name} makes sentence embeddings and writes no text; a causal language model is needed")
    folder = zoo.held(name)
    return name, folder, str((marker(folder) or {})["revision"])


def _hub_model(name: str) -> tuple[str, Path, str]:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:  # asking for the whole snapshot would refuse one that holds only the files that `pull` takes
        config = try_to_load_from_cache(name, "config.json")
    except HFValidationError:
        config = None
    if not isinstance(config, str):
        raise ModelError(f"{name} is not on this machine; run boresight models pull {name}")
    folder = Path(config).parent
    require_whole(folder, f"{name} is only partly on this machine; run boresight models pull {name}")
    return name, folder, f"commit:{folder.name}"


def require_whole(folder: Path, complaint: str) -> None:
    """Raise ModelError unless config.json and all safetensors (every shard that an index lists) are there."""
    missing = [] if (folder / "config.json").is_file() else ["config.json"]
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        try:
            shards = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise ModelError(f"{complaint}: {index.name} cannot be read") from error
        missing += sorted(s for s in shards if not (folder / s).is_file())
    elif not any(folder.glob("*.safetensors")):
        missing.append("safetensors weights (pickled ones run code when loaded and are refused)")
    if missing:
        raise ModelError(f"{complaint}: {missing[0]} is missing")


def folder_revision(folder: Path) -> str:
    """ "sha256:..." of the weight files in name order, remembered in the cache while their sizes and times stay."""
    weights = sorted(folder.glob("*.safetensors"))
    state = [[f.name, f.stat().st_size, f.stat().st_mtime_ns] for f in weights]
    notes = cache_dir() / "revisions.json"
    known: dict[str, dict] = {}
    with contextlib.suppress(OSError, ValueError):
        known = json.loads(notes.read_text("utf-8"))
    held = known.get(str(folder))
    if held and held["state"] == state:
        return held["revision"]
    revision = f"sha256:{file_sha256(*weights)}"
    known[str(folder)] = {"state": state, "revision": revision}
    with contextlib.suppress(OSError):  # a convenience: without it the next load is slower, nothing else
        notes.parent.mkdir(parents=True, exist_ok=True)
        fresh = notes.with_suffix(f".{os.getpid()}")
        fresh.write_text(json.dumps(known, indent=1), "utf-8")
        os.replace(fresh, notes)
    return revision
