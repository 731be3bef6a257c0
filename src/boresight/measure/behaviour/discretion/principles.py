"""Principles: one sentence each, with a short name."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from boresight.data import open_text
from boresight.errors import DataError


@dataclass(frozen=True)
class PrincipleSet:
    """k principles in order; names: how tables call them."""

    texts: tuple[str, ...]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.texts)

    def __iter__(self) -> Iterator[str]:
        return iter(self.texts)

    @classmethod
    def load(cls, source: "str | Path | Sequence[str]") -> "PrincipleSet":
        """From a list of sentences, or a text file with one a line: `name: sentence` or the sentence alone.

        Blank lines and lines that begin with # are left out. DataError if there is none, or a name stands twice.
        """
        if isinstance(source, str | Path):
            with open_text(source) as file:
                lines, where = file.read().splitlines(), str(source)
        else:
            lines, where = list(source), "the list of principles"
        if not all(isinstance(line, str) for line in lines):
            raise DataError(f"{where} holds something that is no text; sentences are needed")
        kept = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
        pairs = [_named(line, number) for number, line in enumerate(kept, 1)]
        if not pairs:
            raise DataError(f"{where} holds no principle: at least one sentence is needed")
        names = [name for name, _ in pairs]
        for name in names:
            if names.count(name) > 1:
                raise DataError(f"{where}: the name {name!r} stands there twice; each principle needs its own")
        return cls(tuple(text for _, text in pairs), tuple(names))


def _named(line: str, number: int) -> tuple[str, str]:
    name, colon, text = line.partition(":")
    if colon and text.strip() and len(name.split()) <= 5:
        return name.strip(), text.strip()
    words = line.rstrip(".").split()
    return f"{number} {' '.join(words[:4])}", line
