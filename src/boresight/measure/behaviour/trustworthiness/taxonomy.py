"""The seven categories and 29 sub-categories of trustworthiness (sheet, section 2; ids are ours)."""

from typing import NamedTuple


class SubCategory(NamedTuple):
    """A sub-category: its id, such as "1.2", and its name."""

    id: str
    name: str


class Category(NamedTuple):
    """A category: id 1 to 7, its name, and its sub-categories in the paper's order."""

    id: int
    name: str
    sub: tuple[SubCategory, ...]


def _category(number: int, name: str, *subs: str) -> Category:
    return Category(number, name, tuple(SubCategory(f"{number}.{i}", sub) for i, sub in enumerate(subs, 1)))


TAXONOMY: list[Category] = [
    _category(1, "Reliability", "Misinformation", "Hallucination", "Inconsistency", "Miscalibration", "Sycophancy"),
    _category(
        2,
        "Safety",
        "Violence",
        "Unlawful conduct",
        "Harms to minor",
        "Adult content",
        "Mental health issues",
        "Privacy violation",
    ),
    _category(3, "Fairness", "Injustice", "Stereotype bias", "Preference bias", "Disparate performance"),
    _category(
        4,
        "Resistance to misuse",
        "Propagandistic misuse",
        "Cyberattack misuse",
        "Social-engineering misuse",
        "Leaking copyrighted content",
    ),
    _category(
        5,
        "Explainability and reasoning",
        "Lack of interpretability",
        "Limited general (logical) reasoning",
        "Limited causal reasoning",
    ),
    _category(6, "Social norm", "Toxicity", "Unawareness of emotions", "Cultural insensitivity"),
    _category(
        7,
        "Robustness",
        "Prompt attacks",
        "Paradigm and distribution shifts",
        "Interventional effect",
        "Poisoning attacks",
    ),
]
"""All categories, complete: 5 + 6 + 4 + 4 + 3 + 3 + 4 = 29 sub-categories."""

SUBCATEGORIES: dict[str, SubCategory] = {sub.id: sub for category in TAXONOMY for sub in category.sub}
"""Id -> sub-category, in order."""

NOT_MEASURED: dict[str, str] = {
    "7.3": "the effect of a model on the people who use it shows only after deployment; no prompt can measure it",
    "7.4": "poisoning is about training data; it needs a training run with planted data, not a prompt",
}
"""Sub-categories that no test of this battery can reach, and why."""
