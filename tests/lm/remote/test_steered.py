"""Steering over a real server: nudging in reference mode, URIAL by its stop strings, and the one over the other."""

import threading
import warnings

import pytest

from boresight.chat import user
from boresight.errors import DataError, ModelError
from boresight.lm.base import LanguageModel, Sampling, SomeFailed
from boresight.lm.remote.inspect_model import InspectRemote
from boresight.steer.ensemble import Ensemble
from boresight.steer.nudging import Nudging
from boresight.steer.urial import Urial
from tiny_models import CHAT_TEMPLATE

CHATS = [user(text) for text in ("Why is the sky blue?", "Name three fruits.", "Say hello.")]


def zero(endpoint, **settings) -> Urial:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Urial(endpoint, prompt="zero-shot", **settings)


@pytest.mark.model
def test_answers_at_once_are_those_of_each_alone(endpoint, smollm):
    nudging = Nudging(endpoint, smollm, max_new_tokens=12)
    assert isinstance(nudging, LanguageModel)
    assert (nudging.mode, nudging.name) == ("reference", "smollm2+nudging")
    done, steps = {}, []
    together = nudging.generate(CHATS, on_done=lambda i, c: done.update({i: c}), on_step=steps.append)
    assert together == [done[i] for i in range(3)]
    assert sum(steps) > 0
    for chat, answer in zip(CHATS, together, strict=True):
        result = nudging.run(*nudging.prompts(chat))
        assert (result.text, result.stop_reason) == (answer.text, answer.trace.stop_reason)
        assert answer.prompt_tokens == endpoint.count_tokens(nudging.prompt_text(chat))
    assert {s.source for c in together for s in c.trace.spans} == {endpoint.name, smollm.name}
    about = nudging.describe()
    assert (about["endpoint"], about["nudger"]["model"]) == (endpoint.url, smollm.name)
    assert tuple(nudging.stream(*nudging.prompts(CHATS[0]))) == nudging.run(*nudging.prompts(CHATS[0])).segments
    stop = together[0].text[5:8]
    (cut,) = nudging.generate(CHATS[:1], Sampling(max_new_tokens=12, stop=(stop,)))
    assert cut.finish_reason == "stop_string"
    assert stop not in cut.text


@pytest.mark.model
def test_a_nudger_behind_a_server_gets_its_chat_template(endpoint, smollm, tiny_gemma3, tmp_path):
    by_server = Nudging(tiny_gemma3, endpoint, max_new_tokens=4, max_rounds=2)
    assert by_server.prompts(CHATS[0])[1].removeprefix("<|im_start|>system") != ""
    assert by_server.prompts(CHATS[0])[1] == smollm.render_template(CHATS[0])
    assert by_server.generate(CHATS[:2])[0].text
    file = tmp_path / "template.jinja"
    file.write_text(CHAT_TEMPLATE)
    by_file = Nudging(tiny_gemma3, endpoint, chat_template=str(file))
    assert by_file.prompts(CHATS[0])[1] == "<|im_start|>user\nWhy is the sky blue?<|im_end|>\n<|im_start|>assistant\n"
    with pytest.raises(DataError, match="cannot be read"):
        Nudging(tiny_gemma3, endpoint, chat_template=str(tmp_path / "no.jinja"))
    file.write_text("{{ nothing.at.all }}")
    with pytest.raises(ModelError, match="refused the chat"):
        Nudging(tiny_gemma3, endpoint, chat_template=str(file)).prompts(CHATS[0])


@pytest.mark.model
def test_what_a_server_cannot_do_is_told(endpoint, smollm):
    with pytest.raises(ValueError, match="mode is 'cached', which needs both models on this machine"):
        Nudging(endpoint, smollm, mode="cached")
    with pytest.raises(ValueError, match="a temperature needs mode=cached"):
        Nudging(endpoint, smollm).generate(CHATS, Sampling(temperature=1.0))
    with pytest.raises(ModelError, match=r"ensemble cannot stand on smollm2: .* runs on a server"):
        Ensemble(endpoint, smollm)
    provider = InspectRemote("mockllm/model")
    for steer in (lambda: Nudging(provider, smollm), lambda: Urial(provider)):  # type: ignore[arg-type]
        with pytest.raises(ModelError, match="answers chats only"):
            steer()
    with pytest.raises(ModelError, match="as its nudger, and mockllm/model is of the kind 'provider'"):
        Nudging(smollm, provider)


@pytest.mark.model
def test_a_run_that_is_stopped_or_fails_leaves_no_thread(endpoint, smollm):
    nudging = Nudging(endpoint, smollm, max_new_tokens=64)

    def stop(requests):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        nudging.generate(CHATS, on_step=stop)
    told = {}
    long = user("apples " * 4000)
    with pytest.raises(SomeFailed) as error:
        Nudging(endpoint, smollm, max_new_tokens=8).generate(
            [CHATS[0], long, CHATS[2]], on_done=lambda i, c: told.update({i: c})
        )
    assert set(error.value.failures) == {1}
    assert set(told) == {0, 2}
    assert not [t for t in threading.enumerate() if t.name.startswith("boresight nudging")]


@pytest.mark.model
def test_urial_behind_a_server(endpoint):
    with pytest.warns(UserWarning, match="repetition penalty counts the whole prompt"):
        Urial(endpoint, prompt="zero-shot")
    urial = zero(endpoint, repetition_penalty=1.0, max_new_tokens=24)
    (answer,) = urial.generate(CHATS[:1])
    raw = endpoint.complete([urial.prompt_text(CHATS[0])], Sampling(max_new_tokens=24, stop=("# Query", "# User")))[0]
    assert raw.text.strip().startswith(answer.text)
    assert "n_prefix_cached" not in answer.trace.detail
    reply = urial.reply("Name three fruits.")
    assert (reply.n_prefix_cached, reply.tokens_forwarded) == (None, None)
    assert reply.stop_reason in ("frame_end", "stop_string", "eos", "length")
    assert urial.describe()["endpoint"] == endpoint.url


@pytest.mark.model
def test_nudging_over_urial_behind_a_server(endpoint, smollm):
    urial = zero(endpoint)
    nudging = Nudging(urial, smollm, max_new_tokens=16)
    assert nudging.prompt_text(CHATS[1]) == urial.prompt_text(CHATS[1])
    (answer,) = nudging.generate(CHATS[1:2])
    assert answer.text
    assert all(s.role == "nudge" or "# Query" not in s.text for s in answer.trace.spans)
