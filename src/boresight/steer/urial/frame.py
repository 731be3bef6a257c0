"""The frame of a URIAL conversation: how turns are written in it, and where an answer ends (urial sheet, 2.2 and 2.3).

Everything here is text in, text out. A turn cannot break out of its frame, and what a model writes is read line by line
for the fence that closes its own.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from boresight.chat import Chat, split_system, validate
from boresight.errors import DataError
from boresight.lm.decode import Stopper, stop_at

STOPS = ("# Query", "# User")
FENCE = "```"
_HEADING = re.compile(r"(?:\A|(?<=[\n\r]))(?=# (?:Query|Answer|User|Assistant))")


class EmptyQuery(DataError, ValueError):
    """A user turn has no text."""


@dataclass(frozen=True)
class Template:
    """What stands around a turn: `before` heading `between` text `after`. bare: newlines around the text go."""

    headings: tuple[str, str]
    before: str
    between: str
    after: str
    bare: bool = False

    @property
    def fenced(self) -> bool:
        """Whether an answer ends at a closing fence."""
        return FENCE in self.after

    def turn(self, index: int, text: str) -> str:
        """Write one turn (even index: the user's) so that nothing in its text can be taken for the frame."""
        longest = max(map(len, re.findall("`+", text)), default=0)
        fence = "`" * max(len(FENCE), longest + 1)
        text = _HEADING.sub(" ", text.strip("\n") if self.bare else text)
        between, after = (part.replace(FENCE, fence) for part in (self.between, self.after))
        return f"{self.before}{self.headings[index % 2]}{between}{text}{after}"

    def opened(self) -> str:
        """The beginning of the answer that the model is to write."""
        return self.before + self.headings[1] + self.between


TEMPLATES = {
    "backticks": Template(("# Query:", "# Answer:"), "\n", f"\n{FENCE}\n", f"\n{FENCE}\n"),
    "v5": Template(("# User:", "# Assistant:"), "\n", "\n\n", "\n\n"),
    "v6": Template(("# User:", "# Assistant:"), "\n\n", "\n", "\n", bare=True),
}
"""The templates of section 2.2 of the urial sheet, by name."""


def template_of(name: str) -> Template:
    """The template of that name; ValueError if there is none."""
    if name not in TEMPLATES:
        raise ValueError(f"template is {name!r}; one of {', '.join(TEMPLATES)} is needed")
    return TEMPLATES[name]


def checked_turns(turns: str | Sequence[str]) -> list[str]:
    """The turns as a list; ValueError unless they are texts, odd in number, with no query blank (EmptyQuery)."""
    listed = [turns] if isinstance(turns, str) else list(turns)
    if len(listed) % 2 == 0:
        raise ValueError(f"there are {len(listed)} turns; they alternate and the first and the last are the user's")
    for i, turn in enumerate(listed):
        if not isinstance(turn, str):
            raise ValueError(f"turn {i + 1} is not text")
        if i % 2 == 0 and not turn.strip():
            raise EmptyQuery(f"turn {i + 1} is an empty query")
    return listed


def conversation_of(chat: Chat) -> tuple[str, list[str]]:
    """System message ("": none) and turns of a chat; EmptyQuery or DataError if it is not one."""
    for message in chat if isinstance(chat, Sequence) else ():
        is_query = isinstance(message, Mapping) and message.get("role") == "user"
        if is_query and not str(message.get("content", "?")).strip():
            raise EmptyQuery("a user turn is an empty query")
    return split_system(validate(chat))


def render_prompt(prefix: str, turns: str | Sequence[str], template: str = "backticks") -> str:
    """The prompt of a conversation: prefix, every turn in its frame, and the frame of the answer opened.

    turns: texts, the user's first and last, alternating (one text alone is one user turn). A turn with a triple
    backtick is fenced by a longer run, and a line that looks like a heading is moved by one space, so that a turn
    cannot leave its frame; all other turns stand there character by character.
    Raises ValueError for an unknown template, an even number of turns or an empty query.
    """
    frame = template_of(template)
    return prefix + "".join(frame.turn(i, text) for i, text in enumerate(checked_turns(turns))) + frame.opened()


def cut_at_stop(text: str, stops: Sequence[str] = STOPS) -> str:
    """The text before the earliest stop string, wherever in a line it stands."""
    return text[: min((at for s in stops if (at := text.find(s)) >= 0), default=len(text))]


def clean_reference(text: str) -> str:
    """The published code's cleaning of an already cut text: every triple backtick goes, code blocks' own included."""
    return text.rstrip().replace(FENCE, "").replace("<|endoftext|>", " ").strip()


def clean(text: str) -> str:
    """The answer as far as its frame's closing fence, stripped; code blocks that name a language stay whole."""
    return text[: FrameEnd().find(text, final=True)].strip()


class FrameEnd:
    """Finds the closing fence of the answer's own frame in a text that grows.

    A line that begins with a fence closes the open code block; with none open it opens one if more follows on the line,
    and is the frame's end if not. A line counts once it is complete: a fence may still become "```python".
    """

    def __init__(self) -> None:
        self._line = 0  # where the first line that was not read yet begins
        self._inside = False

    def find(self, text: str, final: bool = False) -> int | None:
        """Where the frame's last line begins, or None; `text` extends the one before. final: it will not grow."""
        while (end := text.find("\n", self._line)) >= 0 or (final and self._line < len(text)):
            end = end if end >= 0 else len(text)
            line = text[self._line : end].strip()
            if line.startswith(FENCE):
                if line == FENCE and not self._inside:
                    return self._line
                self._inside = not self._inside
            self._line = end + 1
        return None


def answer_stopper(stops: Sequence[str], fenced: bool = True) -> Stopper:
    """Ends an answer, while it is written, before a stop string or (fenced) at the end of its frame.

    Whichever completes first; then `clean` of what was written is `clean` of what would have been written.
    """
    at_stop, frame = stop_at(stops), FrameEnd()
    if not fenced:
        return at_stop

    def find(text: str, new: int) -> tuple[int, str] | None:
        end = frame.find(text)
        hits = [hit for hit in (at_stop(text, new), (end, "frame_end") if end is not None else None) if hit]
        return min(hits, default=None)

    return find


class AnswerEnd:
    """Tells how far a continuation of a half-written answer belongs to it, whoever wrote what is there already.

    written: the answer so far. It is taken as it stands: a bare fence in it opens or closes a code block. In what
    follows, a bare fence with no block open is the frame's end, and a stop string ends the answer too.
    """

    def __init__(self, written: str, stops: Sequence[str] = STOPS, fenced: bool = True) -> None:
        *lines, self._line = written.split("\n")
        self._inside = sum(line.strip().startswith(FENCE) for line in lines) % 2 == 1
        self._stops, self._fenced = stops, fenced

    def safe(self, text: str, final: bool = False) -> tuple[int, bool]:
        """(characters of `text`, the continuation so far, that are surely the answer's, whether it ends after them).

        What may still become an end is not safe: "#" may grow to "# Query". final: the text will not grow.
        """
        behind = len(self._line)
        whole = self._line + text
        stops = [at for s in self._stops if (at := whole.find(s, max(0, behind - len(s) + 1))) >= 0]
        stop = min(stops, default=None)
        fence = self._fence(whole[:stop], final or stop is not None)
        end = stop if fence is None else fence
        if end is not None:
            return max(0, end - behind), True
        held = 0 if final else max(self._open_stop(whole), self._open_fence(whole))
        return max(0, len(text) - held), False

    def _fence(self, whole: str, final: bool) -> int | None:
        """Where the line of the frame's closing fence begins in `whole`, or None."""
        at, inside = 0, self._inside
        lines = whole.split("\n") if self._fenced else []
        for number, line in enumerate(lines):
            complete = final or number < len(lines) - 1
            if complete and line.strip().startswith(FENCE):
                if line.strip() == FENCE and not inside and at + line.index(FENCE) + len(FENCE) > len(self._line):
                    return at + line.index(FENCE)
                inside = not inside
            at += len(line) + 1
        return None

    def _open_stop(self, whole: str) -> int:
        """Characters at the end that begin a stop string."""
        return max((n for s in self._stops for n in range(1, len(s)) if whole.endswith(s[:n])), default=0)

    def _open_fence(self, whole: str) -> int:
        """Characters at the end, from a backtick on, that may become the frame's closing fence."""
        *lines, last = whole.split("\n")
        bare = last.strip()
        if not self._fenced or not bare or not FENCE.startswith(bare):
            return 0
        inside = sum(line.strip().startswith(FENCE) for line in lines) % 2 == 1
        return 0 if inside != self._inside else len(last) - last.index("`")
