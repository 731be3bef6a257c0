"""URIAL: a base model answers like an assistant because a constant prompt shows it how.

Lin et al., "The Unlocking Spell on Base LLMs: Rethinking Alignment via In-Context Learning", arXiv 2312.01552. A short
instruction and a few answers in the wanted style stand before every query. They never change, so the model reads them
once: their cache is frozen and shared by all rows of all requests, and a request costs its own tokens only.

`frame` holds how turns are written and where an answer ends, `prompt` the instruction and its examples, neither needs a
model; `policy` the language model `Urial`.
"""

from boresight.catalog import Card
from boresight.steer.urial.claims import CLAIMS
from boresight.steer.urial.frame import (
    STOPS,
    TEMPLATES,
    EmptyQuery,
    clean,
    clean_reference,
    cut_at_stop,
    render_prompt,
)
from boresight.steer.urial.policy import Urial
from boresight.steer.urial.prompt import VARIANTS, UrialPrompt, build_prompt
from boresight.steer.urial.rows import Reply

__all__ = [
    "METHOD",
    "STOPS",
    "TEMPLATES",
    "VARIANTS",
    "EmptyQuery",
    "Reply",
    "Urial",
    "UrialPrompt",
    "build_prompt",
    "clean",
    "clean_reference",
    "cut_at_stop",
    "render_prompt",
]

METHOD = Card(
    slug="urial",
    title="URIAL",
    room="steer",
    summary="A constant prompt, an instruction and three model answers, makes a base model chat; it is read only once.",
    paper="Lin et al.: The Unlocking Spell on Base LLMs: Rethinking Alignment via ICL (arXiv 2312.01552)",
    needs=("a local base model with a context of about 1,500 tokens (shorter ones get fewer examples)",),
    example='boresight generate gemma-3-270m --steer urial:prompt=boresight-3shot-v1 --prompt "Why is the sky blue?"',
    claims=CLAIMS,
)
