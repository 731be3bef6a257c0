"""Token shift with models: random tiny ones, and the real template pair of the fixture."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from boresight.errors import DataError, ModelError, TokenizerMismatch
from boresight.lm.base import Sampling
from boresight.lm.local import LocalModel
from boresight.measure.latent.token_shift import score_answer, token_shift
from boresight.measure.latent.token_shift.metrics import COLUMNS, position_metrics
from boresight.measure.latent.token_shift.prompts import query_frame
from boresight.measure.latent.token_shift.vocabulary import common_vocabulary
from tiny_models import build_tiny_llama, local_model

PROMPTS = ["Is the sky blue?", "How many apples does Tom have, and why?", "Name a plant."]
PAIRS = json.loads((Path(__file__).parents[2] / "fixtures" / "token-shift" / "smollm2_pairs.json").read_text())


@pytest.fixture(scope="module")
def other():
    """A second random llama over the same tokenizer."""
    return local_model(*build_tiny_llama(seed=1), name="tiny-other")


def with_tokens(*added: str, name: str = "bigger", special: bool = True) -> LocalModel:
    """The tiny llama with further tokens at the end of its vocabulary."""
    model, tokenizer = build_tiny_llama(seed=2)
    tokenizer.add_tokens(list(added), special_tokens=special)
    torch.manual_seed(0)
    model.resize_token_embeddings(len(tokenizer))
    return local_model(model, tokenizer, name=name)


def the_same(a, b, tolerance=1e-4):
    assert [x.ids for x in a.answers] == [x.ids for x in b.answers]
    for name in COLUMNS:
        if a.positions[name].dtype.kind == "f":
            np.testing.assert_allclose(a.positions[name], b.positions[name], rtol=tolerance, atol=tolerance)
        else:
            assert a.positions[name].tolist() == b.positions[name].tolist()


def test_an_identity_pair_shifts_nothing(tiny_llama):
    report = token_shift(tiny_llama, tiny_llama, PROMPTS, base_template="chat", max_new_tokens=20)
    assert set(report.positions["label"]) == {"unshifted"}
    assert max(np.abs(report.positions[name]).max() for name in ("kl_ab", "kl_ba")) < 1e-6
    shares = report.summary()["shares"]["micro"]
    assert shares["unshifted"]["value"] == 1
    assert report.summary()["not_greedy"]["value"] == 0
    assert report.summary()["warnings"] == []


def test_answers_are_greedy_and_columns_those_of_plain_forwards(tiny_llama, other):
    report = token_shift(other, tiny_llama, PROMPTS, max_new_tokens=12)
    p = report.positions
    for i, (prompt, answer) in enumerate(zip(PROMPTS, report.answers, strict=True)):
        ids_a = tiny_llama.encode(tiny_llama.render([{"role": "user", "content": prompt}]))
        ids_b = other.encode(query_frame(prompt))
        rows = []
        for model, ids in ((other, ids_b), (tiny_llama, ids_a)):
            with model.session() as session:  # token by token: no packed pass
                rows.append(torch.stack([session.append(ids), *(session.append([t]) for t in answer.ids[:-1])]))
        assert answer.ids == rows[1].argmax(-1).tolist()
        expected = position_metrics(rows[0], rows[1], answer.ids)
        here = p["prompt_id"] == i
        assert p["t"][here].tolist() == list(range(len(answer.ids)))
        for name in COLUMNS:
            if expected[name].dtype.kind == "f":
                np.testing.assert_allclose(p[name][here], expected[name], rtol=1e-4, atol=1e-4)
            else:
                assert p[name][here].tolist() == expected[name].tolist()


@pytest.mark.parametrize("template", ["query", "raw", "chat"])
def test_batches_change_nothing(tiny_llama, other, template):
    how = {"base_template": template, "max_new_tokens": 10}
    whole = token_shift(other, tiny_llama, PROMPTS, batch_size=3, **how)
    the_same(token_shift(other, tiny_llama, PROMPTS, batch_size=1, **how), whole)
    turned = token_shift(other, tiny_llama, PROMPTS[::-1], batch_size=2, **how)
    assert [a.ids for a in turned.answers][::-1] == [a.ids for a in whole.answers]


def test_the_base_reads_its_template(tiny_llama, other):
    from boresight.measure.latent.token_shift import prompts

    side = prompts.side_of(other)
    chats = [[{"role": "user", "content": "Why {x}?"}]]
    read = {t: other.tokenizer.decode(prompts.base_prompts(side, chats, t)[0]) for t in ("query", "raw")}
    assert read == {"query": "# Query: \n ```Why {x}?``` \n\n \n# Answer: \n ```", "raw": "Why {x}?\n"}
    urial = other.tokenizer.decode(prompts.base_prompts(side, chats, "urial")[0])
    assert urial.endswith("# Query:\n```\nWhy {x}?\n```\n\n# Answer:\n```\n")
    assert urial.startswith("# Instruction\n")
    a, b = (token_shift(other, tiny_llama, PROMPTS, base_template=t, max_new_tokens=6) for t in ("query", "raw"))
    assert not np.allclose(a.positions["kl_ab"], b.positions["kl_ab"])


def test_two_calls_of_the_body_per_batch(tiny_llama, other):
    report = token_shift(other, tiny_llama, PROMPTS, max_new_tokens=8)
    calls = []
    hooks = [
        m.model.base_model.register_forward_hook(lambda *_, name=m.name: calls.append(name))
        for m in (tiny_llama, other)
    ]
    try:
        token_shift(other, tiny_llama, PROMPTS, answers=[a.ids for a in report.answers], batch_size=3)
    finally:
        for hook in hooks:
            hook.remove()
    assert sorted(calls) == ["tiny-llama", "tiny-other"]


def test_score_answer_gives_the_columns_of_position_metrics(tiny_llama, other):
    found = score_answer(other, tiny_llama, [5, 6, 7], [8, 9], [20, 21, 22, 23])
    assert tuple(found) == COLUMNS
    assert {len(column) for column in found.values()} == {4}
    assert len(score_answer(other, tiny_llama, [5], [8], [])["label"]) == 0


def test_given_answers_as_ids_and_as_text(tiny_llama, other):
    told = token_shift(other, tiny_llama, PROMPTS[:1], answers=["Tom has 3 apples"])
    ids = tiny_llama.tokenizer("Tom has 3 apples", add_special_tokens=False)["input_ids"]
    the_same(told, token_shift(other, tiny_llama, PROMPTS[:1], answers=[ids]))
    assert "".join(told.positions["token"]) == "Tom has 3 apples"
    assert told.settings["answers"] == "given"
    assert told.summary()["not_greedy"]["value"] > 0.01
    assert "not the aligned model's first choice" in told.summary()["warnings"][0]


def test_empty_answers_are_counted_and_in_no_mean(tiny_llama, other):
    ids = [20, 21, 22]
    report = token_shift(other, tiny_llama, PROMPTS, answers=[[], ids, ""])
    numbers = report.summary()
    assert (numbers["answers"], numbers["empty"], numbers["positions"]) == (3, 2, 3)
    assert set(report.positions["prompt_id"]) == {1}
    assert any("2 of 3 answers are empty" in line for line in numbers["warnings"])
    nothing = token_shift(other, tiny_llama, PROMPTS[:1], answers=[[]])
    assert nothing.summary()["shares"]["micro"]["shifted"]["value"] is None
    assert "nothing to compare" in nothing.headline()
    assert nothing.tokens() == []
    assert len(nothing.curve()["n"]) == 0
    assert "an empty answer" in nothing.html()
    assert json.loads(nothing.json())["positions"]["t"] == []


def test_the_end_token_is_a_position_of_its_own(tiny_llama, other):
    end = next(iter(tiny_llama.eos_ids))
    report = token_shift(other, tiny_llama, PROMPTS[:1], answers=[[20, 21, end]])
    assert report.positions["is_eos"].tolist() == [False, False, True]
    assert report.positions["token"][2] == "<|im_end|>"
    numbers = report.summary()
    assert numbers["shares"]["micro"]["shifted"]["n"] == 3
    assert numbers["shares_without_eos"]["micro"]["shifted"]["n"] == 2


def test_an_answer_beyond_the_context_is_cut_and_flagged(tiny_llama, other):
    room = tiny_llama.context - len(other.encode(query_frame(PROMPTS[0])))
    report = token_shift(other, tiny_llama, PROMPTS[:2], answers=[[20] * 600, [20] * 5])
    assert [a.truncated for a in report.answers] == [True, False]
    assert len(report.answers[0].ids) <= room
    assert report.summary()["truncated"] == 1
    with pytest.raises(ModelError, match=r"prompt 2 of 2 has \d+ tokens"):
        token_shift(other, tiny_llama, ["Hi", "word " * 600])


def test_a_pair_that_shares_no_tokenizer_is_refused(tiny_llama, tiny_gemma3):
    with pytest.raises(TokenizerMismatch, match=r"id 0 is '<\|endoftext\|>' and '<pad>'"):
        token_shift(tiny_llama, tiny_gemma3, PROMPTS)
    with pytest.raises(TokenizerMismatch):
        score_answer(tiny_llama, tiny_gemma3, [5], [5], [5])


def test_the_same_ids_cut_in_another_way_are_refused(tiny_llama):
    model, tokenizer = build_tiny_llama()
    core = json.loads(tokenizer.backend_tokenizer.to_str())
    core["model"]["merges"] = []
    tokenizer._tokenizer = type(tokenizer._tokenizer).from_str(json.dumps(core))
    with pytest.raises(TokenizerMismatch, match="into different tokens"):
        common_vocabulary(tiny_llama, local_model(model, tokenizer, name="other-merges"))


def test_further_special_tokens_of_the_aligned_model_are_masked(tiny_llama):
    bigger = with_tokens("<|a|>", "<|b|>")
    size = len(tiny_llama.tokenizer)
    assert common_vocabulary(tiny_llama, bigger) == size
    report = token_shift(tiny_llama, bigger, PROMPTS[:1], answers=[[20, 21, size, 22]])
    p = report.positions
    assert len(p["t"]) == 3  # the base cannot read what follows a token that it does not have
    assert report.answers[0].truncated
    assert p["label"][2] == "shifted"
    assert p["p_base"][2] == 0
    assert p["token"][2] == "<|a|>"
    assert (p["masked_mass"] > 0).all()
    assert np.isfinite(p["kl_ab"]).all()
    with pytest.raises(TokenizerMismatch, match="id"):
        token_shift(bigger, tiny_llama, PROMPTS)  # the base must not have more
    with pytest.raises(TokenizerMismatch):
        common_vocabulary(with_tokens("<|a|>"), with_tokens("<|b|>"))


def test_ids_that_no_token_has_do_not_shorten_the_vocabulary(tiny_llama):
    class Holes:
        """Ids as a tokenizer has them that was cut down and kept its numbers."""

        def __init__(self, whole):
            self.whole = whole

        def get_vocab(self):
            return {token: i for token, i in self.whole.get_vocab().items() if i != 40}

        def __len__(self):
            return len(self.get_vocab())

        def __call__(self, *given, **how):
            return self.whole(*given, **how)

    from types import SimpleNamespace

    holes = SimpleNamespace(name="holes", tokenizer=Holes(tiny_llama.tokenizer))
    assert common_vocabulary(holes, holes) == max(tiny_llama.tokenizer.get_vocab().values()) + 1


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"answers": ["x"]}, "1 answers for 3 prompts"),
        ({"top_k": 2}, "top_k is 2"),
        ({"base_template": "none"}, "query, raw, chat, urial"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"max_new_tokens": 0}, "max_new_tokens is 0"),
        ({"answers": [[5], [10**6], [5]]}, "answer 2 holds the token id 1000000"),
    ],
)
def test_arguments_that_do_not_fit(tiny_llama, how, message):
    with pytest.raises(DataError, match=message) as caught:
        token_shift(tiny_llama, tiny_llama, PROMPTS, **how)
    assert isinstance(caught.value, ValueError)


def test_prompts_that_do_not_fit(tiny_llama):
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    with pytest.raises(DataError, match="prompt 2 has 2 messages"):
        token_shift(tiny_llama, tiny_llama, ["Hi", chat])
    whole = token_shift(tiny_llama, tiny_llama, [chat], base_template="chat", max_new_tokens=3)
    assert whole.answers[0].prompt == "Hi"
    with pytest.raises(DataError, match="at least one"):
        token_shift(tiny_llama, tiny_llama, [])


class Behind:
    """A policy as `steer` has them: a text in front of a model's prompts."""

    def __init__(self, base: LocalModel, text: str) -> None:
        self.base, self.text, self.name = base, text, f"{base.name}+behind"

    def prompt_text(self, chat) -> str:
        return f"{self.text}{chat[-1]['content']}\n"

    def generate(self, chats, sampling=None, **how):
        return self.base.complete([self.prompt_text(chat) for chat in chats], sampling, **how)

    def describe(self):
        return {**self.base.describe(), "policy": "behind"}


def test_a_policy_on_either_side_reads_its_own_prompt(tiny_llama):
    policy = Behind(tiny_llama, "Tom has 3 apples. ")
    steered = token_shift(tiny_llama, policy, PROMPTS, base_template="raw", max_new_tokens=8)
    assert steered.aligned == "tiny-llama+behind"
    assert steered.settings["answers"] == "policy"
    assert steered.positions["kl_ab"].max() > 1e-3
    same = token_shift(policy, policy, PROMPTS, max_new_tokens=8)
    assert same.positions["kl_ab"].max() < 1e-6
    assert same.settings["base_template"] == "policy"
    bare = token_shift(Behind(tiny_llama, ""), tiny_llama, PROMPTS[:1], answers=[[20, 21]])
    raw = token_shift(tiny_llama, tiny_llama, PROMPTS[:1], answers=[[20, 21]], base_template="raw")
    the_same(bare, raw)


def test_urial_as_the_aligned_side(tiny_gemma3):
    from boresight.steer.urial import Urial

    policy = Urial(tiny_gemma3, prompt="zero-shot", repetition_penalty=1.0)
    report = token_shift(tiny_gemma3, policy, PROMPTS, max_new_tokens=6)
    assert report.aligned == "tiny-gemma3+urial"
    texts = [c.text for c in policy.generate([[{"role": "user", "content": p}] for p in PROMPTS], Sampling(6))]
    for i, (answer, text) in enumerate(zip(report.answers, texts, strict=True)):
        assert tiny_gemma3.decode(answer.ids) == text, i
    given = token_shift(tiny_gemma3, policy, PROMPTS, answers=texts)
    the_same(report, given)


def test_models_without_logits_at_every_position_are_refused(tiny_llama):
    from boresight.steer.nudging import Nudging

    nudged = Nudging(tiny_llama, tiny_llama)
    with pytest.raises(ModelError, match="give the nudged texts as answers"):
        token_shift(tiny_llama, nudged, PROMPTS)

    class Remote:
        name = "far-away"

    with pytest.raises(ModelError, match="far-away is not a local model"):
        token_shift(tiny_llama, Remote(), PROMPTS)  # pyright: ignore[reportArgumentType]


def test_progress_is_told(tiny_llama, other):
    scored, steps = [], []
    token_shift(
        other,
        tiny_llama,
        PROMPTS,
        max_new_tokens=4,
        on_done=lambda: scored.append(1),
        on_step=steps.append,
        batch_size=2,
    )
    assert len(scored) == 3
    assert sum(steps) >= 3


# -- the real model -----------------------------------------------------------------------------------------------


@pytest.mark.model
@pytest.mark.parametrize("case", PAIRS, ids=[case["name"] for case in PAIRS])
def test_the_template_pair(smollm, case):
    assert smollm.encode(case["aligned_prompt"]) == case["aligned_prompt_ids"]
    report = token_shift(
        smollm, smollm, [case["question"]], base_template=case["base_style"], max_new_tokens=40, batch_size=1
    )
    assert report.answers[0].ids == case["output_ids"]
    found = score_answer(smollm, smollm, case["base_prompt_ids"], case["aligned_prompt_ids"], case["output_ids"])
    for columns in (found, report.positions):
        for t, row in enumerate(case["rows"]):
            if row["base_gap_nat"] > 1e-3:
                assert (columns["base_rank"][t], columns["label"][t]) == (row["base_rank"], row["label"])
            if row["base_margin_nat"] > 1e-3:
                assert columns["base_top1"][t] == row["base_top1_id"]
            assert columns["p_base"][t] == pytest.approx(row["base_prob"], rel=1e-3, abs=1e-5)
            assert columns["kl_ab"][t] == pytest.approx(row["kl_aligned_base"], rel=1e-3, abs=1e-5)
            assert columns["kl_ba"][t] == pytest.approx(row["kl_base_aligned"], rel=1e-3, abs=1e-5)
    assert report.positions["token"].tolist() == [row["token"] for row in case["rows"]]


@pytest.mark.model
def test_gemma_and_smollm_do_not_share_a_tokenizer(gemma, smollm):
    with pytest.raises(TokenizerMismatch, match="sizes 262144 and 49152"):
        token_shift(gemma, smollm, PROMPTS)
