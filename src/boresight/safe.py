"""Characters that a page or a terminal would obey and not show, made visible.

Model output may hold control characters, marks that reverse the reading direction (a text can then look like another
one), and invisible letters. Escaping HTML does not touch them. Joiners (U+200C, U+200D) and variation selectors stay:
Persian, Indic scripts and emoji need them.
"""

import re

_INVISIBLE = (
    "\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff"  # format, bidi
    "\U000e0000-\U000e007f"  # tags: whole hidden sentences can be written in them
)
MARKED = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_INVISIBLE}\ud800-\udfff]")
"""Control characters but for tab and line feed, invisible format characters, and halves of surrogate pairs."""


def name_of(char: str) -> str:
    """The visible name of a character: "U+202E"."""
    return f"U+{ord(char):04X}"


def visible(text: str) -> str:
    """`text` with every such character replaced by its name in brackets, and line ends as line feeds."""
    return MARKED.sub(lambda m: f"[{name_of(m[0])}]", text.replace("\r\n", "\n"))
