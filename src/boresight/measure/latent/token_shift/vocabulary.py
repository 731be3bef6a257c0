"""Do two models speak of the same tokens? (token-shift sheet, section 2, edge cases)"""

from typing import TYPE_CHECKING

from boresight.errors import TokenizerMismatch

if TYPE_CHECKING:
    from boresight.lm.local import LocalModel

PROBES = (
    "The quick brown fox jumps over the lazy dog, 3.14 times in 2024!",
    "  indented\n\tdef f(x):\n\n    return x**2  # naïve\r\n",
    "Ünïcödé: 東京, Москва, القاهرة, 🙂, don't, e.g. http://example.org/?q=1",
)


def common_vocabulary(base: "LocalModel", aligned: "LocalModel") -> int:
    """How many ids, from 0, mean the same token in both models.

    The aligned model may have further added tokens at the end (chat markers). Anything else that differs raises
    TokenizerMismatch with the first ids that do: an id's token, the sizes, or how a few probe texts are cut.
    """
    ours, theirs = base.tokenizer, aligned.tokenizer
    old, new = ours.get_vocab(), theirs.get_vocab()
    where = f"{base.name} and {aligned.name} do not share a tokenizer, which token shift needs"
    if old != new:
        _require_extension({i: t for t, i in old.items()}, {i: t for t, i in new.items()}, theirs, where)
    for probe in PROBES:
        cuts = [t(probe, add_special_tokens=False)["input_ids"] for t in (ours, theirs)]
        if cuts[0] != cuts[1]:
            raise TokenizerMismatch(f"{where}: they cut {probe!r} into different tokens ({_first(*cuts)})")
    return max(old.values()) + 1


def _require_extension(old: dict[int, str], new: dict[int, str], theirs: object, where: str) -> None:
    """TokenizerMismatch unless `new` is `old` and, after it, added tokens."""
    differing = sorted(i for i in old if new.get(i) != old[i])
    if differing:
        some = ", ".join(
            f"id {i} is {old[i]!r} and {new[i]!r}" if i in new else f"id {i} is in one" for i in differing[:3]
        )
        raise TokenizerMismatch(
            f"{where}: {some} ({len(differing)} ids of {len(old)} differ, sizes {len(old)} and {len(new)})"
        )
    added = set(getattr(theirs, "added_tokens_decoder", {}))
    plain = sorted(i for i in new.keys() - old.keys() if i not in added or i <= max(old))
    if plain:
        some = ", ".join(f"id {i} is {new[i]!r}" for i in plain[:3])
        raise TokenizerMismatch(f"{where}: only added tokens after the base model's {len(old)} may be new, but {some}")


def _first(a: list[int], b: list[int]) -> str:
    at = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    return f"ids {a[at : at + 3]} and {b[at : at + 3]} from token {at + 1}"
