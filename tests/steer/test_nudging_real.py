"""Nudging on the real pair in float32: what the reference code wrote with the same weights."""

import json
from pathlib import Path

import pytest

from boresight.lm.base import Sampling
from boresight.steer.nudging import Nudging

FIXTURES = Path(__file__).parents[1] / "fixtures" / "nudging"
PAIRS = sorted(path.stem for path in FIXTURES.glob("pair_*.json"))
CHATS = [
    [{"role": "user", "content": text}]
    for text in ("Why is the sky blue?", "Name three fruits.", "How do I boil an egg?", "Write one line about rain.")
]

pytestmark = pytest.mark.model


@pytest.mark.parametrize("mode", ["cached", "speculative", "reference"])
@pytest.mark.parametrize("name", PAIRS)
def test_the_real_pair_writes_what_the_reference_wrote(gemma, smollm, name, mode):
    case = json.loads((FIXTURES / f"{name}.json").read_text())
    config = case["config"]
    nudging = Nudging(
        gemma,
        smollm,
        gamma=config["gamma"],
        draft_tokens=config["L_nudge"],
        base_chunk=config["L_base"],
        max_new_tokens=config["max_token_total"],
        max_rounds=config["max_round"],
        repetition_cut="reference",
        mode=mode,
    )
    result = nudging.run(case["full_prefix_base"], case["full_prefix_nudging"])
    assert result.text == case["raw_answer"]
    assert [s.text for s in result.segments if s.source == "nudge"] == [n for n in case["all_nudging_words"] if n]
    assert result.stop_reason == case["stop_reason"]
    if mode == "reference":
        assert result.forwards == {"base": case["cost"]["base_forwards"], "nudger": case["cost"]["nudging_forwards"]}
    else:
        out = gemma.count_tokens(result.raw_text)
        assert out == case["cost"]["output_base_tokens"]
        assert result.forwards["base"] <= out + result.rounds + 1
        assert result.forwards["nudger"] <= case["cost"]["nudging_forwards"]


def test_a_batch_of_real_prompts_is_what_each_gives_alone(gemma, smollm):
    nudging = Nudging(gemma, smollm, max_new_tokens=16)
    together = nudging.generate(CHATS, Sampling(max_new_tokens=16))
    for chat, answer in zip(CHATS[:2], together, strict=False):
        alone = nudging.generate([chat], Sampling(max_new_tokens=16))[0]
        assert (alone.text, alone.finish_reason) == (answer.text, answer.finish_reason)
        assert [s.text for s in alone.trace.spans] == [s.text for s in answer.trace.spans]
    assert len({c.text for c in together}) == len(CHATS)
    assert all(0 <= c.trace.detail["nudge_word_ratio"] <= 1 for c in together)
