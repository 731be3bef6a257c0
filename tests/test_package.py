import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import boresight
from boresight import catalog
from boresight.errors import BoresightError, DataError, ModelError, OutputError

ROOT = Path(__file__).parents[1]


def loaded_by(statement: str) -> set[str]:
    code = f"import sys, json\n{statement}\nprint(json.dumps(sorted({{m.partition('.')[0] for m in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


HEAVY = {"torch", "transformers", "inspect_ai", "scipy", "numpy", "huggingface_hub", "tokenizers", "rich"}


@pytest.mark.parametrize("statement", ["import boresight", "import boresight.steer", "from boresight import catalog"])
def test_importing_loads_nothing_heavy(statement):
    assert not loaded_by(statement) & (HEAVY | {"yaml", "pydantic", "typer"})


@pytest.mark.parametrize(
    "statement",
    [
        "from boresight.steer.nudging import nudge_loop, need_nudging, repeats_earlier, cut_repetitions, Nudging",
        "from boresight.steer.urial import render_prompt, cut_at_stop, clean_reference, clean, build_prompt",
        "from boresight.measure.behaviour import text_health, instructions, refusal, facts",
        "from boresight.measure.latent.token_shift import shift_label, position_metrics, topk_metrics, token_shift",
        "from boresight.catalog import cards; cards()",
        "import boresight.cli",
    ],
)
def test_pure_functions_need_no_torch(statement):
    assert not loaded_by(statement) & {"torch", "transformers", "inspect_ai", "huggingface_hub"}


def test_the_public_names_are_these():
    assert boresight.__all__ == ["__version__", "audit", "compare", "load", "steer"]
    for name in boresight.__all__:
        assert getattr(boresight, name)
    with pytest.raises(AttributeError, match="nothing"):
        boresight.nothing  # noqa: B018


def test_steer_names_its_methods_and_only_those():
    assert all(isinstance(getattr(boresight.steer, name), type) for name in boresight.steer.__all__)
    with pytest.raises(AttributeError, match="Push"):
        boresight.steer.Push  # noqa: B018


def test_every_error_ends_with_2():
    assert {e.exit_code for e in (BoresightError, DataError, ModelError, OutputError)} == {2}


@pytest.mark.parametrize("slug", catalog.METHODS)
def test_a_method_has_its_four_touches(slug):
    """Module with a card, line in the catalog, tests, docs page (CONTRIBUTING.md)."""
    card = catalog.card(slug)
    assert card.slug == slug
    assert card.room in ("audit", "steer", "train", "curate", "match", "formal", "agents")
    assert card.summary.endswith((".", "?"))
    assert card.paper
    assert card.example.startswith("boresight ")
    assert len(card.example) < 140
    module = import_module(catalog.METHODS[slug])
    assert module.__doc__
    stem = catalog.METHODS[slug].rpartition(".")[2]
    assert list((ROOT / "tests").rglob(f"test_{stem}*.py")) or "measure" in catalog.METHODS[slug]
    assert (ROOT / "docs" / "methods" / f"{slug}.md").is_file()
    assert slug in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert slug in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")


def test_a_misspelt_method_gets_suggestions():
    with pytest.raises(DataError, match="nudging"):
        catalog.card("nudgin")


def test_no_path_of_a_machine_is_in_the_tree():
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if files.returncode:
        pytest.skip("not a git checkout")
    bad = re.compile(r"/(?:root|Users|work)/\w")
    for name in filter(None, files.stdout.split("\0")):
        path = ROOT / name
        if path.suffix in (".py", ".md", ".toml", ".yml", ".yaml", ".jinja", "") and path.is_file():
            assert not bad.search(path.read_text(encoding="utf-8")), name
