import pytest

from boresight.errors import DataError, ModelError
from boresight.steer.policy import Loader, check_stack, load, parse_step, read_policy


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
    assert parse_step(text) == (*step, f"--steer {step[0]}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nudging:gamma", "key=value"),
        ("nudging:=3", "key=value"),
        ("nudge", "no steering method is called 'nudge'; did you mean nudging"),
        ("nudging", "--steer nudging: nudger is missing"),
        ("nudging:nudger=a,gama=0.3", "no setting 'gama'; did you mean gamma"),
        ("nudging:nudger=3", "nudger is 3; the name of a model is needed"),
        ("nudging:nudger=a,gamma=abc", "gamma is 'abc'; a number like 0.3 is needed"),
        ("nudging:nudger=a,gamma=true", "gamma is True"),
        ("nudging:nudger=a,base_chunk=4.5", "base_chunk is 4.5; a whole number like 16 is needed"),
        ("nudging:nudger=a,exact_stop=1", "exact_stop is 1; true or false is needed"),
        ("urial:max_new_tokens=many", "max_new_tokens is 'many'"),
        ("nudging:nudger=a,gamma=[1", "cannot be read as YAML"),
        ("nudging:nudger=a,gamma=0.3,gamma=0.4", "gamma is given twice"),
        ("nudging:nudger=a,gamma=1.5", "--steer nudging: gamma is 1.5; it must lie in"),
        ("nudging:nudger=a,base_chunk=1", "base_chunk is 1; it must be at least 2"),
        ("nudging:nudger=a,max_rounds=0", "max_rounds is 0; it must be at least 1"),
        ("nudging:nudger=a,word_mode=words", "word_mode is 'words'; one of space, unicode"),
        ("nudging:nudger=a,mode=fast", "mode is 'fast'; one of reference, cached, speculative"),
        ("nudging:nudger=a,mode=reference,exact_stop=false", "reference mode drafts the whole chunk"),
        ("nudging:nudger=a,chat_template=nowhere.jinja", "nowhere.jinja cannot be read: No such file or directory$"),
        ("urial:template=v9", "--steer urial: template is 'v9'; one of backticks, v5, v6"),
        ("urial:prompt=nowhere", "--steer urial: no prompt or file is called 'nowhere'"),
        ("urial:temperature=-1", "temperature is -1; it must be 0 or greater"),
        ("urial:repetition_penalty=0", "repetition_penalty is 0; it must be greater than 0"),
        ("ensemble:partner=a,top=0", "top is 0; it must be at least 1"),
        ("proxy-tuning:tuned=a,untuned=b,max_new_tokens=0", "max_new_tokens is 0; it must be at least 1"),
    ],
)
def test_bad_steps_are_found_before_a_model_is_loaded(text, message):
    with pytest.raises(DataError, match=message):
        Loader().subject("no-such-model", [text])


def test_a_policy_file(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text("model: gemma-3-270m\nsteer:\n  - urial:\n  - nudging: {nudger: m, gamma: 0.2}\n")
    model, steps = read_policy(path)
    assert model == "gemma-3-270m"
    assert [step[:2] for step in steps] == [("urial", {}), ("nudging", {"nudger": "m", "gamma": 0.2})]
    assert [step.where for step in steps] == [f"{path}: step 1 (urial)", f"{path}: step 2 (nudging)"]
    check_stack(steps)


def test_a_policy_file_may_stand_on_another(tmp_path):
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "urial.yaml").write_text("model: m\nsteer: [urial: {prompt: urial-help}]\n")
    (tmp_path / "top.yaml").write_text("model: below/urial.yaml\nsteer: [nudging: {nudger: n}]\n")
    model, steps = read_policy(tmp_path / "top.yaml")
    assert (model, [step.name for step in steps]) == ("m", ["urial", "nudging"])
    (tmp_path / "below" / "urial.yaml").write_text("model: ../top.yaml\n")
    with pytest.raises(DataError, match=r"top\.yaml stands on itself"):
        read_policy(tmp_path / "top.yaml")


def test_a_message_names_file_step_and_key(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text("model: no-such-model\nsteer:\n  - urial:\n  - nudging: {nudger: m, gamma: high}\n")
    with pytest.raises(DataError) as error:
        load(path)
    assert str(error.value) == f"{path}: step 2 (nudging): gamma is 'high'; a number like 0.3 is needed"


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (["nudging:nudger=a", "urial"], "urial cannot stand on nudging: urial puts a prompt before .* written by two"),
        (["nudging:nudger=a", "nudging:nudger=b"], "nudging cannot stand on nudging"),
        (["urial", "urial"], "urial cannot stand on urial: .* already reads a prompt of its own"),
        (["ensemble:partner=a", "nudging:nudger=b"], "nudging cannot stand on ensemble"),
        (["urial", "ensemble:partner=a"], "ensemble cannot stand on urial"),
        (["urial", "proxy-tuning:tuned=a,untuned=b"], "proxy-tuning cannot stand on urial"),
        (["urial", "nudging:nudger=a", "urial"], "urial cannot stand on nudging"),
        (["urial:max_new_tokens=9", "nudging:nudger=a"], "--steer urial: max_new_tokens has no effect under nudging"),
        (["nudging:nudger=p.yaml"], "nudger is a policy file; a model of its own is needed"),
    ],
)
def test_what_cannot_stand_is_told_in_a_sentence_before_a_model_is_loaded(steps, message):
    with pytest.raises(DataError, match=message) as error:
        Loader().subject("no-such-model", steps)
    assert "\n" not in str(error.value)


def test_the_same_stack_from_yaml_and_from_the_command_line(tmp_path, tiny_gemma3, tiny_llama):
    path = tmp_path / "p.yaml"
    path.write_text("model: base\nsteer:\n  - urial: {prompt: zero-shot}\n  - nudging: {nudger: small, gamma: 0.4}\n")
    loader = Loader()
    loader._models = {"base": tiny_gemma3, "small": tiny_llama}
    typed = loader.subject("base", ["urial:prompt=zero-shot", "nudging:nudger=small,gamma=0.4"])
    written = loader.subject(path)
    half = tmp_path / "half.yaml"
    half.write_text("model: base\nsteer: [urial: {prompt: zero-shot}]\n")
    mixed = loader.subject(half, ["nudging:nudger=small,gamma=0.4"])
    assert written.describe() == typed.describe() == mixed.describe()
    assert typed.name == "tiny-gemma3+urial+nudging"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steer: []", "model"),
        ("model: a\ncolour: red", "no key 'colour'; a policy has"),
        ("model: [", "not valid YAML"),
        ("[" * 3000, "not valid YAML"),
        ("model: a\nsteer: urial", "'steer' is 'urial'"),
        ("model: a\nsteer: [{urial: {}, nudging: {}}]", "step 1 must be one {name"),
        ("model: a\nsteer: [urial: {}, nudging]", "step 2 is 'nudging'"),
        ("model: [1]", "'model' is"),
        ("model: ''", "'model' is ''; the name of a model is needed"),
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
