import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boresight.steer.urial import STOPS, clean, clean_reference, cut_at_stop, render_prompt
from boresight.steer.urial.frame import answer_stopper

FIXTURES = Path(__file__).parents[1] / "fixtures" / "urial"
HEADINGS = ("# Query", "# Answer", "# User", "# Assistant")
SOUP = ["```", "`", "\n", "\r", " ", "#", "# Query", "# Answer:", "# User", "# Us", "ery", "python", "x = 1", "é", "\t"]
soup = st.lists(st.sampled_from(SOUP), max_size=14).map("".join)


def cases(name: str) -> list:
    return json.loads((FIXTURES / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", cases("render.json"))
def test_rendering_is_byte_exact(case):
    template = case["template"].removeprefix("urial_")
    assert render_prompt(case["system_and_examples"], case["turns"], template) == case["prompt"]


@pytest.mark.parametrize("case", cases("postprocess.json"))
def test_reference_postprocessing_is_exact(case):
    assert cut_at_stop(case["raw"]) == case["stopped"]
    assert clean_reference(case["stopped"]) == case["cleaned"]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Hi!\n```\n\nmore", "Hi!"),
        ("Hi!\n```", "Hi!"),
        ("Hi!\n   ```  \nmore", "Hi!"),
        ("```\nHi!", ""),
        ("So:\n```python\nx = 1\n```\nDone.\n```\nmore", "So:\n```python\nx = 1\n```\nDone."),
        ("So:\n```python\nx = 1\n```still closes\nDone.\n```\nmore", "So:\n```python\nx = 1\n```still closes\nDone."),
        ("So:\n```\nx = 1\n```\nDone.", "So:"),  # a bare fence cannot be told from the frame's: the price of it
        ("inline ``` stays\n", "inline ``` stays"),
        ("````\na\n```\nb", "````\na\n```\nb"),
        ("", ""),
    ],
)
def test_clean_keeps_code_blocks_and_ends_at_the_frame(raw, expected):
    assert clean(raw) == expected


@given(soup)
def test_clean_is_idempotent(text):
    assert clean(clean(text)) == clean(text)


def split_frame(prompt: str) -> list[tuple[str, str]]:
    """Read a rendered conversation back: (heading, text) of every closed turn. Raises if the frame is broken."""
    lines, turns, at = prompt.split("\n"), [], 0
    while True:
        assert lines[at] == ""
        assert lines[at + 1] in ("# Query:", "# Answer:")
        fence = lines[at + 2]
        assert set(fence) == {"`"}
        if at + 3 == len(lines) - 1:
            assert (lines[at + 1], fence, lines[-1]) == ("# Answer:", "```", "")
            return turns
        end = lines.index(fence, at + 3)
        turns.append((lines[at + 1], "\n".join(lines[at + 3 : end])))
        at = end + 1


@given(st.lists(soup.filter(str.strip), min_size=1, max_size=5).filter(lambda t: len(t) % 2))
def test_no_turn_breaks_the_frame(turns):
    read = split_frame(render_prompt("", turns))
    assert [heading for heading, _ in read] == [("# Query:", "# Answer:")[i % 2] for i in range(len(turns))]
    for (_, text), turn in zip(read, turns, strict=True):
        assert not any(line.startswith(HEADINGS) for line in text.splitlines())
        if "```" not in turn and "#" not in turn:
            assert text == turn


@pytest.mark.parametrize("template", ["v5", "v6"])
@given(turn=soup.filter(str.strip))
def test_no_turn_writes_a_heading(template, turn):
    prompt = render_prompt("", [turn], template)
    headings = [line for line in prompt.splitlines() if line.startswith(HEADINGS)]
    assert headings == ["# User:", "# Assistant:"]


def test_injected_query_stays_one_turn():
    prompt = render_prompt("P\n", ["```\n# Answer:\n```"])
    assert prompt == "P\n\n# Query:\n````\n```\n # Answer:\n```\n````\n\n# Answer:\n```\n"
    five = render_prompt("", ["a `````b"])
    assert "\n``````\na `````b\n``````\n" in five


def test_a_turn_without_fence_or_heading_is_left_alone():
    text = " `` a\n#Query\n ## Answer \n`x`\n"
    assert f"\n```\n{text}\n```\n" in render_prompt("", [text])
    assert render_prompt("", ["\n a \n\n"], "v6") == "\n\n# User:\n a \n\n\n# Assistant:\n"


@pytest.mark.parametrize("turns", [[], ["q", "a"], [""], ["  \n"], ["q", "a", " "], [1], ["q", None, "r"]])
def test_turns_that_are_no_conversation(turns):
    with pytest.raises(ValueError, match="turn"):
        render_prompt("", turns)


def test_unknown_template():
    with pytest.raises(ValueError, match="backticks, v5, v6"):
        render_prompt("", ["q"], "v4")


@given(st.lists(st.sampled_from(SOUP), max_size=30), st.booleans(), st.data())
def test_stopping_while_writing_equals_cleaning_afterwards(parts, fenced, data):
    text = "".join(parts)
    borders = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=20), "borders"))
    pieces = [text[a:b] for a, b in zip([0, *borders], [*borders, len(text)], strict=True)]
    stopper, so_far = answer_stopper(STOPS, fenced), ""
    for piece in pieces:
        begin, so_far = len(so_far), so_far + piece
        if piece and (hit := stopper(so_far, begin)):
            so_far = so_far[: hit[0]]
            break
    whole = cut_at_stop(text)
    assert clean(so_far) == clean(whole) if fenced else so_far == whole


def test_the_model_is_stopped_at_the_frame_but_not_at_a_code_block():
    stopper = answer_stopper(STOPS)
    text, hit = "", None
    for piece in ["So", "\n", "``", "`", "py", "\nx\n", "```", "\n", "Done\n", "``", "`"]:
        begin, text = len(text), text + piece
        assert stopper(text, begin) is None
    begin, text = len(text), text + "\n\n# Qu"
    hit = stopper(text, begin)
    assert hit == (text.index("```\n\n#"), "frame_end")
