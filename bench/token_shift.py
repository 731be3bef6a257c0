"""Token shift: two passes against a position-by-position loop, the memory of a large vocabulary, a trained pair.

    python bench/token_shift.py            T = 128 on SmolLM2 (template pair), and memory with Gemma's 262,144 words
    python bench/token_shift.py --train    fine-tunes Gemma-3-270m for 100 steps on bench/token_shift_pairs.jsonl and
                                           compares it with the base model (about five minutes)

float32 on this machine. The last line printed is one JSON object.
"""

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import boresight
from boresight.data import load_set
from boresight.lm.local import return_memory
from boresight.measure.latent.token_shift import ShiftReport, position_metrics, score_answer, token_shift

LENGTH = 128
STEPS, EVERY, BATCH, LAYERS, RATE = 100, 50, 4, 6, 2e-5


def loop(model, base_prompt: list[int], aligned_prompt: list[int], answer: list[int]) -> list[dict]:
    """Position by position, both prompts read anew every time: no cache, logits of the last position only."""
    rows = []
    for t in range(len(answer)):
        logits = []
        for prompt in (base_prompt, aligned_prompt):
            with model.session() as session:
                logits.append(session.append([*prompt, *answer[:t]])[None])
        rows.append(position_metrics(*logits, answer[t : t + 1]))
    return rows


def seconds(call: Callable[[], object]) -> tuple[float, object]:
    start = time.perf_counter()
    found = call()
    return time.perf_counter() - start, found


def speed() -> dict[str, object]:
    """Seconds for one answer of 128 tokens, template pair."""
    from boresight.measure.latent.token_shift.prompts import query_frame

    model = boresight.load("smollm2-135m-instruct", dtype="float32")
    question = load_set("open")[0]["prompt"]
    report = token_shift(model, model, [question], max_new_tokens=LENGTH)
    answer = report.answers[0].ids
    prompts = model.encode(query_frame(question)), model.encode(model.render([{"role": "user", "content": question}]))
    score_answer(model, model, *prompts, answer)
    ours = min(seconds(lambda: score_answer(model, model, *prompts, answer))[0] for _ in range(3))
    slow, rows = seconds(lambda: loop(model, *prompts, answer))
    gap = max(abs(a - b["kl_ab"][0]) for a, b in zip(report.positions["kl_ab"], rows, strict=True))  # type: ignore[call-overload]
    return {
        "tokens": len(answer),
        "loop_s": round(slow, 2),
        "two_passes_s": round(ours, 3),
        "ratio": round(slow / ours, 1),
        "largest_kl_gap": float(f"{gap:.2g}"),
    }


class Peak:
    """The most memory that this process holds while the block runs, beyond what it held before, in MiB."""

    def __enter__(self) -> "Peak":
        import psutil

        me = psutil.Process()
        before = self.most = me.memory_info().rss
        self._done = threading.Event()

        def watch() -> None:
            while not self._done.wait(0.002):
                self.most = max(self.most, me.memory_info().rss)

        self._before, self._watcher = before, threading.Thread(target=watch)
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._watcher.join()
        self.extra = (self.most - self._before) / 2**20


def memory() -> dict[str, object]:
    """Extra memory of scoring eight answers of 128 tokens with a vocabulary of 262,144."""
    model = boresight.load("gemma-3-270m", dtype="float32")
    questions = [row["prompt"] for row in load_set("open")[:8]]
    return_memory()  # what loading has left must not hide what scoring takes
    answer = model.encode("Light is scattered by the air, and blue light more than red. " * 12)[1 : LENGTH + 1]
    with Peak() as peak:
        took, report = seconds(lambda: token_shift(model, model, questions, answers=[answer] * 8))
    assert isinstance(report, ShiftReport)
    return {
        "vocabulary": 262_144,
        "positions": len(report.positions["t"]),
        "seconds": round(took, 2),
        "peak_extra_mib": round(peak.extra),
    }


def tune(folder: Path, done: Callable[[int, float], None]) -> float:
    """Fine-tune the last layers of Gemma-3-270m on the pairs, loss on answers; saves to folder/STEP. Gives seconds."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from boresight.lm.load import folder_of

    torch.manual_seed(0)
    source = folder_of("gemma-3-270m")
    tokenizer = AutoTokenizer.from_pretrained(source)
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    layers = model.model.layers
    model.requires_grad_(False)
    for layer in layers[-LAYERS:]:
        layer.requires_grad_(True)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=RATE, weight_decay=0.0)
    lines = (Path(__file__).parent / "token_shift_pairs.jsonl").read_text(encoding="utf-8").splitlines()
    rows = []
    for pair in map(json.loads, lines):
        prompt = tokenizer(f"{pair['prompt']}\n")["input_ids"]
        rows.append(
            (prompt, tokenizer(pair["answer"], add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id])
        )
    start = time.perf_counter()
    order: list[int] = []
    for step in range(1, STEPS + 1):
        if len(order) < BATCH:
            order = torch.randperm(len(rows)).tolist()
        batch = [rows[order.pop()] for _ in range(BATCH)]
        width = max(len(p) + len(a) for p, a in batch)
        ids = torch.full((BATCH, width), tokenizer.pad_token_id)
        wanted = torch.full((BATCH, width), -100)
        for i, (p, a) in enumerate(batch):
            ids[i, : len(p) + len(a)] = torch.tensor(p + a)
            wanted[i, len(p) - 1 : len(p) + len(a) - 1] = torch.tensor(a)
        states = model.model(input_ids=ids, attention_mask=(ids != tokenizer.pad_token_id).long()).last_hidden_state
        here = wanted >= 0  # the head sees answers only
        loss = torch.nn.functional.cross_entropy(model.lm_head(states[here]), wanted[here])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step % 10 == 0:
            done(step, loss.item())
        if step % EVERY == 0:
            model.save_pretrained(folder / str(step))
            tokenizer.save_pretrained(folder / str(step))
    return time.perf_counter() - start


def trained_pair(prompts: int, tokens: int) -> dict[str, object]:
    """Base against fine-tuned, same ids to both, so that weights alone differ; requests that were not trained on."""
    base = boresight.load("gemma-3-270m", dtype="float32")
    questions = [row["prompt"] for row in load_set("open")[:prompts]]
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        took = tune(folder, lambda step, loss: print(f"  step {step:3d}: loss {loss:.3f}", flush=True))
        for step in range(EVERY, STEPS + 1, EVERY):
            aligned = boresight.load(str(folder / str(step)), dtype="float32")
            aligned.name = f"gemma-3-270m after {step} steps"
            report = token_shift(base, aligned, questions, base_template="chat", max_new_tokens=tokens)
            found[f"step_{step}"] = brief(report)
            print(report.headline())
            for kind in ("shifted", "unshifted"):
                common = [f"{row['token']!r} {row['count']}/{row['total']}" for row in report.tokens(kind, 2)[:10]]
                print(f"  {kind}: {', '.join(common)}")
    return {"seconds": round(took), **found}


def brief(report: ShiftReport) -> dict[str, object]:
    numbers = report.summary()

    def short(e: dict) -> list[float]:
        return [float(f"{x:.3g}") for x in (e["value"], *e["ci"])]

    return {
        "answers": numbers["answers"],
        "empty": numbers["empty"],
        "positions": numbers["positions"],
        **{label: short(e) for label, e in numbers["shares"]["micro"].items()},
        **{f"{label}_without_eos": short(e) for label, e in numbers["shares_without_eos"]["micro"].items()},
        "kl": short(numbers["kl_ab"]["mean"]),
        "kl_first_5": short(numbers["kl_first"]),
        "kl_after_20": short(numbers["kl_later"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", action="store_true", help="fine-tune a pair and compare it")
    parser.add_argument("--prompts", type=int, default=24, help="requests that the trained pair answers (default 24)")
    parser.add_argument("--tokens", type=int, default=64, help="longest of these answers (default 64)")
    options = parser.parse_args()

    result: dict[str, object] = {"bench": "token_shift"}
    if options.train:
        result |= {"steps": STEPS, "trained_layers": LAYERS, **trained_pair(options.prompts, options.tokens)}
    else:
        result |= {"goal_ratio": 20.0, "goal_extra_mib": 2048, **speed(), "memory": memory()}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
