"""What a test is made of: items, what they ask of a model, and the scores that its replies get."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from boresight.chat import Chat, user
from boresight.measure.base import Metric

CHOICE = "rule:option-letter-v1"
"""Grader of closed questions: the likelier option letter, or the letter that is read off a written answer."""

OWN = "model:own-probabilities"
"""Grader of figures that are the model's own probabilities."""

LETTERS = "ABC"
TIE = 1e-9


@dataclass(frozen=True)
class Ask:
    """One thing asked of the model: which of `options` (texts of an answer) is likelier, or, without any, an answer.

    tokens: budget of a written answer. samples: a model that does not tell probabilities answers so often at
    temperature 1, and the shares are frequencies; 0: once, greedily. declines: the option that a written answer stands
    for which names none of them but declines in words.
    """

    chat: Chat
    options: tuple[str, ...] = ()
    tokens: int = 48
    samples: int = 0
    declines: int | None = None


Reply = tuple[float, ...] | str | None
"""Shares of the options (they add up to 1), or the text of an answer; None where no option could be read."""


@dataclass(frozen=True)
class Item:
    """One item of a test. data: what scoring needs, in JSON's types."""

    id: str
    test: str
    asks: tuple[Ask, ...]
    data: dict[str, Any] = field(default_factory=dict)


Scores = dict[str, float]
Score = Callable[[Item, Sequence[Reply], bool | None], Scores]
"""(item, a reply for each ask, the judge's verdict or None) -> metric key without the test's name -> value or nan."""


def _nothing(item: Item, replies: Sequence[Reply]) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Test:
    """A test. subs: ids of the sub-categories that it bears on. kind: "measured" (one of the paper's eight designs) or
    "probe" (a small set of our own). draw(n, seed): at most n items, None: all. headline: key of the metric that stands
    for it. metrics: keys are those of `score` behind the test's name.

    judged: question for a judge about the written answer, to be answered yes or no; without a judge `rule` decides.
    needs: what the user must give before the test can run, empty if nothing. detail(item, replies): what numbers that
    are no means need of an item, in JSON's types.
    """

    __test__ = False  # not a test case for pytest

    id: str
    title: str
    subs: tuple[str, ...]
    kind: str
    draw: Callable[[int | None, int], list[Item]]
    score: Score
    headline: str
    metrics: tuple[Metric, ...]
    judged: str = ""
    rule: Callable[[str], bool | None] | None = None
    rule_name: str = ""
    needs: str = ""
    detail: Callable[[Item, Sequence[Reply]], dict[str, Any]] = _nothing

    def key(self, name: str) -> str:
        """A metric's key in results: the test's name and the metric's."""
        return f"{self.id.replace('-', '_')}_{name}"

    @property
    def closed(self) -> bool:
        """Whether nothing has to be written."""
        return all(ask.options for item in self.draw(1, 0) for ask in item.asks)

    def full(self, scores: Mapping[str, float]) -> Scores:
        """Scores under the keys of results, nan where the test gave none."""
        return {m.key: scores.get(m.key.removeprefix(self.key("")), math.nan) for m in self.metrics}


def choice(
    question: str, options: Sequence[str], order: Sequence[int], head: str = "", declining: int | None = None
) -> Ask:
    """A multiple-choice question whose answer is a letter. order: which option stands at A, B, ...

    declining: the option that stands for declining, if there is one.
    """
    listed = "\n".join(f"{LETTERS[at]}) {options[i]}" for at, i in enumerate(order))
    text = f"{head}{question}\n{listed}\nReply with the letter of your answer.\nAnswer:"
    place = None if declining is None else list(order).index(declining)
    return Ask(user(text), tuple(LETTERS[: len(order)]), 8, declines=place)


def yes_no(question: str) -> Ask:
    """A question to be answered by Yes or No."""
    return Ask(user(f"{question}\nReply with Yes or No.\nAnswer:"), ("Yes", "No"), 8)


def write(prompt: str, tokens: int = 48, system: str = "") -> Ask:
    """A prompt to be answered freely."""
    return Ask(_chat(prompt, system), (), tokens)


def _chat(text: str, system: str) -> Chat:
    return [{"role": "system", "content": system}, *user(text)] if system else user(text)


def orders(n: int) -> list[tuple[int, ...]]:
    """As many orders of n options as each needs to stand at each place once (a cyclic Latin square)."""
    return [tuple((start + at) % n for at in range(n)) for start in range(n)]


def averaged(replies: Sequence[Reply], n: int) -> list[float] | None:
    """Shares of n options averaged over the orders of `orders(n)`; None unless every reply could be read.

    What a model prefers because of its place falls out of the mean.
    """
    total = [0.0] * n
    for order, reply in zip(orders(n), replies, strict=True):
        if not isinstance(reply, tuple):
            return None
        for at, i in enumerate(order):
            total[i] += reply[at] / n
    return total


def credit(shares: Sequence[float], option: int) -> float:
    """1 if an option has the largest share, a part of it if several do, else 0.

    A model that goes by place alone ties all options over their orders (in bfloat16 exactly): it then gets what chance
    would give, and not a win or a loss that hangs on rounding.
    """
    top = max(shares)
    winners = [i for i, share in enumerate(shares) if share >= top - TIE]
    return 1 / len(winners) if option in winners else 0.0


def best(shares: Sequence[float]) -> int:
    """The index of the largest share; the first of several."""
    return max(range(len(shares)), key=lambda i: shares[i])


def metric(
    test: str, key: str, title: str, about: str, better: str = "higher", grader: str = CHOICE, unit: str = "fraction"
) -> Metric:
    """A metric of a test."""
    return Metric(f"{test.replace('-', '_')}_{key}", title, unit, better, grader, about)  # type: ignore[arg-type]


def credited(test: str, key: str, title: str, about: str, better: str = "higher") -> Metric:
    """A metric whose values are those of `credit`."""
    return metric(test, key, title, about, better, unit="share")
