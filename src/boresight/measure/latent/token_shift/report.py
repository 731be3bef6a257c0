"""What `token_shift` found: a columnar table of positions, and everything that is read off it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from boresight.measure.latent.token_shift.metrics import COLUMNS, LABELS, join
from boresight.measure.latent.token_shift.summary import SCHEMA, Table, curve, frequencies, plain, summary

if TYPE_CHECKING:
    from boresight.lm.local import LocalModel


@dataclass(frozen=True)
class Answer:
    """One answer: its prompt (the last user turn), its token ids, and whether a context cut it."""

    prompt: str
    ids: list[int]
    truncated: bool = False


@dataclass(frozen=True)
class ShiftReport:
    """A comparison of two models at every token of the aligned one's answers.

    positions: columns of one length, as pandas and pyarrow take them: prompt_id, t (from 0), token_id, token, is_eos,
    those of `position_metrics`, and masked_mass, the probability that the aligned model gave to tokens that the base
    model does not have. tops: base_top_ids, base_top_probs, aligned_top_ids, aligned_top_probs, each (positions,
    top_k). texts: token id -> text, for all ids above. answers: one for each prompt, in order (prompt_id counts from
    0). settings: how it was made.
    """

    base: str
    aligned: str
    positions: Table
    tops: Table
    texts: dict[int, str]
    answers: list[Answer]
    settings: dict[str, Any]

    def summary(self) -> dict[str, Any]:
        """The corpus in numbers, with 95 % bootstrap intervals over answers (see `summary.summary`)."""
        return summary(self.positions, [len(a.ids) for a in self.answers], sum(a.truncated for a in self.answers))

    def tokens(self, kind: str = "shifted", min_count: int = 5) -> list[dict[str, Any]]:
        """The tokens that carry a label at least `min_count` times, most frequent first.

        Each row: token_id, token, count (with the label `kind`), total, shift_rate (shifted of total). Raises
        ValueError for a kind that is no label.
        """
        return frequencies(self.positions, kind, min_count)

    def curve(self, by: str = "absolute") -> Table:
        """Means over answers along them: by "absolute" position t, or by "relative" position t/T in ten bins.

        Columns: t or bin, n (positions), kl_ab, kl_ab_low, kl_ab_high, base_rank, p_base, and the share of each label.
        Raises ValueError for another `by`.
        """
        return curve(self.positions, [len(a.ids) for a in self.answers], by)

    def headline(self) -> str:
        """What was found, in one sentence."""
        if not len(self.positions["t"]):
            return "No answer has a token, so there is nothing to compare."
        own, near, far = (
            f"{(self.positions['label'] == label).mean():.1%}".replace("%", "\u00a0%") for label in LABELS
        )
        return (
            f"{own} of the tokens that {self.aligned} wrote are the base model's first choice too; "
            f"{near} are its second or third, and {far} are shifted further down."
        )

    def html(self) -> str:
        """The coloured view: one page without scripts, readable without a network."""
        from boresight.measure.latent.token_shift.view import render

        return render(self)

    def json(self) -> str:
        """Everything as JSON: settings, summary, answers, positions by column, and the best tokens of each."""
        import json

        data = {
            "schema": SCHEMA,
            "base": self.base,
            "aligned": self.aligned,
            "settings": self.settings,
            "summary": self.summary(),
            "answers": [{"prompt": a.prompt, "tokens": len(a.ids), "truncated": a.truncated} for a in self.answers],
            "positions": {name: plain(column) for name, column in self.positions.items()},
            "top": {name: [plain(row) for row in column] for name, column in self.tops.items()},
            "texts": {str(i): text for i, text in sorted(self.texts.items())},
        }
        return json.dumps(data, allow_nan=False) + "\n"

    def to_html(self, path: str | Path) -> None:
        """Write `html()` to a file."""
        Path(path).write_text(self.html(), encoding="utf-8")

    def to_json(self, path: str | Path) -> None:
        """Write `json()` to a file."""
        Path(path).write_text(self.json(), encoding="utf-8")


def build(
    base: str,
    aligned: str,
    answers: Sequence[Answer],
    parts: Sequence[dict[str, np.ndarray]],
    engine: "LocalModel",
    settings: dict[str, Any],
) -> ShiftReport:
    """A report of the columns of every answer. engine: the aligned model, which names the tokens and its end."""
    scored = [part for part in parts if len(part["base_rank"])]
    table = join(scored)
    lengths = [len(a.ids) for a in answers]
    ids = np.array([i for a in answers for i in a.ids], dtype=np.int64)
    tops = {name: table[name] for name in table if "_top_" in name}
    name = token_namer(engine)
    texts = {
        int(i): name(int(i))
        for i in np.unique(np.concatenate([ids, *(tops[n].ravel() for n in tops if n.endswith("_ids"))]))
    }
    positions = {
        "prompt_id": np.repeat(np.arange(len(answers)), lengths),
        "t": np.concatenate([np.arange(n) for n in lengths]) if len(ids) else np.empty(0, np.int64),
        "token_id": ids,
        "token": np.array([texts[int(i)] for i in ids], dtype=object),
        "is_eos": np.isin(ids, list(engine.eos_ids)),
        **{column: table[column] for column in COLUMNS},
        "masked_mass": table.get("masked_mass", np.empty(0)),
    }
    return ShiftReport(base, aligned, positions, tops, texts, list(answers), settings)


def token_namer(engine: "LocalModel") -> Callable[[int], str]:
    """Token id -> text, special tokens and leading spaces included; part of a character is a replacement character."""
    tokenizer = engine.tokenizer

    def name(token: int) -> str:
        text = tokenizer.decode([token], skip_special_tokens=False, clean_up_tokenization_spaces=False)
        piece = tokenizer.convert_ids_to_tokens(token)
        marked = isinstance(piece, str) and piece.startswith("\u2581")
        return f" {text}" if marked and not text.startswith(" ") else text

    return name
