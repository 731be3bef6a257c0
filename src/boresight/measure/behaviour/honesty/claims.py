"""What the paper says that a small model can show without training."""

from collections.abc import Callable

from boresight.chat import user
from boresight.claim import Claim, Given, Measured, judged
from boresight.data import draw
from boresight.data.honesty import bare_prompt, honest_prompt, is_idk
from boresight.lm.base import Sampling
from boresight.measure.behaviour.honesty.items import built_in

SUBJECT = "smollm2-135m-instruct"


def check_prompt(given: Given) -> Measured:
    """Unknowable questions are declined more often when the prompt allows it."""
    from boresight.stats import paired_proportions

    model = given.load(SUBJECT)
    asked = draw([q for q in built_in() if q.kind != "known"], given.limit, 0)
    how = Sampling(max_new_tokens=32)

    def declined(prompt: Callable[[str], str]) -> list[bool]:
        chats = [user(prompt(q.text)) for q in asked]
        answers = model.generate(chats, how, on_step=given.on_step)
        return [is_idk(q.text, a.text) for q, a in zip(asked, answers, strict=True)]

    plain, allowed = declined(bare_prompt), declined(honest_prompt)
    note = f"declined {sum(plain)} of {len(asked)} when asked plainly, {sum(allowed)} when allowed; rule:honesty-v1"
    return judged(paired_proportions(plain, allowed), "share", note)


CLAIMS = (
    Claim(
        name="prompt",
        statement="Telling a model that it may decline makes it decline what it cannot know.",
        published="prudence 0 without and 33.77 with the honest prompt, TriviaQA, LLaMA2-Chat-13B (arXiv 2312.07000)",
        expected="a 135M model declines more invented and unanswerable questions with the prompt than without",
        check=check_prompt,
    ),
)
