"""What URIAL works on: a rendered conversation, the same ready to run, and a reply."""

from dataclasses import dataclass

from boresight.steer.urial.prompt import UrialPrompt


@dataclass(frozen=True)
class Reply:
    """An answer. stop_reason: "frame_end", "stop_string", "eos", "length" or "context".

    n_prefix_cached: prompt tokens read from the shared cache; tokens_forwarded: tokens that this answer sent through
    the model, those of the prefix included where it was the first to need it. Both None behind an endpoint, whose cache
    is the server's own.
    """

    text: str
    stop_reason: str
    n_prefix_cached: int | None
    tokens_forwarded: int | None


@dataclass(frozen=True)
class Text:
    """A rendered conversation: its text and length in tokens, the prompt in it, and how many old turns it lacks."""

    text: str
    tokens: int
    prompt: UrialPrompt
    dropped: int


@dataclass(frozen=True)
class Row:
    """A prompt ready to run: its tokens, how many of them are the prefix and how many of those cached, and its text."""

    ids: list[int]
    n_prefix: int
    n_cached: int
    said: Text
