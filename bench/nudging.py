"""How fast a nudged base model writes, beside the base alone and beside the published way of doing it.

    python bench/nudging.py            tokens/s of base only and nudged in its modes, alone and 8 at once
    python bench/nudging.py --same     only whether all ways write the same texts, in float32
    python bench/nudging.py --sweep    also the share of nudged words for five values of gamma

The zoo pair on this machine, greedy. Every way answers the same prompts, and they take turns prompt by prompt, so that
a busy machine is busy for all. In bfloat16 the ways round differently, and a text may flip at a near tie: how many
do is reported; in float32 none may. A token is one of the base model's; answers are counted before the final
repetition cut.
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
GOALS = {
    "nudged/base": 0.6,
    "nudged/reencode": 4.0,
    "batch8/single": 3.0,
    "speculative/base": 0.9,
    "speculative8/base8": 0.7,
    "speculative8/base8, exact_stop off": None,
}
NAMES = {
    "base": "base only",
    "nudged": "nudged",
    "speculative": "speculative",
    "reencode": "nudged, re-encoded",
    "base8": "base only, 8 at once",
    "batch8": "nudged, 8 at once",
    "speculative8": "speculative, 8 at once",
    "lazy8": "the same, exact_stop off",
}


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
    """Throughput of all ways, the ratios between them, and how many texts the modes share."""
    how = {"gamma": options.gamma, "max_new_tokens": options.tokens}
    cached, reference = Nudging(base, nudger, **how), Nudging(base, nudger, mode="reference", **how)
    speculative = Nudging(base, nudger, mode="speculative", **how)
    lazy = Nudging(base, nudger, mode="speculative", exact_stop=False, **how)
    pairs = [cached.prompts([{"role": "user", "content": p}]) for p in prompts]
    only, meter = Sampling(max_new_tokens=options.tokens), Meter()
    same = {"speculative": 0, "reencode": 0}
    cached.run(*pairs[0])  # what is slow only once is nobody's fault
    for i, pair in enumerate(pairs):
        texts = {}

        def alone(way: str, policy: Nudging, pair=pair, texts=texts) -> int:
            result = policy.run(*pair)
            texts[way] = result.text
            return written(base, [result])

        meter.measure("base", lambda p=pair: base.complete([p[0]], only)[0].tokens)
        meter.measure("nudged", lambda: alone("nudged", cached))
        meter.measure("speculative", lambda: alone("speculative", speculative))
        if i < options.encoded:
            meter.tokens["nudged, same"] = meter.tokens["nudged"]
            meter.seconds["nudged, same"] = meter.seconds["nudged"]
            meter.measure("reencode", lambda: alone("reencode", reference))
        for way in same:
            same[way] += texts.get(way) == texts["nudged"]
        if i % 8 == 7 or i == len(pairs) - 1:
            some = pairs[i - i % 8 : i + 1]
            meter.measure("base8", lambda some=some: sum(c.tokens for c in base.complete([p[0] for p in some], only)))
            meter.measure("batch8", lambda some=some: written(base, cached.run_batch(some)))
            meter.measure("speculative8", lambda some=some: written(base, speculative.run_batch(some)))
            meter.measure("lazy8", lambda some=some: written(base, lazy.run_batch(some)))
    ratios = {
        "nudged/base": meter.rate("nudged") / meter.rate("base"),
        "nudged/reencode": meter.rate("nudged, same") / meter.rate("reencode"),
        "batch8/single": meter.rate("batch8") / meter.rate("nudged"),
        "speculative/base": meter.rate("speculative") / meter.rate("base"),
        "speculative8/base8": meter.rate("speculative8") / meter.rate("base8"),
        "speculative8/base8, exact_stop off": meter.rate("lazy8") / meter.rate("base8"),
    }
    print(f"{'':26}{'tokens':>8}{'seconds':>9}{'tokens/s':>10}")
    for way, name in NAMES.items():
        print(f"{name:26}{meter.tokens[way]:8}{meter.seconds[way]:9.1f}{meter.rate(way):10.1f}")
    for name, ratio in ratios.items():
        goal = GOALS[name]
        print(f"{name:36}{ratio:8.2f}x" + (f", goal {goal}x{'' if ratio >= goal else ': missed'}" if goal else ""))
    asked = {"speculative": len(pairs), "reencode": min(options.encoded, len(pairs))}
    for way, n in same.items():
        print(f"texts of {NAMES[way]} that are those of nudged: {n} of {asked[way]} ({str(base.dtype)[6:]})")
    return {
        "tokens_per_s": {way: round(meter.rate(way), 2) for way in NAMES},
        "ratios": {name: round(ratio, 3) for name, ratio in ratios.items()},
        "goals_met": {name: ratio >= GOALS[name] for name, ratio in ratios.items() if GOALS[name]},
        "same_texts": {way: [n, asked[way]] for way, n in same.items()},
    }


def same_texts(base, nudger, prompts: list[str], options) -> dict[str, object]:
    """Whether reference, cached and speculative write the same, each prompt alone and all at once."""
    how = {"gamma": options.gamma, "max_new_tokens": options.tokens}
    modes = {mode: Nudging(base, nudger, mode=mode, **how) for mode in ("reference", "cached", "speculative")}
    pairs = [modes["cached"].prompts([{"role": "user", "content": p}]) for p in prompts]
    expected = [modes["reference"].run(*pair).text for pair in pairs]
    found = {}
    for mode in ("cached", "speculative"):
        alone = [modes[mode].run(*pair).text for pair in pairs]
        at_once = [r.text for r in modes[mode].run_batch(pairs)]
        for way, texts in ((mode, alone), (f"{mode}, at once", at_once)):
            found[way] = [sum(map(str.__eq__, texts, expected)), len(pairs)]
            print(f"{way:24}{found[way][0]:3} of {len(pairs)} texts are those of the reference mode")
    return {"same_as_reference": found}


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
    parser.add_argument("--same", action="store_true", help="compare the texts of all modes in float32, nothing else")
    parser.add_argument("--sweep", action="store_true", help="also the share of nudged words by gamma, over 20 prompts")
    options = parser.parse_args()

    dtype = "float32" if options.same else options.dtype
    base = boresight.load("gemma-3-270m", dtype=dtype)
    nudger = boresight.load("smollm2-135m-instruct", dtype=dtype)
    questions = [row["prompt"] for row in load_set("open")]
    step = max(1, len(questions) // options.prompts)
    result: dict[str, object] = {"bench": "nudging", "pair": [base.name, nudger.name], "dtype": str(base.dtype)[6:]}
    result |= {"gamma": options.gamma, "tokens": options.tokens, "prompts": options.prompts}
    result |= {"machine": platform.machine(), "python": platform.python_version()}
    compare = same_texts if options.same else speed
    result |= compare(base, nudger, questions[::step][: options.prompts], options)
    if options.sweep:
        result["sweep"] = sweep(base, nudger, questions[::4][:20], options.tokens)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
