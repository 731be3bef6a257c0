import json

import pytest

from boresight.errors import DataError
from boresight.report.journal import Journal


def test_lines_come_back_in_order(tmp_path):
    path = tmp_path / "j.jsonl"
    with Journal(path, {"what": "töst"}) as journal:
        journal.add({"n": 1})
        journal.add({"n": 2, "text": "a\nb\ud800"})
        assert journal.held == 2
    with Journal(path) as journal:
        assert journal.head == {"what": "töst"}
        assert journal.entries == [{"n": 1}, {"n": 2, "text": "a\nb\ud800"}]


@pytest.mark.parametrize("torn", [b'{"n": 2', b'{"n": 2}', b"\x00\x00", b'{"n": 2}garbage\n', b"[1]\n"])
def test_a_torn_end_is_dropped_and_written_over(tmp_path, torn):
    path = tmp_path / "j.jsonl"
    with Journal(path, {"a": 1}) as journal:
        journal.add({"n": 1})
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    with Journal(path) as journal:
        assert journal.entries == [{"n": 1}]
        assert journal.held == 1
        journal.add({"n": 3})
    assert path.read_bytes() == whole + json.dumps({"n": 3}).encode() + b"\n"


def test_every_cut_of_a_journal_leaves_its_whole_lines(tmp_path):
    path = tmp_path / "j.jsonl"
    with Journal(path, {"a": 1}) as journal:
        for n in range(3):
            journal.add({"n": n})
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for cut in range(first, len(whole)):
        path.write_bytes(whole[:cut])
        with Journal(path) as journal:
            assert [e["n"] for e in journal.entries] == list(range(whole[first:cut].count(b"\n")))


def test_something_else_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "poem.txt"
    path.write_text("Shall I compare thee")
    with pytest.raises(DataError, match="is no journal of boresight"):
        Journal(path)
    assert path.read_text() == "Shall I compare thee"


def test_a_complete_one_goes(tmp_path):
    journal = Journal(tmp_path / "j.jsonl", {"a": 1})
    journal.remove()
    assert list(tmp_path.iterdir()) == []
