import subprocess
import sys
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boresight.errors import DataError
from boresight.measure.text.alignscore import load_splitter, sentence_spans, split_sentences


@pytest.mark.parametrize(
    "sentences",
    [
        ["Dr. J. K. Smith paid $3.5 million in the U.S.", "He left at 5 p.m. on Jan. 5."],
        ['"Stop!" he said.', "Well... maybe.", "Really?!", "Yes."],
        ['He said "I will go."', "Then he left."],
        ["the man died .", "he was 40 ."],
        ["1. First item.", "2. Second item."],
        ["See Fig. 3 and no. 5.", "He said no.", "Then left (etc.).", "Go."],
        ["It grew, e.g. The Hague, i.e. Holland.", "It was 1999.", "The U.S. Senate met."],
        ["Smith et al. (2020) met J.R.R. Tolkien on Main St.", "The day was warm."],
        ["Wait … what?", "So it ended…", "Then came more."],
        ["No end mark at all"],
        ["今日は。", "明日も！", "はい"],
        ["She and I.", "Then vitamin C.", "The end."],
        ["Visit example.org/a.b now.", "Version 2.1.3 works."],
    ],
)
def test_sentences(sentences):
    assert split_sentences(" ".join(sentences)) == sentences


def test_an_empty_line_ends_a_sentence_and_a_line_break_does_not():
    assert split_sentences("A title\n\nFirst line\nsecond line.") == ["A title", "First line\nsecond line."]


@pytest.mark.parametrize("text", ["", "  ", "\n\t\n"])
def test_white_space_has_no_sentence(text):
    assert split_sentences(text) == []


def test_stray_punctuation_stays_with_its_sentence():
    assert split_sentences("Fine. . . ) ! And on.") == ["Fine. . . ) !", "And on."]
    assert split_sentences("...") == ["..."]


@given(st.text(st.sampled_from("aB1 .!?…\"')(\n。I"), max_size=60) | st.text(max_size=40))
def test_nothing_but_white_space_is_lost(text):
    spans = sentence_spans(text)
    assert "".join(split_sentences(text)).replace(" ", "") or not text.strip()
    at = 0
    for start, end in spans:
        assert at <= start < end
        assert not text[at:start].strip()
        assert text[start:end] == text[start:end].strip()
        at = end
    assert not text[at:].strip()


def test_long_texts_take_no_longer_than_their_length():
    text = 'A. . . (b) "c" 1. d\n \n' * 20_000 + "." * 50_000 + " " * 50_000 + "\n" * 50_000
    assert len(sentence_spans(text)) >= 20_000


def test_a_text_must_be_a_string():
    with pytest.raises(DataError, match="NoneType"):
        split_sentences(None)  # pyright: ignore


def test_splitters_have_names_for_the_log(monkeypatch):
    ours = load_splitter()
    assert ours.name == "boresight-rules-1"
    assert ours.split("One. Two.") == ["One.", "Two."]
    monkeypatch.setitem(
        sys.modules, "nltk", SimpleNamespace(__version__="9", sent_tokenize=lambda text: [*text.split("|"), " "])
    )
    theirs = load_splitter("nltk")
    assert (theirs.name, theirs.split("a|b")) == ("nltk-punkt-9", ["a", "b"])

    class Pipeline:
        def add_pipe(self, name):
            assert name == "sentencizer"

        def __call__(self, text):
            return SimpleNamespace(sents=[SimpleNamespace(text=f"{t} ") for t in text.split("|")])

    monkeypatch.setitem(sys.modules, "spacy", SimpleNamespace(__version__="8", blank=lambda _: Pipeline()))
    theirs = load_splitter("spacy")
    assert (theirs.name, theirs.split("a|b")) == ("spacy-sentencizer-8", ["a", "b"])


def test_a_splitter_that_is_not_there(monkeypatch):
    for name in ("nltk", "spacy"):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(DataError, match=f"pip install {name}"):
            load_splitter(name)
    with pytest.raises(DataError, match="rules, nltk or spacy"):
        load_splitter("punkt")


def test_nothing_heavy_is_imported():
    code = (
        "import sys, boresight.measure.text.alignscore\n"
        "print([m for m in ('torch', 'transformers', 'inspect_ai', 'sklearn', 'scipy') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
