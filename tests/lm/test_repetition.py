import pytest
from hypothesis import given
from hypothesis import strategies as st

from boresight.lm.repetition import repeated_suffix, z_values


def brute_suffix(text, min_length):
    best = 0
    for size in range(max(min_length, 1), len(text) // 2 + 1):
        if text[-size:] == text[-2 * size : -size]:
            best = size
    return best


@given(st.text(alphabet="ab", max_size=40), st.integers(1, 12))
def test_repeated_suffix_equals_brute_force(text, min_length):
    assert repeated_suffix(text, min_length) == brute_suffix(text, min_length)


@given(st.text(alphabet="abc", max_size=3), st.text(alphabet="abc", min_size=1, max_size=6), st.integers(2, 9))
def test_repeated_suffix_finds_planted_loops(head, chunk, rounds):
    text = head + chunk * rounds
    assert repeated_suffix(text, len(chunk)) >= len(chunk) * (rounds // 2)
    assert repeated_suffix(text, len(chunk)) == brute_suffix(text, len(chunk))


@pytest.mark.parametrize(
    ("text", "min_length", "expected"),
    [
        ("", 1, 0),
        ("abcabc", 3, 3),
        ("abcabc", 4, 0),
        ("xabab", 1, 2),
        ("aaaa", 1, 2),
        ("abcabcx", 1, 0),
        ("so it goes on and on forever. " * 2, 30, 30),
        ("so it goes on and on forever. " * 5, 30, 60),
    ],
)
def test_repeated_suffix_cases(text, min_length, expected):
    assert repeated_suffix(text, min_length) == expected


@given(st.text(alphabet="ab", max_size=30), st.integers(0, 40))
def test_z_values_are_the_common_prefix_lengths(text, limit):
    def common(i):
        return next((k for k in range(len(text) - i) if text[k] != text[i + k]), len(text) - i)

    assert z_values(text, limit) == [common(i) for i in range(min(limit, len(text)))]
    assert z_values(text) == [common(i) for i in range(len(text))]


class Counted:
    """A text that counts how often it is looked at."""

    def __init__(self, text):
        self.text, self.looks = text, 0

    def __len__(self):
        return len(self.text)

    def __getitem__(self, index):
        self.looks += 1
        return self.text[index]


@pytest.mark.parametrize("text", ["a" * 5000, "ab" * 2500, "a" * 2500 + "b" * 2500, ("a" * 49 + "b") * 100])
def test_the_suffix_search_is_linear(text):
    counted = Counted(text)
    z_values(counted)
    assert counted.looks <= 4 * len(text)  # two looks per comparison, at most 2n comparisons


def test_a_megabyte_is_handled():
    assert repeated_suffix("a" * 1_000_000) == 500_000
