"""Does a text end in a copy of itself? The commonest way for a small model to fail, asked by measures and by policies."""


def repeated_suffix(text: str, min_length: int = 30) -> int:
    """Length of the longest suffix that is immediately preceded by an identical copy of itself.

    Only lengths >= min_length (characters) count; 0 if there is none. O(n) by the Z-function of the reversed text: a
    suffix of length k is repeated if the reversed text agrees with itself shifted by k on at least k characters.
    """
    s = text[::-1]
    n = len(s)
    z = [0] * n
    left = right = longest = 0
    for i in range(1, n):
        k = min(right - i, z[i - left]) if i < right else 0
        while i + k < n and s[k] == s[i + k]:
            k += 1
        if i + k > right:
            left, right = i, i + k
        z[i] = k
        if min_length <= i <= k:
            longest = i
    return longest
