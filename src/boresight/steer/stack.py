"""Which steering steps exist, and what each may stand on: one table, and one sentence for everything else.

A step wraps what lies directly below it. At the bottom is a model: one on this machine ("local"), an OpenAI-compatible
server that continues texts and gives log-probabilities ("endpoint"), or a provider's model that answers chats only
("provider").
"""

from dataclasses import dataclass
from typing import Any

from boresight.errors import ModelError


@dataclass(frozen=True)
class Step:
    """A steering step.

    module, attribute: its class, which takes what it wraps first. over: kinds that may lie directly below it. needs:
    why no other may, ending a sentence that begins with the step's name. gives: what it is for a step above, likewise.
    models: its settings that name further models. void: settings of a step below that have no effect under this one.
    """

    module: str
    attribute: str
    over: tuple[str, ...]
    needs: str
    gives: str
    models: tuple[str, ...] = ()
    void: tuple[str, ...] = ()


STEPS = {
    "urial": Step(
        "boresight.steer.urial",
        "Urial",
        over=("local", "endpoint"),
        needs="puts a prompt before the text that a base model continues",
        gives="already reads a prompt of its own",
    ),
    "nudging": Step(
        "boresight.steer.nudging",
        "Nudging",
        over=("local", "endpoint", "urial"),
        needs="continues the text of its base word by word",
        gives="is written by two models in turns, so it gives whole answers only",
        models=("nudger",),
        void=("max_new_tokens", "temperature", "repetition_penalty", "penalize_prefix", "reference_postprocess"),
    ),
    "ensemble": Step(
        "boresight.steer.ensemble",
        "Ensemble",
        over=("local",),
        needs="reads the probabilities of all tokens at every position of one text",
        gives="is written by two models together, so it gives whole answers only",
        models=("partner",),
    ),
    "proxy-tuning": Step(
        "boresight.steer.proxy_tuning",
        "ProxyTuning",
        over=("local",),
        needs="changes the probabilities of all tokens at every position of one text",
        gives="is written by three models together, so it gives whole answers only",
        models=("tuned", "untuned"),
    ),
}
"""Name of a step -> what it is. `boresight.steer.policy` loads and stacks them."""

_BOTTOM = {
    "local": "",
    "endpoint": "runs on a server, which does not show them all",
    "provider": "answers chats only (name the address of its server, http://HOST:PORT/v1#MODEL, if there is one)",
}
_NAMES = {"local": "a model on this machine", "endpoint": "an endpoint (http://HOST:PORT/v1)"}


def kind(model: Any) -> str:
    """What lies at the bottom of a stack ("local", "endpoint", "provider") or the name of its uppermost step."""
    if step := getattr(model, "step", None):
        return step
    if hasattr(model, "session"):
        return "local"
    return "endpoint" if hasattr(model, "chunk") and hasattr(model, "count_tokens") else "provider"


def refused(step: str, below: str, name: str = "") -> str:
    """Why `step` may not stand on `below` (a kind, or the name of a step); "" if it may."""
    this = STEPS[step]
    if below in this.over:
        return ""
    gives = STEPS[below].gives if below in STEPS else _BOTTOM[below]
    what = below if below in STEPS or not name else name
    subject = name or f"what {below} makes"
    may = " or ".join(_NAMES.get(k, k) for k in this.over)
    return f"{step} cannot stand on {what}: {step} {this.needs}, and {subject} {gives}; it can stand on {may}"


def require(step: str, model: Any) -> None:
    """Raise ModelError, in a sentence, unless `step` may wrap `model`."""
    if why := refused(step, kind(model), getattr(model, "name", "")):
        raise ModelError(why)


def require_model(step: str, role: str, model: Any, *, remote: bool = False) -> None:
    """Raise ModelError unless a further model of a step is a model of its own: local, or (remote) an endpoint."""
    found = kind(model)
    if found == "local" or (remote and found == "endpoint"):
        return
    what = f"a policy ({found})" if found in STEPS else f"of the kind {found!r}"
    allowed = " or ".join(_NAMES[k] for k in ("local", "endpoint")[: 1 + remote])
    raise ModelError(f"{step} needs {allowed} as its {role}, and {model.name} is {what}")


def table() -> list[tuple[str, str]]:
    """(step, what it may stand on) for people."""
    return [(name, ", ".join(_NAMES.get(k, k) for k in step.over)) for name, step in STEPS.items()]
