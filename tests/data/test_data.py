import io

import pytest

from boresight.data import draw, load_set, open_text, read_jsonl
from boresight.data.requests import read_requests
from boresight.errors import DataError

SETS = ("open", "instructions", "refusal", "refusal_replies", "facts")


@pytest.mark.parametrize("name", SETS)
def test_built_in_sets_have_unique_ids_and_no_blank_text(name):
    rows = load_set(name)
    assert len({r["id"] for r in rows}) == len(rows)
    assert all(r["prompt"].strip() for r in rows)


def test_an_unknown_set_is_named():
    with pytest.raises(DataError, match="nothing"):
        load_set("nothing")


def test_the_refusal_set_is_pairs_of_short_requests():
    rows = load_set("refusal")
    pairs = {}
    for row in rows:
        pairs.setdefault(row["pair"], []).append(row["label"])
        assert len(row["prompt"]) < 120  # a request, never instructions
    assert all(sorted(labels) == ["harmful", "harmless"] for labels in pairs.values())
    assert len(load_set("refusal_replies")) >= 150


def test_draw():
    rows = list(range(20))
    assert draw(rows, None, 0) == draw(rows, 50, 0) == rows
    assert draw(rows, 5, 1) == sorted(draw(rows, 5, 1))
    with pytest.raises(ValueError, match="at least 1"):
        draw(rows, 0, 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"prompt": "a"}\n{"prompt": ', "x, line 2: not valid JSON"),
        ('{"prompt": "a"}\n\n[1]', "x, line 3: a JSON object"),
        ('{"prompt": ""}', "x, line 1: a non-empty text 'prompt'"),
        ('{"prompt": 3}', "x, line 1"),
        ('{"question": "a"}', "x, line 1"),
        ('{"messages": []}', "x, line 1: a list of messages"),
        ('{"messages": [{"role": "assistant", "content": "a"}]}', "x, line 1: turn 1"),
        ('{"messages": "a"}', "x, line 1"),
        ("[" * 100_000, "x, line 1: not valid JSON"),
        ("", "x holds no prompt"),
        ("\n \n", "x holds no prompt"),
    ],
)
def test_bad_requests_name_their_line(text, message):
    with pytest.raises(DataError, match=message):
        read_requests(io.StringIO(text), "x")


def test_requests_keep_their_rows(tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text('\ufeff{"prompt": "a", "id": 7}\n{"messages": [{"role": "user", "content": "b"}]}\n', "utf-8")
    first, second = read_requests(path)
    assert first.row == {"prompt": "a", "id": 7}
    assert first.chat == [{"role": "user", "content": "a"}]
    assert second.chat == [{"role": "user", "content": "b"}]


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        read_requests(tmp_path / "no.jsonl")
    with pytest.raises(DataError, match="cannot be read"):
        read_requests(tmp_path)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="not UTF-8"):
        open_text(tmp_path / "bytes")
    (tmp_path / "late").write_bytes(b'{"prompt": "a"}\n' * 2000 + b"\xff\n")
    with pytest.raises(DataError, match="not UTF-8"):
        read_requests(tmp_path / "late")


def test_read_jsonl_counts_blank_lines():
    assert list(read_jsonl(["", '{"a": 1}'], "x")) == [(2, {"a": 1})]
