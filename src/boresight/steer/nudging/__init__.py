"""Nudging: a base model answers like an assistant because a small aligned model writes where the base is unsure.

Fei, Razeghi, Singh, "Nudging: Inference-time Alignment of LLMs via Guided Decoding", arXiv 2410.09300. Decode with the
base model; where its top-1 probability is below gamma, the aligned model (the nudger) writes a few words, and the pen
goes back as soon as the base agrees with a word or is sure again. They meet in text, so tokenizers may differ.

`text` holds the rules on texts and probabilities, `rounds` the algorithm, `loop` the algorithm over two text-completion
functions (`nudge_loop`, the reference), and `policy` the language model `Nudging`: the same rounds on two local models,
with caches, one base pass for several word tests, and many prompts at once.
"""

from boresight.catalog import Card
from boresight.lm.base import Completed
from boresight.steer.nudging.claims import CLAIMS
from boresight.steer.nudging.loop import nudge_loop
from boresight.steer.nudging.policy import MODES, Nudging
from boresight.steer.nudging.rounds import Settings
from boresight.steer.nudging.text import (
    NudgeResult,
    Segment,
    cut_repetitions,
    need_nudging,
    repeats_earlier,
    word_boundaries,
)

__all__ = [
    "METHOD",
    "MODES",
    "Completed",
    "NudgeResult",
    "Nudging",
    "Segment",
    "Settings",
    "cut_repetitions",
    "need_nudging",
    "nudge_loop",
    "repeats_earlier",
    "word_boundaries",
]

METHOD = Card(
    slug="nudging",
    title="Nudging",
    room="steer",
    summary="A small aligned model writes a few words wherever the base model is unsure; the base writes the rest.",
    paper="Fei, Razeghi, Singh: Nudging: Inference-time Alignment of LLMs via Guided Decoding (arXiv 2410.09300)",
    needs=("a local base model", "a local model with a chat template (any tokenizer)"),
    example=(
        'boresight generate gemma-3-270m --steer nudging:nudger=smollm2-135m-instruct --prompt "Why is the sky blue?"'
    ),
    claims=CLAIMS,
)
