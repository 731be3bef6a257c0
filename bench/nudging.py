"""How fast a nudged base model writes, beside the base alone and beside the published way of doing it.

    python bench/nudging.py            tokens/s of base only, nudged, re-encoded at every call, and 8 at once
    python bench/nudging.py --sweep    also the share of nudged words for five values of gamma

The zoo pair on this machine, greedy. Every way answers the same prompts, and they take turns prompt by prompt, so that
a busy machine is busy for all. A token is one of the base model's; answers are counted before the final repetition cut.
"Re-encoded" is `mode="reference"`: each request reads its whole prompt and answer again, as the published code's do.
It answers the first --encoded prompts only, since it is slow; its ratio is taken over these.
The last line printed is one JSON object.
"""

import argparse
import json
import platform
import time
from collections import defaultdict
from collections.abc import Callable

import boresight
from boresight.data import load_set
from boresight.lm.base import Sampling
from boresight.stats import bootstrap_mean
from boresight.steer.nudging import NudgeResult, Nudging

GAMMAS = (0.0, 0.2, 0.4, 0.6, 0.8)
GOALS = {"nudged/base": 0.6, "nudged/reencode": 4.0, "batch8/single": 3.0}


class Meter:
    """Tokens and seconds of each way of answering."""

    def __init__(self) -> None:
        self.tokens: dict[str, int] = defaultdict(int)
        self.seconds: dict[str, float] = defaultdict(float)

    def measure(self, way: str, write: Callable[[], int]) -> None:
        """Add one call, which returns how many tokens it wrote."""
        begin = time.perf_counter()
        self.tokens[way] += write()
        self.seconds[way] += time.perf_counter() - begin

    def rate(self, way: str) -> float:
        return self.tokens[way] / self.seconds[way]


def written(model, results: list[NudgeResult]) -> int:
    return sum(model.count_tokens(r.raw_text) for r in results)


def speed(base, nudger, prompts: list[str], options) -> dict[str, object]:
    """Throughput of the four ways, and the ratios between them."""
    how = {"gamma": options.gamma, "max_new_tokens": options.tokens}
    cached, reference = Nudging(base, nudger, **how), Nudging(base, nudger, mode="reference", **how)
    pairs = [cached.prompts([{"role": "user", "content": p}]) for p in prompts]
    only, meter = Sampling(max_new_tokens=options.tokens), Meter()
    cached.run(*pairs[0])  # what is slow only once is nobody's fault
    for i, pair in enumerate(pairs):
        meter.measure("base", lambda p=pair: base.complete([p[0]], only)[0].tokens)
        meter.measure("nudged", lambda p=pair: written(base, [cached.run(*p)]))
        if i < options.encoded:
            meter.tokens["nudged, same"], meter.seconds["nudged, same"] = (
                meter.tokens["nudged"],
                meter.seconds["nudged"],
            )
            meter.measure("reencode", lambda p=pair: written(base, [reference.run(*p)]))
        if i % 8 == 7 or i == len(pairs) - 1:
            meter.measure("batch8", lambda a=i - i % 8, b=i + 1: written(base, cached.run_batch(pairs[a:b])))
    ratios = {
        "nudged/base": meter.rate("nudged") / meter.rate("base"),
        "nudged/reencode": meter.rate("nudged, same") / meter.rate("reencode"),
        "batch8/single": meter.rate("batch8") / meter.rate("nudged"),
    }
    print(f"{'':24}{'tokens':>8}{'seconds':>9}{'tokens/s':>10}")
    names = {"base": "base only", "nudged": "nudged, one at a time", "reencode": "nudged, re-encoded"}
    for way in ("base", "nudged", "reencode", "batch8"):
        name = names.get(way, f"nudged, {min(8, len(pairs))} at once")
        print(f"{name:24}{meter.tokens[way]:8}{meter.seconds[way]:9.1f}{meter.rate(way):10.1f}")
    for name, ratio in ratios.items():
        print(f"{name:24}{ratio:8.2f}x, goal {GOALS[name]}x")
    return {
        "tokens_per_s": {way: round(meter.rate(way), 2) for way in ("base", "nudged", "reencode", "batch8")},
        "ratios": {name: round(ratio, 3) for name, ratio in ratios.items()},
        "goals_met": all(ratio >= GOALS[name] for name, ratio in ratios.items()),
    }


def sweep(base, nudger, prompts: list[str], tokens: int) -> list[dict[str, object]]:
    """Mean share of nudged words with its interval for each gamma (acceptance 7 of the nudging sheet)."""
    rows = []
    print(f"\n{'gamma':>6}{'nudged words':>14}{'95 % interval':>20}{'nudged tokens':>15}{'ends by itself':>16}")
    for gamma in GAMMAS:
        nudging = Nudging(base, nudger, gamma=gamma, max_new_tokens=tokens)
        results = nudging.run_batch([nudging.prompts([{"role": "user", "content": p}]) for p in prompts])
        words = bootstrap_mean([r.nudge_word_ratio for r in results])
        share = sum(r.nudge_token_ratio for r in results) / len(results)
        ends = sum(r.stop_reason == "nudging_model_stop" for r in results)
        interval = f"{words.low:.3f} to {words.high:.3f}"
        print(f"{gamma:6.1f}{words.value:14.3f}{interval:>20}{share:15.3f}{ends:11} of {len(results)}")
        rows.append({"gamma": gamma, "words": words.value, "ci": [words.low, words.high], "n": words.n, "ends": ends})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=8, help="open questions to answer (default 8)")
    parser.add_argument("--encoded", type=int, default=4, help="how many of them also in the published way (default 4)")
    parser.add_argument("--tokens", type=int, default=128, help="new tokens of each answer (default 128)")
    parser.add_argument("--gamma", type=float, default=0.3)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--sweep", action="store_true", help="also the share of nudged words by gamma, over 20 prompts")
    options = parser.parse_args()

    base = boresight.load("gemma-3-270m", dtype=options.dtype)
    nudger = boresight.load("smollm2-135m-instruct", dtype=options.dtype)
    questions = [row["prompt"] for row in load_set("open")]
    step = max(1, len(questions) // options.prompts)
    result: dict[str, object] = {"bench": "nudging", "pair": [base.name, nudger.name], "dtype": str(base.dtype)[6:]}
    result |= {"gamma": options.gamma, "tokens": options.tokens, "prompts": options.prompts}
    result |= {"machine": platform.machine(), "python": platform.python_version()}
    result |= speed(base, nudger, questions[::step][: options.prompts], options)
    if options.sweep:
        result["sweep"] = sweep(base, nudger, questions[::4][:20], options.tokens)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
