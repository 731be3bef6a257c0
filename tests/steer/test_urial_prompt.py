import subprocess
import sys

import numpy as np
import pytest

from boresight.errors import DataError
from boresight.steer.urial import TEMPLATES, VARIANTS, UrialPrompt, build_prompt, render_prompt
from boresight.steer.urial.prompt import most_similar

SMALL = UrialPrompt("small", "Answers stand under {answer}.\n", (("Is it?", "Yes, it is."), ("Why?", "Because.")))


@pytest.mark.parametrize("variant", VARIANTS)
def test_shipped_prompts_load_and_render(variant):
    prompt = UrialPrompt.load(variant)
    assert prompt == UrialPrompt.load(VARIANTS[variant])
    for name, template in TEMPLATES.items():
        prefix = prompt.prefix(name)
        assert "{query}" not in prefix
        assert "{answer}" not in prefix
        assert prompt.render(["Hello?"], name) == render_prompt(prefix, ["Hello?"], name)
        assert not prompt.system or all(f'"{heading}"' in prefix for heading in template.headings)
    assert len(prompt.hash()) == 12


def test_the_variants_differ_in_what_they_should():
    shipped = {variant: UrialPrompt.load(variant) for variant in VARIANTS}
    full = shipped["urial"].examples
    assert len(full) == 3
    helpful = shipped["urial-help"].examples
    assert (helpful[0], helpful[2]) == (full[0], full[2])
    assert helpful[1] != full[1]
    assert shipped["urial-1shot"].examples == full[:1]
    assert shipped["inst-only"].examples == ()
    assert len({shipped[v].system for v in VARIANTS if v != "zero-shot"}) == 1
    assert shipped["zero-shot"].prefix() == ""
    assert [q for q, _ in shipped["vanilla-icl"].examples] == [q for q, _ in full]
    assert all(len(a) < 120 for _, a in shipped["vanilla-icl"].examples)
    pool = shipped["retrieval-icl"]
    assert pool.retrieve == 3
    assert len(pool.examples) >= 12
    assert "```" not in pool.prefix()


def test_the_prefix_is_the_conversation_so_far():
    prefix = SMALL.prefix()
    assert prefix == (
        "Answers stand under # Answer:.\n\n# Query:\n```\nIs it?\n```\n\n# Answer:\n```\nYes, it is.\n```\n"
        "\n# Query:\n```\nWhy?\n```\n\n# Answer:\n```\nBecause.\n```\n"
    )


def test_a_text_file_is_the_prefix_as_it_stands(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("Some system text\n\n", encoding="utf-8")
    prompt = UrialPrompt.load(path)
    assert prompt.name == "mine"
    assert prompt.render(["Q"]) == "Some system text\n\n\n# Query:\n```\nQ\n```\n\n# Answer:\n```\n"


def test_a_yaml_file_is_read(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("system: Be {answer}\nexamples:\n- {query: q, answer: a}\n", encoding="utf-8")
    assert UrialPrompt.load(str(path)) == UrialPrompt("mine", "Be {answer}", (("q", "a"),))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("system: [", "not valid YAML"),
        ("- a", "not a prompt"),
        ("system: s\nexemples: []", "not a prompt"),
        ("system: 3", "system is a text"),
        ("system: s\nexamples: text", "examples is a list"),
        ("examples:\n- {query: q}", "example 1 has an empty answer"),
        ("examples:\n- q", "example 1 is not a pair"),
        ("examples:\n- 3", "example 1 is not a pair"),
        ("examples:\n- {query: q, answer: a}\nretrieve: 2", "from 0 to 1"),
        ("retrieve: true", "retrieve is True"),
    ],
)
def test_bad_prompt_files(tmp_path, text, message):
    path = tmp_path / "bad.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message) as error:
        UrialPrompt.load(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_prompts_that_are_not_there(tmp_path):
    with pytest.raises(DataError, match="boresight-3shot-v1"):
        UrialPrompt.load("boresight-3shot-v9")
    with pytest.raises(DataError, match="no prompt or file"):
        UrialPrompt.load(tmp_path)
    (tmp_path / "latin.txt").write_bytes(b"\xe9")
    with pytest.raises(DataError, match="cannot be read"):
        UrialPrompt.load(tmp_path / "latin.txt")


def test_build_prompt_checks_and_counts(capsys, tiny_llama):
    prompt = build_prompt("Be kind.", [("q", "a"), {"query": "r", "answer": "b"}])
    assert prompt.examples == (("q", "a"), ("r", "b"))
    assert "about" in capsys.readouterr().out
    prompt = build_prompt("Be kind.", [("q", "a")], tokenizer=tiny_llama)
    assert f"{prompt.num_tokens(tiny_llama.tokenizer)} tokens" in capsys.readouterr().out
    assert prompt.num_tokens(tiny_llama.tokenizer.backend_tokenizer) == len(tiny_llama.encode(prompt.prefix()))
    assert build_prompt("Be kind.", [], k=0).prefix() == "Be kind.\n"
    assert build_prompt("Be kind.", [("q", "a"), ("r", "b")], k=1).examples == (("q", "a"),)


@pytest.mark.parametrize(
    ("examples", "k", "message"),
    [
        ([], None, "at least one"),
        ([("q", "")], None, "example 1 has an empty answer"),
        ([("q", "a"), (" ", "a")], None, "example 2 has an empty query"),
        ([("q", "a", "b")], None, "not a pair"),
        (["qa"], None, "not a pair"),
        ([("q", 1)], None, "not a pair"),
        ([("q", "a")], 2, "k is 2"),
    ],
)
def test_build_prompt_refuses(examples, k, message):
    with pytest.raises(ValueError, match=message):
        build_prompt("s", examples, k=k)


def test_nothing_of_this_loads_torch():
    code = (
        "import sys; from boresight.steer.urial import *; UrialPrompt.load('urial').render(['q']); clean('a');"
        "build_prompt('s', [('q', 'a')]); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, stdout=subprocess.DEVNULL).returncode == 0


def test_most_similar_puts_the_nearest_last():
    pool = np.array([[1, 0], [0, 1], [0.6, 0.8], [0.8, 0.6]])
    assert most_similar(pool, np.array([1.0, 0.0]), 3) == [2, 3, 0]
