"""What works on this machine, and what to do about what does not."""

import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path

from boresight.lm import fetch, zoo
from boresight.lm.cachedir import cache_dir
from boresight.lm.child import bytes_in
from boresight.taxonomy import Library, libraries

MEMORY = 4e9  # bytes: converting Gemma takes 3.3 GB, the demo about as much
DISK = 4e9  # bytes: the zoo takes 1.8 GB, and twice that while Gemma is converted
HUB_SECONDS = 2.0


@dataclass(frozen=True)
class Check:
    """One finding. status: "ok"; "warn": something will not work, the rest does; "fail": nothing runs without it."""

    name: str
    status: str
    found: str
    advice: str = ""


def examine() -> list[Check]:
    """All findings, in the order in which people read them. Takes about four seconds, most of it importing."""
    steps: list[Callable[[], list[Check]]] = [
        _python, _packages, _extras, _libraries, _torch, _processor, _memory, _gpu,
        _cache, _models, _disk, _hub, _index,
    ]  # fmt: skip
    checks: list[Check] = []
    for step in steps:
        try:
            checks += step()
        except Exception as error:  # a doctor who faints helps nobody
            reason = f"{type(error).__name__}: {error}"
            checks.append(Check(step.__name__.strip("_"), "warn", f"could not be examined ({reason})"))
    return checks


def exit_code(checks: list[Check]) -> int:
    """0, or 1 if something is broken that nothing runs without."""
    return int(any(c.status == "fail" for c in checks))


def _python() -> list[Check]:
    version = ".".join(map(str, sys.version_info[:3]))
    old = sys.version_info < (3, 11)
    advice = "install Python 3.11 or newer" if old else ""
    return [Check("python", "fail" if old else "ok", f"{version} on {platform.system()} {platform.machine()}", advice)]


def _packages() -> list[Check]:
    try:
        version = metadata.version("boresight")
    except metadata.PackageNotFoundError:
        return [Check("boresight", "warn", "not installed, only on the path", "run pip install -e . in its folder")]
    missing = [need for need, extras in _requirements() if not extras and not _satisfied(need)]
    checks = [Check("boresight", "ok", version)]
    if missing:
        names = ", ".join(missing)
        checks.append(Check("packages", "fail", f"missing or of another version: {names}", "run pip install boresight"))
    else:
        checks.append(Check("packages", "ok", "all that are needed are here"))
    return checks


def _extras() -> list[Check]:
    missing: dict[str, list[str]] = {}
    for need, extras in _requirements():
        for extra in extras:
            missing.setdefault(extra, [])
            if not _satisfied(need):
                missing[extra].append(need.split("=")[0].rstrip("<>~!"))
    if not missing:
        return []
    told = [f"{extra} (missing {', '.join(names)})" if names else extra for extra, names in missing.items()]
    lacking = [extra for extra, names in missing.items() if names]
    advice = f"optional; pip install 'boresight[{','.join(lacking)}]' adds them" if lacking else ""
    return [Check("extras", "ok", "; ".join(told), advice)]


def _libraries() -> list[Check]:
    return [check for library in libraries() for check in examine_library(library)]


def examine_library(library: Library) -> list[Check]:
    """What a library offers here, found by importing, and what older tutorials look for in it in vain."""
    gone = "; ".join(f"{name}: {instead}" for name, instead in library.gone)
    checks = [Check(f"not in {library.name}", "ok", gone)] if gone else []
    if find_spec(library.name) is None:
        extra = f"needs boresight[{library.extra}]" if library.extra else "not installed, and nothing runs without it"
        advice = (
            f"optional; for the {library.extra} commands, which are planned"
            if library.extra
            else "run pip install boresight"
        )
        return [Check(library.name, "ok" if library.extra else "fail", extra, advice), *checks]
    version = metadata.version(library.name)
    offered, missing = [], []
    for heading, names in library.names:
        here = [name for name in names if _offers(name)]
        missing += [name.partition(":")[2] for name in names if name not in here]
        offered.append(f"{heading}: {', '.join(name.partition(':')[2] for name in here) or 'none'}")
    advice = ""
    if missing or not _satisfied(f"{library.name}{library.pinned}"):
        advice = f"boresight is written for {library.name}{library.pinned}"
        advice += f"; missing are {', '.join(missing)}" if missing else ""
    found = f"{version}; {'; '.join(offered)}"
    return [Check(library.name, "warn" if advice else "ok", found, advice), *checks]


def _offers(name: str) -> bool:
    module, _, attribute = name.partition(":")
    try:
        return hasattr(import_module(module), attribute)
    except Exception:  # a library that breaks while it is imported does not offer the name
        return False


def _requirements() -> list[tuple[str, list[str]]]:
    """(requirement without its marker, names of the extras it belongs to) of the installed boresight."""
    from packaging.requirements import Requirement

    about = metadata.metadata("boresight")
    extras = about.get_all("Provides-Extra") or []
    found = []
    for line in metadata.requires("boresight") or []:
        need = Requirement(line)
        bare = f"{need.name}{need.specifier}"
        if need.marker is None or need.marker.evaluate({"extra": ""}):
            found.append((bare, []))
        else:
            found.append((bare, [e for e in extras if need.marker.evaluate({"extra": e})]))
    return found


def _satisfied(requirement: str) -> bool:
    from packaging.requirements import Requirement

    need = Requirement(requirement)
    try:
        return need.specifier.contains(metadata.version(need.name), prereleases=True)
    except metadata.PackageNotFoundError:
        return False


def _torch() -> list[Check]:
    try:
        import torch
    except (ImportError, OSError) as error:
        said = str(error).partition("\n")[0]
        return [Check("torch", "fail", f"cannot be loaded: {said}", "reinstall torch for this Python and platform")]
    threads = torch.get_num_threads()
    advice = ""
    if threads < _cores() // 2:  # two hardware threads per core count as one core for torch
        advice = f"torch uses {threads} of {_cores()} cores; is OMP_NUM_THREADS set?"
    return [Check("torch", "warn" if advice else "ok", f"{torch.__version__}, {threads} threads", advice)]


def _processor() -> list[Check]:
    if "torch" not in sys.modules:
        return [Check("cores", "ok", str(_cores()))]
    from boresight.lm.local import fastest_dtype

    ratio = bfloat16_speedup()
    chosen = str(fastest_dtype()).removeprefix("torch.")
    found = f"{ratio:.1f} times the speed of float32; dtype auto takes {chosen} on this CPU"
    return [Check("cores", "ok", str(_cores())), Check("bfloat16", "ok", found)]


def bfloat16_speedup() -> float:
    """Speed of a batch of 32 rows through a 1024 x 4096 layer in bfloat16, as a multiple of float32's."""
    import torch

    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        rows, layer = torch.ones(32, 1024, dtype=dtype), torch.ones(4096, 1024, dtype=dtype)
        best = float("inf")
        for _ in range(6):
            start = time.perf_counter()
            torch.nn.functional.linear(rows, layer)
            best = min(best, time.perf_counter() - start)
        seconds[dtype] = best
    return seconds[torch.float32] / seconds[torch.bfloat16]


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _memory() -> list[Check]:
    import psutil

    memory = psutil.virtual_memory()
    found = f"{memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB free"
    low = memory.available < MEMORY
    return [Check("memory", "warn" if low else "ok", found, "close other programs: 4 GB are needed" if low else "")]


def _gpu() -> list[Check]:
    torch = sys.modules.get("torch")
    if torch is None:
        return []
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        return [Check("gpu", "ok", f"{', '.join(names)}; device auto takes cuda")]
    if torch.backends.mps.is_available():
        return [Check("gpu", "ok", "Apple GPU; ask for it with --device mps")]
    if Path("/dev/nvidia0").exists():
        advice = "install the CUDA build of torch, or update the driver if it is installed"
        return [Check("gpu", "warn", "there is one, but this torch cannot use it", advice)]
    return [Check("gpu", "ok", "none, the CPU is used")]


def _cache() -> list[Check]:
    folder = cache_dir()
    held = f"{bytes_in(folder) / 1e9:.2f} GB" if folder.is_dir() else "does not exist yet"
    refused = _unwritable(folder)
    if refused:
        missing = any(zoo.find(name) is None for name in zoo.ENTRIES)
        advice = "set BORESIGHT_CACHE to a folder that you may write to"
        return [Check("cache", "fail" if missing else "warn", f"{folder} cannot be written ({refused})", advice)]
    return [Check("cache", "ok", f"{folder}, {held}")]


def _unwritable(folder: Path) -> str:
    try:
        with tempfile.TemporaryFile(dir=_existing(folder)):
            return ""
    except OSError as error:
        return error.strerror or str(error)


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next((f for f in (folder, *folder.parents) if f.exists()), Path("/"))


def _models() -> list[Check]:
    checks = []
    for row in zoo.overview():
        if row["cached"]:
            checks.append(Check(row["name"], "ok", f"in the cache, from the {' and the '.join(row['cached'])}"))
            continue
        flag = " --accept-licence" if row["must_accept"] and not row["accepted"] else ""
        found = f"not in the cache ({row['download_bytes'] / 1e6:,.0f} MB to fetch)"
        checks.append(Check(row["name"], "warn", found, f"run boresight models pull {row['name']}{flag}"))
    return checks


def _disk() -> list[Check]:
    import shutil

    usage = shutil.disk_usage(_existing(cache_dir()))
    low = usage.free < DISK
    advice = "free some space or set BORESIGHT_CACHE to another disk: pulling the zoo needs 4 GB" if low else ""
    return [Check("disk", "warn" if low else "ok", f"{usage.free / 1e9:.1f} GB free for the cache", advice)]


def _hub() -> list[Check]:
    if fetch.ASKED_OFFLINE:
        return [Check("model hub", "warn", "not asked, HF_HUB_OFFLINE is set", "unset it to pull org/name models")]
    problem = fetch.hub_problem(timeout=HUB_SECONDS)
    advice = "zoo models come from the package index instead; for org/name models set HF_ENDPOINT or HTTPS_PROXY"
    return [Check("model hub", "warn", problem, advice) if problem else Check("model hub", "ok", "it answers")]


def _index() -> list[Check]:
    if find_spec("pip") is None:
        advice = "run python -m ensurepip; zoo models come from the package index when the hub does not answer"
        return [Check("package index", "warn", "this Python has no pip to ask it with", advice)]
    return [Check("package index", "ok", f"pip {metadata.version('pip')} can be asked for zoo models")]
