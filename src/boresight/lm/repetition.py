"""Does a text end in a copy of itself? The commonest way for a small model to fail, asked by measures and by policies.

The search uses the Z-function (Gusfield 1997).
"""

from collections.abc import Sequence


def z_values(text: Sequence[object], limit: int | None = None) -> list[int]:
    """Z-function: for each i < limit, how many items from i on equal the items from the start (z[0] = n).

    O(n) comparisons: a comparison that succeeds moves `right` forward, and each i has at most one failure.
    """
    n = len(text)
    z = [0] * (n if limit is None else min(limit, n))
    left = right = 0
    for i in range(1, len(z)):
        length = min(right - i, z[i - left]) if i < right else 0
        while i + length < n and text[length] == text[i + length]:
            length += 1
        z[i] = length
        if i + length > right:
            left, right = i, i + length
    if z:
        z[0] = n
    return z


def repeated_suffix(text: str, min_length: int = 30) -> int:
    """Length of the longest suffix of at least `min_length` that directly follows a copy of itself, or 0.

    "abcabc" ends with such a suffix of length 3, and a loop of many rounds counts as many rounds as fit
    twice. Linear: in the reversed text, a suffix of length k is doubled exactly when z[k] >= k.
    """
    half = len(text) // 2
    z = z_values(text[::-1], half + 1)
    for length in range(half, max(min_length, 1) - 1, -1):
        if z[length] >= length:
            return length
    return 0
