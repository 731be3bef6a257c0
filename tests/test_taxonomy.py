import importlib.util
import shlex
import sys
from pathlib import Path

import pytest

from boresight import taxonomy
from boresight.doctor import examine_library
from boresight.errors import DataError
from boresight.taxonomy import Leaf, Library, leaves, libraries, surveys

ROOT = Path(__file__).parents[1]
ALL = leaves()


def by_name(leaf: Leaf) -> str:
    return f"{leaf.survey}-{leaf.name}"


def generated():
    spec = importlib.util.spec_from_file_location("generate_docs", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_seven_surveys_are_there():
    assert [s.slug for s in surveys()] == [
        "shen2023",
        "yao2023",
        "lu2025",
        "wang2023",
        "liu2023",
        "yu2025",
        "shen2024",
    ]


def branches(survey: str) -> list[str]:
    return list(dict.fromkeys(leaf.branch for leaf in leaves(survey)))


def test_counts_of_the_surveys():
    assert len(branches("shen2023")) == 7
    assert (len(branches("liu2023")), len(leaves("liu2023"))) == (7, 29)
    assert sum(branch.startswith("Level ") for branch in branches("yao2023")) == 3
    (schwartz,) = [leaf for leaf in ALL if leaf.name.endswith("Schwartz")]
    assert len(set(schwartz.items)) == 10


def test_trl_has_seven_stable_trainers():
    (trl,) = [library for library in libraries() if library.name == "trl"]
    assert len(dict(trl.names)["stable trainers"]) == 7
    assert "PPOTrainer" in dict(trl.gone)


def test_no_leaf_is_there_twice():
    keys = [(leaf.survey, leaf.branch, leaf.name) for leaf in ALL]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("leaf", ALL, ids=by_name)
def test_a_leaf_is_complete(leaf):
    assert leaf.feature
    assert leaf.status in ("ready", "planned", "not offered")
    if leaf.status == "ready":
        assert leaf.entry
        assert not leaf.reason
    else:
        assert not leaf.entry
        assert not leaf.command
        assert leaf.reason.endswith(".")
        assert len(leaf.reason.split()) >= 4


READY = [leaf for leaf in ALL if leaf.status == "ready"]


@pytest.mark.parametrize("leaf", READY, ids=by_name)
def test_what_is_ready_can_be_imported(leaf):
    assert leaf.problem() == ""
    assert leaf.now() == ("ready", "")


@pytest.mark.parametrize("command", sorted({leaf.command for leaf in READY if leaf.command}))
def test_what_is_ready_has_a_verb_with_its_options(command, capsys):
    from boresight.cli import main

    words = shlex.split(command)
    assert main([words[0], "--help"]) == 0
    shown = capsys.readouterr().out
    for word in words:
        assert not word.startswith("--") or word in shown


def test_a_ready_leaf_without_its_module_is_broken_or_needs_its_extra():
    leaf = Leaf("s", "b", "l", "f", "ready", entry="boresight.no_such_module:thing")
    assert leaf.now()[0] == "broken"
    assert "no_such_module" in leaf.now()[1]
    assert Leaf("s", "b", "l", "f", "ready", entry="boresight.stats:no_such_name").now()[0] == "broken"
    assert Leaf("s", "b", "l", "f", "ready").now()[0] == "broken"
    needy = Leaf("s", "b", "l", "f", "ready", entry="boresight.no_such_module:thing", extra="train")
    assert needy.now() == ("needs", "boresight[train]")


def test_filters():
    assert {leaf.status for leaf in leaves("shen2023", "not offered")} == {"not offered"}
    assert leaves("shen2024", "ready")
    with pytest.raises(DataError, match=r"did you mean liu2023\?"):
        leaves("liu2032")
    with pytest.raises(DataError, match=r"did you mean planned\?"):
        leaves(status="plan")
    with pytest.raises(DataError, match="there are ready"):
        leaves(status="xyz")


def test_the_file_is_the_only_source_of_the_pages():
    for path, page in generated().PAGES.items():
        assert path.read_text(encoding="utf-8") == page(), f"{path.name} is stale: run docs/generate.py"


def test_reading_the_file_loads_nothing_heavy(tmp_path):
    import subprocess

    code = "import sys; from boresight import taxonomy; taxonomy.leaves(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_every_status_that_can_be_asked_for_is_one_that_can_come():
    assert set(taxonomy.STATUSES) == {"ready", "needs", "planned", "not offered", "broken"}


# -- libraries ------------------------------------------------------------------------------------------------------


def test_inspect_offers_all_that_is_listed():
    (inspect,) = [library for library in libraries() if library.name == "inspect_ai"]
    (check,) = examine_library(inspect)
    assert check.status == "ok"
    assert "model_graded_qa" in check.found


def test_a_library_that_is_not_here_names_its_extra_and_what_is_gone_from_it():
    missing, gone = examine_library(Library("no_such_library", ">=1", "train", (), (("OldTrainer", "boresight x"),)))
    assert missing.found == "needs boresight[train]"
    assert gone.name == "not in no_such_library"
    assert "OldTrainer: boresight x" in gone.found


def test_a_name_that_a_library_lost_is_told():
    (check,) = examine_library(Library("typer", ">=0.1", "", (("things", ("typer:Typer", "typer:NoSuchThing")),)))
    assert check.status == "warn"
    assert "Typer" in check.found
    assert "missing are NoSuchThing" in check.advice
    (old,) = examine_library(Library("typer", ">=99", "", (("things", ("typer:Typer",)),)))
    assert "typer>=99" in old.advice
