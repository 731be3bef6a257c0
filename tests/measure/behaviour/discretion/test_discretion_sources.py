"""Where comparisons and labels come from, and annotators other than people."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from boresight.errors import DataError, ModelError
from boresight.measure.base import make_task
from boresight.measure.battery import measure as built
from boresight.measure.behaviour import discretion as d
from boresight.measure.behaviour.discretion.choose import first_token_scores, read_label
from boresight.measure.behaviour.discretion.reward import reward_choices, rewards

LABELS = [("dsc-001", "ann", 1), ("dsc-002", "ann", -1), ("dsc-001", "bob", -1), ("dsc-003", "bob", 0)]
ROWS = [dict(zip(("id", "annotator", "preference"), row, strict=True)) for row in LABELS]


def write(file, rows):
    if file.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    elif file.suffix == ".csv":
        file.write_text("\n".join([",".join(rows[0]), *(",".join(map(str, r.values())) for r in rows)]) + "\n")
    else:
        file.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return file


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_labels_of_every_form_are_the_same(tmp_path, kind):
    rows = d.bundled()[:3]
    found = d.load_labels(write(tmp_path / f"labels.{kind}", ROWS), rows)
    expected = {"ann": [1, -1, 0], "bob": [-1, 0, 0], "majority": [0, -1, 0]}
    assert {name: a.tolist() for name, a in found.items()} == expected
    named = write(tmp_path / f"named.{kind}", [{**r, "preference": "tie"} for r in ROWS])
    assert not any(a.any() for a in d.load_labels(named, rows).values())


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"id": "x", "annotator": "ann", "preference": 1}, "'id' is 'x', which is no comparison"),
        ({"id": "dsc-001", "annotator": "ann", "preference": 1}, "'ann' has labelled 'dsc-001' already"),
        ({"id": "dsc-003", "annotator": "ann", "preference": 3}, "'preference' is .?3.?; 1, -1, 0"),
    ],
)
def test_a_wrong_label_is_one_sentence(tmp_path, kind, row, words):
    with pytest.raises(DataError, match=rf"labels\.{kind}, (line|row) \d: {words}"):
        d.load_labels(write(tmp_path / f"labels.{kind}", [*ROWS, row]), d.bundled())


@pytest.mark.parametrize(
    ("name", "content"), [("a.parquet", "no"), ("a.jsonl", "{"), ("a.csv", "id\na,b\n"), ("a.x", "")]
)
def test_an_unreadable_file_is_one_sentence(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=name):
        d.load_labels(tmp_path / name, d.bundled())
    with pytest.raises(DataError, match="does not exist"):
        d.load_labels(tmp_path / "none.parquet", d.bundled())


def test_missing_cells_of_parquet_are_no_choice_and_numbers_are_ids(tmp_path):
    texts = {"prompt": "Hi", "response_1": "a", "response_0": "b"}
    rows = [{"id": i, **texts, "preference": p} for i, p in ((0, 1.0), (1, None), (2, float("nan")), (3, -1.0))]
    found = d.load_comparisons(write(tmp_path / "rows.parquet", rows))
    assert [(c.id, c.preference) for c in found] == [("0", 1), ("1", 0), ("2", 0), ("3", -1)]


def test_a_hub_set_is_read_where_datasets_is_there(monkeypatch):
    asked = []

    def load_dataset(name, split):
        asked.append((name, split))
        if name == "no/set":
            raise ConnectionError("the hub does not answer\nand a second line")
        return ROWS

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    found = d.load_labels("hub:some/labels:train", d.bundled())
    assert (found["ann"][:2].tolist(), asked) == ([1, -1], [("some/labels", "train")])
    with pytest.raises(DataError, match=r"^hub:no/set cannot be loaded: the hub does not answer$"):
        d.load_labels("hub:no/set", d.bundled())
    for bad in ("hub:", "hub:name", "hub:../x/y"):
        with pytest.raises(DataError, match="is no data set"):
            d.load_comparisons(bad)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match="needs datasets"):
        built("discretion", {"data": "hub:some/pairs"})


def test_options_that_do_not_fit_are_one_sentence(tmp_path):
    principles = tmp_path / "p.txt"
    principles.write_text("Be kind.\n")
    for options, words in (
        ({"oracle": "grader"}, "oracle=grader needs a model as its grader"),
        ({"oracle": "me"}, "option oracle is 'me'"),
        ({"principles": str(principles), "oracle": "rules"}, "rules decide the built-in principles only"),
        ({"annotator": "ann"}, "annotator is 'ann'"),
        ({"annotator": "rm:nowhere"}, "rm:nowhere: this is not a model folder"),
        ({"prior": 0}, "prior is 0"),
        ({"label": "best"}, "option label is 'best'"),
    ):
        with pytest.raises((DataError, ModelError), match=words):
            built("discretion", options)


@pytest.fixture
def reward_model(tiny_llama, tmp_path):
    """A folder with a random reward model of the tiny llama's form."""
    import torch
    from transformers import LlamaConfig, LlamaForSequenceClassification

    torch.manual_seed(0)
    about = {
        **tiny_llama.model.config.to_dict(),
        "num_labels": 1,
        "pad_token_id": tiny_llama.tokenizer.pad_token_id or 0,
    }
    config = LlamaConfig(**{k: v for k, v in about.items() if k not in ("architectures", "id2label", "label2id")})
    LlamaForSequenceClassification(config).save_pretrained(tmp_path / "rm")
    tiny_llama.tokenizer.save_pretrained(tmp_path / "rm")
    return tmp_path / "rm"


def test_a_reward_model_annotates(reward_model, folders):
    rows = d.bundled()[:12]
    found = rewards(reward_model, rows)
    alone = np.concatenate([rewards(reward_model, [row]) for row in rows])
    np.testing.assert_allclose(found, alone, atol=1e-5)
    assert len(set(found.ravel().tolist())) == 24
    assert reward_choices(reward_model, rows) == np.sign(found[:, 0] - found[:, 1]).astype(int).tolist()
    task = make_task(built("discretion", {"annotator": f"rm:{reward_model}"}), limit=5)
    drawn = [next(c for c in d.bundled() if c.id == s.id) for s in task.dataset]
    assert [s.metadata["reference"] for s in task.dataset] == reward_choices(reward_model, drawn)
    with pytest.raises(ModelError, match=r"no reward model|has 2 outputs"):
        rewards(folders / "chatty", rows)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("A", "A"),
        (' "B".', "B"),
        ("**NA**", "NA"),
        ("N/A", "NA"),
        ("Response A is better.", "A"),
        ("The answer is: B", "B"),
        ("A is better", "A"),
        ("B\n\nbecause it is short", "B"),
    ],
)
def test_a_label_is_read(text, label):
    assert read_label(text) == label


@pytest.mark.parametrize(
    "text", ["", "A better answer would be C", "I like A", "Bad", "a", "As an AI", "A's", "Neither"]
)
def test_what_is_no_label_is_not_read(text):
    with pytest.raises(ValueError, match="does not begin"):
        read_label(text)


def test_labels_among_first_tokens():
    found = first_token_scores({" A": np.log(0.25), '"A': np.log(0.25), "N": np.log(0.125), "The": np.log(0.0625)})
    np.testing.assert_allclose(np.exp(found), [0.5, 0.0625, 0.125])
