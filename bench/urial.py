"""What URIAL's shared prefix saves, and what its examples do to a small base model.

    python bench/urial.py            time to first token without and with the prefix cache, and the same-tokens check
    python bench/urial.py --table    also the ablation raw, frame, 1-shot, 3-shot (a few minutes)

Gemma-3-270m in float32 on this machine, greedy. The last line printed is one JSON object.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence

import boresight
from boresight.data import load_set
from boresight.lm.base import Completion, Sampling
from boresight.lm.decode import drive, write
from boresight.lm.session import common_prefix
from boresight.measure.behaviour.refusal_rules import classify
from boresight.stats import proportion
from boresight.steer.urial import Urial, clean
from boresight.steer.urial.claims import has_list, opens, stays
from boresight.steer.urial.frame import answer_stopper

ARMS = {"raw": None, "zero-shot": "zero-shot", "1-shot": "urial-1shot", "3-shot": "urial"}
REFUSING = {"raw": None, "urial-help": "urial-help", "urial": "urial"}


def uncached(policy: Urial, query: str, how: Sampling) -> Completion:
    """The policy's answer with the whole prompt read anew."""
    ids = policy.base.encode(policy.prompt.render(query))
    seen = ids[common_prefix(policy.base.encode(policy.prompt.prefix()), ids) :]
    stopper = answer_stopper(how.stop)
    return drive([lambda: write(policy.base.session(), ids, how, stopper=stopper, seen=seen)], 1)[0]


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def cache(policy: Urial, queries: Sequence[str], tokens: int) -> dict[str, object]:
    """Median time to the first token of a single request, and whether answers are the same."""
    one = policy._settings(Sampling(max_new_tokens=1))
    policy.reply(queries[0], one)
    uncached(policy, queries[0], one)
    without = [seconds(lambda q=q: uncached(policy, q, one)) for q in queries]
    with_it = [seconds(lambda q=q: policy.reply(q, one)) for q in queries]
    how = policy._settings(Sampling(max_new_tokens=tokens))
    replies = policy.batch(queries, how)
    same = [clean(uncached(policy, q, how).text) == r.text for q, r in zip(queries, replies, strict=True)]
    a, b = statistics.median(without), statistics.median(with_it)
    return {
        "prefix_tokens": replies[0].n_prefix_cached,
        "ttft_uncached_s": round(a, 4),
        "ttft_cached_s": round(b, 4),
        "ratio": round(a / b, 2),
        "same_answers": sum(same),
        "of": len(same),
        "tokens_each": tokens,
    }


def answers(model, variant: str | None, queries: Sequence[str], tokens: int) -> list[Completion]:
    """Answers of the base model alone (None) or behind a prompt, with the same repetition penalty."""
    how = Sampling(max_new_tokens=tokens, repetition_penalty=1.1)
    policy = Urial(model, prompt=variant) if variant else model
    return policy.generate([[{"role": "user", "content": q}] for q in queries], how)


def share(name: str, hits: Sequence[bool]) -> dict[str, object]:
    e = proportion(sum(hits), len(hits))
    print(f"    {name:24} {e.value:.2f} ({e.low:.2f} to {e.high:.2f}), {sum(hits)} of {e.n}")
    return {"value": round(e.value, 3), "ci": [round(e.low, 3), round(e.high, 3)], "n": e.n}


def table(model, queries: Sequence[str], asked: dict[str, list[str]], tokens: int) -> dict[str, object]:
    """The rates of section 8.7 of the urial sheet with 95 % Wilson intervals."""
    rows: dict[str, object] = {}
    for arm, variant in ARMS.items():
        print(f"  {arm}")
        done = answers(model, variant, queries, tokens)
        rows[arm] = {
            "frame_end": share("ends at the frame's end", [c.trace.stop_reason == "frame_end" for c in done]),
            "ends": share("ends by itself", [c.finish_reason == "stop" for c in done]),
            "run_on": share(
                "runs on into a new query",
                [not stays(c) for c in done],
            ),
            "list": share("has list structure", [has_list(c) for c in done]),
            "opener": share("opens by engaging", [opens(c) for c in done]),
        }
    for arm, variant in REFUSING.items():
        print(f"  {arm}, requests to refuse and not to")
        done = answers(model, variant, [q for group in asked.values() for q in group], min(tokens, 64))
        refused = iter([classify(c.text).refused for c in done])
        rows[f"{arm}: refuses"] = {k: share(k, [next(refused) for _ in group]) for k, group in asked.items()}
    return rows


def perplexity(model, aligned, queries: Sequence[str], tokens: int) -> dict[str, float]:
    """Mean nats per token that the base model gives to an aligned model's answers behind each prompt."""
    chats = [[{"role": "user", "content": q}] for q in queries]
    references = [c.text for c in aligned.generate(chats, Sampling(max_new_tokens=tokens))]
    nats: dict[str, float] = {}
    for arm, variant in ARMS.items():
        prompts = [Urial(model, prompt=variant).prompt.render(q) if variant else f"{q}\n" for q in queries]
        scores = [s for row in model.logprobs(prompts, references) for s in row]
        nats[arm] = round(-sum(scores) / len(scores), 3)
        print(f"  {arm:12} {nats[arm]:.3f} nats per token of {len(references)} aligned answers")
    return nats


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="also measure what the examples do")
    parser.add_argument("--prompts", type=int, default=20, help="open requests of the table (default 20)")
    parser.add_argument("--tokens", type=int, default=128, help="longest answer in the table (default 128)")
    options = parser.parse_args()

    model = boresight.load("gemma-3-270m", dtype="float32")
    queries = [row["prompt"] for row in load_set("open")]
    result: dict[str, object] = {"bench": "urial", "model": model.name, "goal_ratio": 5.0}
    result |= cache(Urial(model), queries[:10], 24)
    print(f"time to first token: {result['ttft_uncached_s']} s uncached, {result['ttft_cached_s']} s cached")
    if options.table:
        # The shipped prompts were chosen on the second half of both sets; the first half was kept for this table.
        half = queries[:40:2][: options.prompts]
        rows = load_set("refusal")[:60]
        asked = {label: [r["prompt"] for r in rows if r["label"] == label] for label in ("harmful", "harmless")}
        result["table"] = table(model, half, asked, options.tokens)
        aligned = boresight.load("smollm2-135m-instruct", dtype="float32")
        result["nats_per_token"] = perplexity(model, aligned, half, 64)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
