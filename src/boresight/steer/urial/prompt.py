"""Prompts for URIAL: an instruction and a few answers in the wanted style, shipped as YAML files or a user's own."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boresight.errors import DataError
from boresight.steer.urial.frame import render_prompt, template_of

if TYPE_CHECKING:
    import numpy as np

PROMPTS = Path(__file__).parents[1] / "prompts"

VARIANTS = {
    "urial": "boresight-3shot-v1",
    "urial-help": "boresight-3shot-help-v1",
    "urial-1shot": "boresight-1shot-v1",
    "inst-only": "boresight-inst-v1",
    "zero-shot": "boresight-zero-v1",
    "retrieval-icl": "boresight-retrieval-v1",
    "vanilla-icl": "boresight-vanilla-v1",
}
"""The variants of section 3 of the sheet and the shipped prompts that they mean."""


@dataclass(frozen=True)
class UrialPrompt:
    """An instruction and examples (query, answer), or a finished `text`.

    system: "{query}" and "{answer}" in it stand for the template's headings. retrieve: how many of the examples are
    shown, the most similar ones to the query; 0: all of them, always.
    """

    name: str
    system: str = ""
    examples: tuple[tuple[str, str], ...] = ()
    retrieve: int = 0
    text: str | None = None

    @classmethod
    def load(cls, name_or_path: str | Path) -> "UrialPrompt":
        """A shipped prompt, a variant, a YAML file, or a text file that is taken as the prefix as it stands.

        Raises DataError for a name or file that does not exist and for a file that is not a prompt.
        """
        name = str(name_or_path)
        path = PROMPTS / f"{VARIANTS.get(name, name)}.yaml"
        if "/" in name or not path.is_file():
            path = Path(name)
        if not path.is_file():
            from difflib import get_close_matches

            known = [*VARIANTS.values(), *VARIANTS]
            near = ", ".join(get_close_matches(name, known, 3, 0.3) or VARIANTS.values())
            raise DataError(f"no prompt or file is called {name!r}; shipped prompts are like {near}")
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path} cannot be read as a prompt: {error}") from error
        if path.suffix not in (".yaml", ".yml"):
            return cls(path.stem, text=text)
        return _parse(path, text)

    def prefix(self, template: str = "backticks") -> str:
        """The constant beginning: the instruction and the examples that are always shown."""
        if self.text is not None:
            return self.text
        frame = template_of(template)
        head = self.system.replace("{query}", frame.headings[0]).replace("{answer}", frame.headings[1])
        shown = () if self.retrieve else self.examples
        turns = "".join(frame.turn(i, text) for pair in shown for i, text in enumerate(pair))
        return (head.rstrip("\n") + "\n" if head else "") + turns

    @property
    def shown(self) -> int:
        """How many examples a query sees."""
        return self.retrieve or len(self.examples)

    def longest(self, template: str = "backticks") -> str:
        """The longest prefix that a query may get; the constant one unless examples are retrieved."""
        if not self.retrieve:
            return self.prefix(template)
        by_length = sorted(range(len(self.examples)), key=lambda i: -sum(map(len, self.examples[i])))
        return self.show(by_length[: self.retrieve]).prefix(template)

    def render(self, turns: str | Sequence[str], template: str = "backticks") -> str:
        """The prompt of a conversation, see `render_prompt`."""
        return render_prompt(self.prefix(template), turns, template)

    def num_tokens(self, tok: Any, template: str = "backticks") -> int:
        """Tokens of the prefix under `tok` (a tokenizer or a local model), as a model reads it."""
        ids = tok.encode(self.prefix(template))
        return len(getattr(ids, "ids", ids))

    def hash(self, template: str = "backticks") -> str:
        """First 12 hexadecimal digits of the prefix's sha256; with retrieval, of the instruction's and the pool's."""
        pool = repr(self.examples) if self.retrieve else ""
        return hashlib.sha256((self.prefix(template) + pool).encode()).hexdigest()[:12]

    def first(self, k: int) -> "UrialPrompt":
        """The same prompt with its first k examples (with retrieval: with the k most similar ones)."""
        name = f"{self.name}[k={k}]"
        if self.retrieve and k:
            return replace(self, name=name, retrieve=min(k, self.retrieve))
        return replace(self, name=name, examples=self.examples[:k], retrieve=0)

    def show(self, indices: Sequence[int]) -> "UrialPrompt":
        """The same prompt with these of its examples, in this order, always shown."""
        return replace(self, examples=tuple(self.examples[i] for i in indices), retrieve=0)


def build_prompt(
    system: str,
    examples: Sequence[Sequence[str] | Mapping[str, str]],
    *,
    name: str = "custom",
    k: int | None = None,
    tokenizer: Any = None,
) -> UrialPrompt:
    """A prompt of your own, checked, and its token count printed.

    examples: (query, answer) pairs or {"query", "answer"} mappings, none of them blank, at least one. k: how many of
    them are used (default all); k=0 asks for the instruction alone. tokenizer: counts the tokens (default: an estimate
    of 1.5 a word).
    """
    pairs = tuple(_example(i, e) for i, e in enumerate(examples, 1))
    if k is not None and not 0 <= k <= len(pairs):
        raise ValueError(f"k is {k}, but there are {len(pairs)} examples")
    if not pairs and k != 0:
        raise ValueError("there is no example; at least one is needed (k=0 asks for the instruction alone)")
    prompt = UrialPrompt(name, system, pairs[:k])
    if tokenizer is None:
        print(f"{name}: about {round(1.5 * len(prompt.prefix().split()))} tokens (estimated from its words)")
    else:
        print(f"{name}: {prompt.num_tokens(tokenizer)} tokens")
    return prompt


def _example(number: int, example: Sequence[str] | Mapping[str, str]) -> tuple[str, str]:
    if isinstance(example, Mapping):
        example = [example.get("query", ""), example.get("answer", "")]
    pair = list(example) if isinstance(example, Sequence) and not isinstance(example, str) else []
    if len(pair) != 2 or not all(isinstance(part, str) for part in pair):
        raise ValueError(f"example {number} is not a pair of texts, a query and an answer")
    for role, part in zip(("query", "answer"), pair, strict=True):
        if not part.strip():
            raise ValueError(f"example {number} has an empty {role}")
    return pair[0], pair[1]


def _parse(path: Path, text: str) -> UrialPrompt:
    import yaml

    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise DataError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict) or set(data) - {"system", "examples", "retrieve"}:
        raise DataError(f"{path} is not a prompt: the keys system, examples and retrieve are known")
    system, examples, retrieve = data.get("system") or "", data.get("examples") or [], data.get("retrieve", 0)
    if not isinstance(system, str) or not isinstance(examples, list):
        raise DataError(f"{path} is not a prompt: system is a text and examples is a list")
    if type(retrieve) is not int or not 0 <= retrieve <= len(examples):
        raise DataError(
            f"{path}: retrieve is {retrieve!r}; a number from 0 to {len(examples)} (the examples) is needed"
        )
    try:
        pairs = tuple(_example(i, e) for i, e in enumerate(examples, 1))
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error
    return UrialPrompt(path.stem, system, pairs, retrieve)


def most_similar(pool: "np.ndarray", query: "np.ndarray", k: int) -> list[int]:
    """Indices of the k rows of `pool` (n, d) nearest to `query` (d,), unit vectors; the nearest comes last.

    Last is next to the query, where an example weighs most; ties go to the lower index.
    """
    import numpy as np

    best = np.argsort(-(pool @ query), kind="stable")[:k]
    return best[::-1].tolist()
