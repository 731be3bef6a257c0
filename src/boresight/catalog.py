"""The explicit list of methods: one METHOD card per method module, loaded only when asked for."""

from dataclasses import dataclass
from importlib import import_module

from boresight.claim import Claim
from boresight.errors import DataError


@dataclass(frozen=True)
class Card:
    """What a method is, for people who choose one.

    slug: name on the command line. room: audit, steer, train, ... needs: what it must be given. paper: authors, title,
    arXiv number. example: a command line that works with the small models.
    """

    slug: str
    title: str
    room: str
    summary: str
    paper: str
    needs: tuple[str, ...] = ()
    example: str = ""
    claims: tuple[Claim, ...] = ()


METHODS = {
    "nudging": "boresight.steer.nudging",
    "urial": "boresight.steer.urial",
    "text-health": "boresight.measure.behaviour.text_health",
    "instructions": "boresight.measure.behaviour.instructions",
    "refusal": "boresight.measure.behaviour.refusal",
    "facts": "boresight.measure.behaviour.facts",
    "just-eval": "boresight.measure.behaviour.just_eval",
    "misalignment-bench": "boresight.measure.behaviour.misalignment_bench",
    "trustworthiness": "boresight.measure.behaviour.trustworthiness",
    "honesty": "boresight.measure.behaviour.honesty",
    "alignment-faking": "boresight.measure.behaviour.alignment_faking",
    "emergent-misalignment": "boresight.measure.behaviour.emergent_misalignment",
    "dishonesty": "boresight.measure.behaviour.dishonesty",
    "deception": "boresight.measure.behaviour.dishonesty.deception_task",
    "discretion": "boresight.measure.behaviour.discretion",
    "judge-validity": "boresight.measure.behaviour.judge_validity",
    "token-shift": "boresight.measure.latent.token_shift",
}
"""Slug -> module with a METHOD card. Adding a method is one line here (see CONTRIBUTING)."""


def card(slug: str) -> Card:
    """The card of a method; DataError with the closest names if there is none."""
    if slug not in METHODS:
        from difflib import get_close_matches

        near = get_close_matches(slug, METHODS, 3, 0.4) or sorted(METHODS)
        raise DataError(f"no method is called {slug!r}; did you mean {', '.join(near)}?")
    return import_module(METHODS[slug]).METHOD


def cards() -> list[Card]:
    """All cards, in the order of METHODS."""
    return [card(slug) for slug in METHODS]
