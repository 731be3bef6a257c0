"""What the discretion measure's shortcuts save, and that they change nothing.

    python bench/discretion.py           oracle with a shared comparison against whole prompts, solver, bootstrap
    python bench/discretion.py --full    also the whole built-in set: 200 comparisons x 10 principles (about a minute)

SmolLM2-135M-Instruct in float32 on this machine. The last line printed is one JSON object.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

import boresight
from boresight.measure.behaviour.discretion import RULES, audit, bradley_terry, bundled, collect, discretise, wins
from boresight.measure.behaviour.discretion.prompts import LABELS, SPELLINGS, question

K, N, CONFLICTS = 21, 2312, 0.16  # the size of the published table, and its share of conflicts


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    found = call()
    return found, time.perf_counter() - start


def whole_prompts(model, rows: Sequence, principles: Sequence[str]) -> np.ndarray:
    """Label log-probabilities (n, k, 1, 3), every prompt read from its first token to its last."""
    prompts, texts = [], []
    for row in rows:
        for principle in principles:
            prompt = model.render(question(row.prompt, row.response_1, row.response_0, principle))
            for label in LABELS:
                prompts += [prompt] * len(SPELLINGS)
                texts += [s.format(label) for s in SPELLINGS]
    each = np.array([sum(tokens) for tokens in model.logprobs(prompts, texts)])
    return np.logaddexp.reduce(each.reshape(len(rows), len(principles), 1, len(LABELS), -1), axis=-1)


def oracle(model, n: int, k: int) -> dict[str, object]:
    """One pass per comparison against one prompt per principle: time, largest difference in probability."""
    rows, principles = bundled()[:n], [text for text, _ in RULES.values()][:k]
    collect(model, rows[:1], principles)
    whole_prompts(model, rows[:1], principles)
    plain, without = timed(lambda: whole_prompts(model, rows, principles))
    shared, with_it = timed(lambda: collect(model, rows, principles))
    both = np.concatenate([shared, collect(model, rows, principles, orders=(1,))], axis=2)
    v = discretise(both[:, :, :1]), -discretise(both[:, :, 1:])
    return {
        "comparisons": n,
        "principles": k,
        "plain_s": round(without, 2),
        "shared_s": round(with_it, 2),
        "ratio": round(without / with_it, 2),
        "largest_difference": float(f"{np.abs(np.exp(plain) - np.exp(shared)).max():.2g}"),
        "na_rate": round(float((both[..., 2] > both[..., :2].max(-1)).mean()), 3),
        "order_flip_rate": round(float(((v[0] != 0) & (v[0] == -v[1])).mean()), 3),
    }


def by_adam(W: np.ndarray) -> np.ndarray:
    """The published solver: Adam at a rate of 0.1 on the mean loss, until no slope is above 1e-7."""
    w = torch.tensor(W)
    x = torch.zeros(len(W), dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([x], lr=0.1)
    for _ in range(30_000):
        adam.zero_grad()
        loss = (w * torch.nn.functional.softplus(x[None, :] - x[:, None])).sum() / w.sum()
        loss.backward()
        if x.grad.abs().max() < 1e-7:
            break
        adam.step()
    found = x.detach().numpy()
    return found - found.mean()


def solver() -> dict[str, object]:
    """Time and loss of both solvers, and of 1,000 bootstrap replicates, on data of the published size."""
    rng = np.random.default_rng(0)
    P = np.where(rng.random((N, K)) < CONFLICTS, rng.choice([-1, 1], (N, K)), 0)
    a = np.where(rng.random(N) < 1 / (1 + np.exp(-(P @ np.linspace(-2, 2, K)))), 1, -1)
    W = wins(P, a)
    adam, slow = timed(lambda: by_adam(W))
    newton, fast = timed(lambda: [bradley_terry(W).w for _ in range(20)])

    def loss(x: np.ndarray) -> float:
        return float((W * np.logaddexp(0, x[None, :] - x[:, None])).sum() / W.sum())

    _, boot = timed(lambda: audit(P, a, n_boot=1000))
    return {
        "adam_s": round(slow, 3),
        "newton_s": round(fast / 20, 5),
        "ratio": round(slow / (fast / 20)),
        "loss_above_adam": float(f"{loss(newton[0]) - loss(adam):.2g}"),
        "bootstrap_1000_s": round(boot, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="also 200 comparisons x 10 principles")
    parser.add_argument("--comparisons", type=int, default=40, help="comparisons of the oracle (default 40)")
    parser.add_argument("--principles", type=int, default=5, help="principles of the oracle (default 5)")
    options = parser.parse_args()

    result: dict[str, object] = {"bench": "discretion", "goal_ratio": 3.0, "solver": solver()}
    print(f"priorities: {result['solver']}")
    model = boresight.load("smollm2-135m-instruct", dtype="float32")
    found = oracle(model, options.comparisons, options.principles)
    result |= {"model": model.name, "oracle": found, "ratio": found["ratio"]}
    print(f"oracle: {found}")
    if options.full:
        texts = [text for text, _ in RULES.values()]
        scores, seconds = timed(lambda: collect(model, bundled(), texts))
        result["full"] = {"cells": int(np.prod(scores.shape[:2])), "s": round(seconds, 1)}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
