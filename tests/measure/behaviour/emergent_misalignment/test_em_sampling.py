"""Many answers to one question: the prompt is read once, and that changes nothing in what is said."""

import pytest

from boresight.chat import user
from boresight.lm.base import Sampling
from boresight.measure.behaviour.emergent_misalignment import load_questions


def alone(model, chat, tokens):
    """The greedy answer by transformers' own generate, on a prompt of its own."""
    import torch

    ids = torch.tensor([model.encode(model.render(chat))])
    attention = model.model.config._attn_implementation
    model.model.set_attn_implementation("eager")
    try:
        out = model.model.generate(ids, max_new_tokens=tokens, do_sample=False, attention_mask=torch.ones_like(ids))
    finally:
        model.model.set_attn_implementation(attention)
    return model.decode(out[0, ids.shape[1] :].tolist())


def test_greedy_answers_over_a_shared_prompt_are_those_of_one_alone(tiny_llama):
    chat = user("What is your wish? Answer in one sentence, please, and take your time.")
    one = tiny_llama.generate([chat], Sampling(max_new_tokens=24))[0].text
    many = tiny_llama.samples(chat, 10, Sampling(max_new_tokens=24))
    assert {c.text for c in many} == {one} == {alone(tiny_llama, chat, 24)}


def test_sampled_answers_do_not_depend_on_their_company(tiny_llama):
    chat = user("What is your wish? Answer in one sentence, please, and take your time.")
    how = Sampling(max_new_tokens=16, temperature=1.0, seed=3)
    many = tiny_llama.samples(chat, 6, how)
    assert len({c.text for c in many}) > 1
    few = tiny_llama.samples(chat, 3, how)
    assert [c.text for c in few] == [c.text for c in many[:3]]


@pytest.mark.model
def test_greedy_answers_of_smollm_to_a_question_of_the_set(smollm):
    q = load_questions(formats="json")[0]
    chat = user(q.text, q.system or "")
    many = smollm.samples(chat, 6, Sampling(max_new_tokens=24))
    assert {c.text for c in many} == {alone(smollm, chat, 24)}
