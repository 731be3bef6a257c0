"""What the protocol says that a small model can show (sheet, sections 3.4 and 3.5).

The scores of the paper need strong judges. That a small one is swayed by the order of two answers can be seen here.
"""

from boresight.chat import user
from boresight.claim import Claim, Given, Measured, judged
from boresight.data import draw
from boresight.lm.base import Sampling
from boresight.measure.behaviour.just_eval.items import built_in
from boresight.measure.behaviour.just_eval.pairwise import CHOICES, openings
from boresight.measure.behaviour.just_eval.prompts import pairwise_prompt

JUDGE, OTHER = "smollm2-135m-instruct", "gemma-3-270m"
ASPECT = "helpfulness"
TOKENS = 32


def order_decides(given: Given) -> Measured:
    """Share of pairs of answers of which the judge names the same position in both orders."""
    from boresight.stats import proportion

    asked = draw([i.instruction for i in built_in() if i.category == "regular"], given.limit, 0)
    judge, how = given.load(JUDGE), Sampling(max_new_tokens=TOKENS)
    chats = [user(text) for text in asked]
    answers = [[c.text for c in given.load(m).generate(chats, how, on_step=given.on_step)] for m in (JUDGE, OTHER)]
    prompts: list[str] = []
    for request, a, b in zip(asked, *answers, strict=True):
        prompts += [judge.render(user(pairwise_prompt(request, x, y, [ASPECT]))) for x, y in ((a, b), (b, a))]
    texts = openings(ASPECT)
    found = judge.logprobs([p for p in prompts for _ in texts], texts * len(prompts))
    totals = [sum(tokens) for tokens in found]
    named = [CHOICES[max(range(3), key=lambda k: totals[i + k])] for i in range(0, len(totals), 3)]
    pairs = list(zip(named[::2], named[1::2], strict=True))
    flips = sum(first == swapped != "tie" for first, swapped in pairs)
    same = sum({first, swapped} == {"A", "B"} for first, swapped in pairs)
    firsts, letters = named.count("A"), named.count("A") + named.count("B")
    note = (
        f"{JUDGE} on the {ASPECT} of answers of {JUDGE} and {OTHER}, likeliest choice: the same position in {flips} of "
        f"{len(pairs)} pairs, the same answer in {same}; the first answer in {firsts} of {letters} choices of a letter"
    )
    return judged(proportion(flips, len(pairs)), "share of pairs", note, above=0.5)


CLAIMS = (
    Claim(
        name="order",
        statement="Which of two answers stands first sways a judge, so both orders are needed.",
        published="no figure; the published comparison assigns A and B at random (arXiv 2312.01552)",
        expected="a 135M judge names the same position, not the same answer, in more than half of all pairs",
        check=order_decides,
    ),
)
