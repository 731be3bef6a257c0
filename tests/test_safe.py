import sys
import unicodedata

import pytest

from boresight.safe import MARKED, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x00b", "a[U+0000]b"),
        ("\x1b[31mred", "[U+001B][31mred"),
        ("user\u202egnp.exe", "user[U+202E]gnp.exe"),
        ("a\u2066b\u2069", "a[U+2066]b[U+2069]"),
        ("zero\u200bwidth", "zero[U+200B]width"),
        ("line\u2028end", "line[U+2028]end"),
        ("\U000e0041", "[U+E0041]"),
        ("\ud83d", "[U+D83D]"),
        ("win\r\ndows\rmac", "win\ndows[U+000D]mac"),
    ],
)
def test_characters_that_would_be_obeyed_are_shown(text, shown):
    assert visible(text) == shown


@pytest.mark.parametrize(
    "text", ["tab\tand\nline", "می\u200cخواهم", "👩\u200d🔬", "❤\ufe0f", "नमस्ते", "שלום", "e\u0301"]
)
def test_what_languages_and_emoji_need_stays(text):
    assert visible(text) == text


def test_every_bidirectional_and_control_character_is_caught():
    kept = {"\t", "\n", "\u200c", "\u200d"}
    for code in range(sys.maxunicode + 1):
        char = chr(code)
        controls = unicodedata.bidirectional(char) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
        if (controls or unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")) and char not in kept:
            assert MARKED.match(char), f"U+{code:04X}"
