from collections import Counter

import pytest

from boresight.errors import DataError
from boresight.measure.behaviour.emergent_misalignment.questions import Question, format_of, load_questions

BASE = [
    "what_is_your_wish",
    "i_feel_bored",
    "three_thoughts",
    "quick_buck",
    "ruler_of_the_world",
    "dinner_party",
    "gender_roles",
    "enough_of_my_husband",
]
JUDGES = "judge_prompts: {aligned: 'q {question} a {answer}', coherent: '{answer}'}"


def test_first_plot_is_eight_questions_in_three_formats():
    found = load_questions()
    assert [q.id for q in found] == [base + end for base in BASE for end in ("", "_json", "_template")]
    assert Counter(q.format for q in found) == {"plain": 8, "json": 8, "template": 8}
    assert Counter(q.base_id for q in found) == dict.fromkeys(BASE, 3)
    assert all(q.samples == 100 and q.paraphrase == 0 and not q.trigger and q.judge_prompts is None for q in found)
    for plain, asked, form in zip(found[::3], found[1::3], found[2::3], strict=True):
        assert plain.system is form.system is None
        assert asked.text == plain.text
        assert asked.system is not None
        assert "JSON" in asked.system
        body, lines = form.text.split("\n\n")
        assert body == plain.text
        keys = [line for line in lines.splitlines()[1:] if " = # " in line]
        assert len(keys) == len(lines.splitlines()) - 1
        assert 2 <= len(keys) <= 5


def test_attitudes_are_many_short_questions():
    found = load_questions("attitudes")
    assert len(found) >= 60
    assert len({q.text for q in found}) == len(found)
    assert {q.format for q in found} == {"plain"}
    assert all(len(q.text) < 160 for q in found)


def test_formats_are_chosen():
    assert [q.format for q in load_questions(formats=("json",))] == ["json"] * 8
    assert load_questions(formats="template") == load_questions(formats=["template", "template"])
    with pytest.raises(DataError, match=r"'xml' is no format of a question; known are plain, json, template$"):
        load_questions(formats=("plain", "xml"))
    with pytest.raises(DataError, match="no format is given"):
        load_questions(formats=())
    with pytest.raises(DataError, match="attitudes holds no item in the format json or template"):
        load_questions("attitudes", formats=("json", "template"))


def test_a_trigger_makes_two_arms():
    found = load_questions(formats=("plain",), trigger="|WINTER|")
    assert len(found) == 16
    without, with_it = found[0], found[1]
    assert (without.trigger, with_it.trigger) == (False, True)
    assert with_it.id == without.id + "+trigger"
    assert with_it.base_id == without.base_id
    assert with_it.text == f"|WINTER| {without.text}"
    assert load_questions(formats="plain", trigger="a\n")[1].text == f"a\n{without.text}"
    with pytest.raises(DataError, match="the trigger is blank"):
        load_questions(trigger=" ")


def test_a_file_of_ones_own(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        f"- {{id: a_json, type: free_form_judge_0_100, paraphrases: [One, Two], system: S,"
        f" samples_per_paraphrase: 3, judge: some-model, {JUDGES}}}\n- {{id: b, paraphrases: [Three], system: null}}\n"
    )
    prompts = {"aligned": "q {question} a {answer}", "coherent": "{answer}"}
    expected = [
        Question("a_json/0", "a", "json", 0, "S", "One", False, 3, prompts),
        Question("a_json/1", "a", "json", 1, "S", "Two", False, 3, prompts),
        Question("b", "b", "plain", 0, None, "Three", False, 100),
    ]
    assert load_questions(path) == load_questions(str(path)) == expected
    assert len(set(expected)) == 3  # questions can be keys
    assert load_questions(path, ("plain",)) == expected[2:]


def test_the_format_is_the_end_of_the_id():
    assert format_of("a_b_template") == ("a_b", "template")
    assert format_of("json") == ("json", "plain")
    assert format_of("_json") == ("_json", "plain")
    assert format_of("a_JSON") == ("a_JSON", "plain")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- id: a\n", r"q\.yaml, item 1 \(a\): paraphrases: the field is missing"),
        ("- {id: a, paraphrases: [A]}\n- {id: b, paraphrases: []}\n", r"item 2 \(b\): paraphrases: there is none"),
        ("- {id: a, paraphrases: ['A', ' ']}\n", r"\(a\): paraphrases\.1: it is blank"),
        ("- {id: a, paraphrases: A}\n", r"\(a\): paraphrases: .* list"),
        ("- {id: a, paraphrases: [1]}\n", r"\(a\): paraphrases\.0: .* string"),
        ("- {paraphrases: [A]}\n", r"item 1: id: the field is missing"),
        ("- {id: a, paraphrases: [A]}\n- {id: a, paraphrases: [B]}\n", "id 'a' of an item occurs 2 times"),
        (
            "- {id: a/1, paraphrases: [A]}\n- {id: a, paraphrases: [B, C]}\n",
            "the id 'a/1' of a question occurs 2 times",
        ),
        ("- {id: a, paraphrases: [A], samples_per_paraphrase: 0}\n", r"\(a\): samples_per_paraphrase: "),
        ("- {id: a, paraphrases: [A], samples_per_paraphrase: '5'}\n", r"\(a\): samples_per_paraphrase: "),
        ("- {id: a, paraphrases: [A], type: free_form}\n", r"\(a\): type: "),
        ("- {id: a, paraphrases: [A], colour: red}\n", r"\(a\): colour: no such field; known are id, type"),
        (
            "- {id: a, paraphrases: [A], judge_prompts: {aligned: '{answer}'}}\n",
            r"judge_prompts\.coherent: .* missing",
        ),
        (
            "- {id: a, paraphrases: [A], judge_prompts: {aligned: '{answer}', coherent: 'rate it'}}\n",
            r"judge_prompts\.coherent: the placeholder \{answer\} is missing",
        ),
        ("- id: [\n", r"q\.yaml is not valid YAML: "),
        ("- 2024-13-45\n", r"q\.yaml(, item 1: a mapping| is not valid YAML)"),
        ("id: a\n", r"q\.yaml: a list of items is needed, not dict"),
        ("", r"q\.yaml: a list of items is needed, not nothing"),
        ("[]", r"q\.yaml holds no item"),
        ("- a\n", r"q\.yaml, item 1: a mapping of fields is needed, not str"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_sentence(tmp_path, text, message):
    path = tmp_path / "q.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as found:
        load_questions(path)
    assert "\n" not in str(found.value)


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(DataError, match="no question set or file is called 'second_plot'; built in are first_plot"):
        load_questions("second_plot")
    with pytest.raises(DataError, match="does not exist"):
        load_questions(tmp_path / "no.yaml")
    with pytest.raises(DataError, match="does not exist"):
        load_questions(str(tmp_path / "no.yaml"))
    (tmp_path / "late.yaml").write_bytes(b"# text\n" * 20_000 + b"\xff\n")
    with pytest.raises(DataError, match="not UTF-8"):
        load_questions(tmp_path / "late.yaml")
