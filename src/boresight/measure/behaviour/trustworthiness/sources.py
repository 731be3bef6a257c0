"""Rows of the published and bundled questions, and of the files that a user may give."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from boresight.data import load_set, open_text, read_jsonl
from boresight.errors import DataError

Wording = Literal["original", "are", "should"]
REFUSE = "Refuse to answer"

_SWAP = {
    "women": "men",
    "woman": "man",
    "female": "male",
    "females": "males",
    "girls": "boys",
    "girl": "boy",
    "she": "he",
    "wives": "husbands",
    "mothers": "fathers",
}
_PAIRS = {**_SWAP, **{b: a for a, b in _SWAP.items()}}
_GENDERED = re.compile(rf"\b({'|'.join(_PAIRS)})\b", re.IGNORECASE)


def swapped(text: str) -> str:
    """The text with women and men changed round, capitals kept."""

    def other(found: re.Match[str]) -> str:
        word = found.group()
        return _PAIRS[word.lower()].capitalize() if word[0].isupper() else _PAIRS[word.lower()]

    return _GENDERED.sub(other, text)


def fairness_rows(wording: Wording = "original") -> list[dict[str, Any]]:
    """The 377 questions: id, question, options (stereotyped group first, the refusal last), and both changed round."""
    rows = []
    for row in load_set("trust_fairness"):
        question = row["prompt"] if wording == "original" else row[wording]
        options = ["Women", "Men", REFUSE] if row["men"] else ["Women", REFUSE]
        rows.append(
            {
                "id": row["id"],
                "question": question,
                "options": options,
                "swapped": swapped(question),
                "swapped_options": [swapped(o) for o in options],
            }
        )
    return rows


def fairness_block(row: dict[str, Any]) -> str:
    """A question with its options, as in the published file."""
    return "\n".join([row["question"], *(f"{'ABC'[i]}) {o}" for i, o in enumerate(row["options"]))])


def hallucination_rows(file: str = "") -> list[dict[str, str]]:
    """Rows of knowledge, question, right_answer and hallucinated_answer: of a JSONL file, or the bundled 40."""
    fields = ("knowledge", "question", "right_answer", "hallucinated_answer")
    if not file:
        return [
            {"id": r["id"], "question": r["prompt"], **{k: r[k] for k in fields if k in r}}
            for r in load_set("trust_hallucination")
        ]
    return [{"id": f"row-{number}", **row} for number, row in _rows(file, fields)]


def request_rows(file: str) -> list[dict[str, str]]:
    """Rows with a "prompt" of a JSONL file, and their "category" if they have one."""
    return [{"id": f"row-{n}", "category": "", **row} for n, row in _rows(file, ("prompt",), ("category",))]


MISUSE_TYPES = ("people", "terror", "politics", "cyber")


def misuse_rows(file: str) -> list[dict[str, str]]:
    """Rows with "prompt", a harmless twin "benign" and a "type" of MISUSE_TYPES of a JSONL file (M5)."""
    rows = []
    for number, row in _rows(file, ("prompt", "benign", "type")):
        if row["type"] not in MISUSE_TYPES:
            raise DataError(
                f"{file}, line {number}: type is {row['type']!r}; one of {', '.join(MISUSE_TYPES)} is needed"
            )
        rows.append({"id": f"row-{number}", **row})
    return rows


def _rows(file: str, needed: Sequence[str], wanted: Sequence[str] = ()) -> Iterator[tuple[int, dict[str, str]]]:
    found = 0
    with open_text(Path(file)) as lines:
        for number, row in read_jsonl(lines, file):
            for name in needed:
                if not isinstance(row.get(name), str) or not row[name].strip():
                    raise DataError(f"{file}, line {number}: a non-empty text {name!r} is needed")
            found += 1
            yield number, {name: str(row[name]) for name in (*needed, *wanted) if name in row}
    if not found:
        raise DataError(f"{file} holds no row; lines with {', '.join(needed)} are needed")


PROMPT_CHARS, ANSWER_CHARS, BLOCK_SENTENCES = 350, 50, 50
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


def book_blocks(file: str = "", n: int = 1000, seed: int = 8888) -> list[dict[str, str]]:
    """n drawn starts of a book: id, prompt (350 characters), truth (the next 50), other (those of the next block).

    file: a text file of at least two sentences; without one the bundled public-domain passages, each from its
    beginning, once. A block is 50 sentences from a random start (seed 8888 in the paper); one that is too short for
    prompt and answer is left out. DataError where none is long enough.
    """
    if file:
        with open_text(Path(file)) as lines:
            sentences = _SENTENCE.split(" ".join(lines.read().split()))
        import random

        rng = random.Random(seed)
        starts = [rng.randrange(len(sentences)) for _ in range(n)]
        blocks = [(f"start-{k}", " ".join(sentences[s : s + BLOCK_SENTENCES])) for k, s in enumerate(starts)]
    else:
        blocks = [(row["id"], row["prompt"]) for row in load_set("trust_public_domain")]
    need = PROMPT_CHARS + ANSWER_CHARS
    blocks = [(i, text) for i, text in blocks if len(text) >= need]
    if len(blocks) < 2:
        raise DataError(f"{file} is too short: at least two stretches of {need} characters are needed")
    truths = [text[PROMPT_CHARS:need] for _, text in blocks]
    return [
        {"id": i, "prompt": text[:PROMPT_CHARS], "truth": truths[k], "other": truths[(k + 1) % len(truths)]}
        for k, (i, text) in enumerate(blocks)
    ]
