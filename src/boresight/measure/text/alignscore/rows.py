"""Rows of the seven task families, written from the fields their data sets have (sheet, section 2.3).

A row holds all that one training example may be drawn from; `boresight.measure.text.alignscore.examples` draws. The
families: natural language inference, fact checking, paraphrase, question answering (with choices, and coreference),
retrieval, summarization, similarity.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from boresight.errors import DataError
from boresight.measure.text.alignscore.aggregation import Head
from boresight.measure.text.alignscore.checks import is_finite, string, strings

Task = Literal[
    "nli",
    "fact_checking",
    "bin_nli",
    "paraphrase",
    "qa",
    "coreference",
    "ir",
    "summarization",
    "multiple_choice_qa",
    "extractive_qa",
    "sts",
    "wmt",
    "ctc",
]

HEADS: dict[str, Head] = {
    "nli": "tri",
    "fact_checking": "tri",
    "bin_nli": "bin",
    "paraphrase": "bin",
    "qa": "bin",
    "coreference": "bin",
    "ir": "bin",
    "summarization": "bin",
    "multiple_choice_qa": "bin",
    "extractive_qa": "bin",
    "sts": "reg",
    "wmt": "reg",
    "ctc": "reg",
}
"""The head that each task feeds."""

NLI = {"entailment": 0, "neutral": 1, "contradiction": 2, "0": 0, "1": 1, "2": 2, "-1": 1}
"""Labels of the 3-way head; -1 (no agreement among annotators) counts as neutral."""

VERDICTS = {"SUPPORTS": 0, "NOT ENOUGH INFO": 1, "NEI": 1, "REFUTES": 2}

DOC_NLI = {"entailment": 1, "not_entailment": 0, "1": 1, "0": 0}

SCALES = {"stsb": 5.0, "sick": 5.0}
"""What the similarity scores of a data set are divided by; others are taken to lie in [0, 1] already."""


@dataclass(frozen=True)
class Row:
    """text_a, its aligned texts_b (or the one other text), unaligned text_c, the label as number, and the task."""

    text_a: str
    text_b: tuple[str, ...]
    text_c: tuple[str, ...]
    orig_label: float
    task: Task

    def __post_init__(self) -> None:
        string("text_a", self.text_a)
        for name in ("text_b", "text_c"):
            # Rows from JSON bring lists.
            object.__setattr__(self, name, tuple(strings(name, getattr(self, name))))
        if self.task not in HEADS:
            raise DataError(f"the task is {self.task!r}; one of {', '.join(HEADS)} is needed")
        if not self.text_b:
            raise DataError(f"text_b of a row of {self.task} is empty; at least one text is needed")
        label, classes = self.orig_label, {"tri": (-1, 0, 1, 2), "bin": (0, 1), "reg": None}[HEADS[self.task]]
        if not is_finite(label) or (classes and label not in classes):
            needed = f"one of {', '.join(map(str, classes))}" if classes else "a finite number"
            raise DataError(f"orig_label of a row of {self.task} is {label!r}; {needed} is needed")


def nli_row(premise: str, hypothesis: str, label: int | str) -> Row:
    """Inference with three classes: entailment 0, neutral 1, contradiction 2; -1 becomes neutral."""
    return Row(premise, (hypothesis,), (), _class(label, NLI), "nli")


def fact_row(evidence: str, claim: str, verdict: str) -> Row:
    """Fact checking: SUPPORTS 0, NOT ENOUGH INFO (or NEI) 1, REFUTES 2."""
    return Row(evidence, (claim,), (), _class(verdict, VERDICTS), "fact_checking")


def doc_nli_row(premise: str, hypothesis: str, label: int | str) -> Row:
    """Inference over documents with two classes: entailment 1, not_entailment 0."""
    return Row(premise, (hypothesis,), (), _class(label, DOC_NLI), "bin_nli")


def paraphrase_row(first: str, second: str, same: bool) -> Row:
    """Two texts that say the same, or not."""
    return Row(first, (second,), (), int(same), "paraphrase")


def qa_row(
    context: str,
    question: str,
    answer: str | None,
    correct: bool,
    task: Literal["qa", "coreference"] = "qa",
) -> Row:
    """A question and an answer that the context supports, or not; without an answer the question stands alone."""
    return Row(context, (question,), () if answer is None else (answer,), int(correct), task)


def choice_row(
    context: str,
    right: Sequence[str],
    wrong: Sequence[str],
    task: Literal["multiple_choice_qa", "extractive_qa"] = "multiple_choice_qa",
) -> Row:
    """Right and wrong answers, each already turned into a statement."""
    return Row(context, tuple(strings("right", right)), tuple(strings("wrong", wrong)), 1, task)


def retrieval_row(passage: str, queries: Sequence[str], relevant: bool) -> Row:
    """A passage and queries (or answers) that it is relevant to, or not."""
    return Row(passage, tuple(strings("queries", queries)), (), int(relevant), "ir")


def summary_row(document: str, summaries: Sequence[str], corrupted: Sequence[str] = ()) -> Row:
    """A document, its summaries, and unfaithful ones; without these, another document's summary is the negative."""
    return Row(
        document, tuple(strings("summaries", summaries)), tuple(strings("corrupted", corrupted)), 1, "summarization"
    )


def similarity_row(
    first: str, second: str, score: float, source: str = "", task: Literal["sts", "wmt", "ctc"] = "sts"
) -> Row:
    """Two texts and how similar they are; scores of "stsb" and "sick" are divided by 5."""
    if not is_finite(score):
        raise DataError(f"the score is {score!r}; a finite number is needed")
    return Row(first, (second,), (), score / SCALES.get(source, 1.0), task)


def _class(label: int | str, classes: dict[str, int]) -> int:
    found = classes.get(str(label))
    if found is None:
        raise DataError(f"the label is {label!r}; one of {', '.join(classes)} is needed")
    return found
