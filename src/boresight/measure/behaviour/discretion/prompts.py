"""What oracles and annotators read: a comparison first and the principle last, so that the comparison is read once for
all principles (discretion sheet, sections 2.8 and 5). Versioned: a change of wording is a new version."""

from boresight.chat import Chat, user

VERSION = "discretion-v2"
LABELS = ("A", "B", "NA")
SPELLINGS = ("{}", " {}", '"{}')
"""How a label may begin an answer; their probabilities are summed."""

_SYSTEM = (
    "You compare two responses of an assistant. Reply with one label and nothing else: A, B, or NA when neither clearly"
    " fits better or the question does not apply."
)
_SYSTEM_TWO = "You compare two responses of an assistant. Reply with one label and nothing else: A or B."
_COMPARISON = "Prompt:\n{prompt}\n\nResponse A:\n{a}\n\nResponse B:\n{b}\n\n"
_PRINCIPLE = "Which response fits this principle better: {principle} Reply with {labels} only."
_GENERIC = "Which response is better? Reply with {labels} only."


def question(prompt: str, a: str, b: str, principle: str = "", include_na: bool = True) -> Chat:
    """The chat that asks which of the two responses, as presented, fits a principle (or, without one, is better)."""
    labels = "A, B or NA" if include_na else "A or B"
    last = _PRINCIPLE if principle else _GENERIC
    text = _COMPARISON.format(prompt=prompt, a=a, b=b) + last.format(principle=principle, labels=labels)
    return user(text, _SYSTEM if include_na else _SYSTEM_TWO)
