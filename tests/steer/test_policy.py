import pytest

from boresight.errors import DataError, ModelError
from boresight.steer.policy import Loader, check_step, load, parse_step, read_policy


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("urial", ("urial", {})),
        ("nudging:nudger=a/b,gamma=0.3", ("nudging", {"nudger": "a/b", "gamma": 0.3})),
        ("urial:penalize_prefix=true,max_new_tokens=9", ("urial", {"penalize_prefix": True, "max_new_tokens": 9})),
        ("urial:prompt=one, two", ("urial", {"prompt": "one, two"})),  # a comma that starts no key belongs to the value
        ("nudging:answer_start=", ("nudging", {"answer_start": ""})),
        ("nudging:question_prefix=Question: ", ("nudging", {"question_prefix": "Question: "})),
    ],
)
def test_parse_step(text, step):
    assert parse_step(text) == step


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nudging:gamma", "key=value"),
        ("nudging:=3", "key=value"),
        ("nudge", "no steering method is called 'nudge'; there are nudging, urial"),
        ("nudging", "needs nudger="),
        ("nudging:nudger=a,gama=0.3", "no setting 'gama'; it takes nudger, gamma"),
        ("nudging:nudger=3", "must be a model spec"),
        ("nudging:nudger=a,gamma=abc", "gamma is 'abc'; a value like 0.3 is needed"),
        ("nudging:nudger=a,gamma=true", "gamma is True"),
        ("nudging:nudger=a,base_chunk=4.5", "base_chunk is 4.5; a value like 16 is needed"),
        ("nudging:nudger=a,exact_stop=1", "exact_stop is 1; a value like True is needed"),
        ("urial:max_new_tokens=many", "max_new_tokens is 'many'"),
        ("nudging:nudger=a,gamma=[1", "cannot be read as YAML"),
    ],
)
def test_bad_steps_are_found_before_a_model_is_loaded(text, message):
    with pytest.raises(DataError, match=message):
        Loader().subject("no-such-model", [text])


def test_a_policy_file(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text("model: gemma-3-270m\nsteer:\n  - urial:\n  - nudging: {nudger: m, gamma: 0.2}\n")
    assert read_policy(path) == ("gemma-3-270m", [("urial", {}), ("nudging", {"nudger": "m", "gamma": 0.2})])
    check_step(read_policy(path)[1][1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steer: []", "model"),
        ("model: a\ncolour: red", "colour"),
        ("model: [", "not valid YAML"),
        ("[" * 3000, "not valid YAML"),
        ("model: a\nsteer: urial", "steer"),
        ("model: a\nsteer: [{urial: {}, nudging: {}}]", "one {name"),
        ("- a", "p.yaml"),
    ],
)
def test_bad_policy_files(tmp_path, text, message):
    path = tmp_path / "p.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_policy(path)


def test_a_path_is_a_spec_too(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        load(tmp_path / "p.yaml")
    with pytest.raises(ModelError, match="there is no folder"):
        load(tmp_path / "model")


def test_policy_files_that_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        read_policy(tmp_path / "no.yaml")
    with pytest.raises(DataError, match="cannot be read"):
        read_policy(tmp_path)


def test_a_value_out_of_range_is_the_users_error(tiny_gemma3, tiny_llama):
    loader = Loader()
    loader._models = {"base": tiny_gemma3, "small": tiny_llama}
    with pytest.raises(DataError, match=r"--steer nudging: gamma is 1.5"):
        loader.subject("base", ["nudging:nudger=small,gamma=1.5"])
    with pytest.raises(ModelError, match="no chat template"):
        loader.subject("small", ["nudging:nudger=base"])
    nudged = loader.subject("base", ["nudging:nudger=small,gamma=0.5"])
    assert nudged.base is tiny_gemma3
    assert nudged.settings.gamma == 0.5
