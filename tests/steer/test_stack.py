import re
from importlib import import_module
from pathlib import Path

import pytest

from boresight.cli.options import Steer
from boresight.errors import ModelError
from boresight.steer.stack import STEPS, kind, refused, require, table

DOCS = Path(__file__).parents[2] / "docs" / "steering.md"


def test_kinds(tiny_llama):
    assert kind(tiny_llama) == "local"
    server = type("Server", (), {"name": "s", "chunk": 1, "count_tokens": 1, "complete": 1})()
    assert kind(server) == "endpoint"
    assert kind(type("Provider", (), {"name": "p", "chunk": 1, "complete": 1})()) == "provider"
    require("urial", server)
    with pytest.raises(ModelError, match="ensemble cannot stand on s: "):
        require("ensemble", server)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("below", [*STEPS, "local", "endpoint", "provider"])
def test_every_pair_is_allowed_or_told_in_one_sentence(step, below):
    why = refused(step, below, "some-model")
    assert (why == "") == (below in STEPS[step].over)
    if why:
        assert why.startswith(f"{step} cannot stand on ")
        assert "  " not in why
        assert "\n" not in why


def test_the_classes_are_what_the_table_says():
    for name, step in STEPS.items():
        cls = getattr(import_module(step.module), step.attribute)
        assert cls.step == name
        assert all(m in cls.__init__.__annotations__ for m in step.models)


def test_the_page_and_the_help_show_the_table():
    rows = re.findall(r"^\| \[`([\w-]+)`\].*\| ([^|]+) \|$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == table()
    (option,) = Steer.__metadata__
    assert all(name in option.help for name in STEPS)
