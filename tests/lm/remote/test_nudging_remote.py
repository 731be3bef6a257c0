"""Nudging with remote models: equal to the local one where tokenization and weights agree."""

import subprocess
import sys
from pathlib import Path

import pytest

from boresight.chat import user
from boresight.lm.remote.endpoint import Endpoint
from boresight.steer.nudging import Nudging, nudge_loop
from conftest import GgufServer

QUESTIONS = [
    "Why is the sky blue?",
    "Name three fruits.",
    "How do I boil an egg?",
]


@pytest.mark.model
def test_a_nudged_answer_with_a_remote_base_is_the_local_one(gguf, tmp_path, smollm):
    """The zoo's weights are the GGUF file's in float32; the server gets just these, and rounds nothing to 16 bits."""
    exact = tmp_path / "float32.gguf"
    subprocess.run([sys.executable, str(Path(__file__).with_name("float_gguf.py")), str(gguf), str(exact)], check=True)
    server = GgufServer(exact, exact=True)
    try:
        remote = Endpoint(f"{server.address}/v1#smollm2", cache=False)
        local = Nudging(smollm, smollm, gamma=0.3, max_new_tokens=24)
        for question in QUESTIONS:
            prompts = local.prompts(user(question))
            expected = local.run(*prompts)
            found = nudge_loop(
                remote.chunk, remote.chunk, *prompts, gamma=0.3, max_new_tokens=24, count_tokens=remote.count_tokens
            )
            assert (found.text, found.stop_reason) == (expected.text, expected.stop_reason)
            assert [(s.source, s.text) for s in found.segments] == [(s.source, s.text) for s in expected.segments]
            for ours, theirs in zip(found.segments, expected.segments, strict=True):
                assert ours.base_top1_prob == pytest.approx(theirs.base_top1_prob, abs=2e-3)
    finally:
        server.kill()
        exact.unlink()
