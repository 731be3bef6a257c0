"""How fast an audit answers its prompts, beside the two tools that people would otherwise take.

    python bench/audit.py                       boresight audit against Inspect's own `hf` provider
    python bench/audit.py --peer-python PYTHON  also against lm-evaluation-harness, from a Python that has lm_eval

Every way runs in a process of its own on the same model folder, prompts, answer lengths and dtype, greedy, 32 rows at
once where it has to be told. Three tables: the measure text-health on open requests; the same requests behind a
constant system prompt of about 1,000 tokens; and the log-probabilities of eight options for each question. Seconds are
those of the whole process, loading and writing of logs included, with those after loading beside them: the best of
--repeats rounds in which the ways take turns, as other work on the machine slows some; the CPU time of all cores, which
that work moves less, stands beside them. Tokens are those of the texts that came out, counted by the model's
tokenizer. All processes get the same environment.
The last line printed is one JSON object.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

GOALS = {"answers": 1.5, "prefix": 5.0, "options": 1.5}
PREFIX_TOKENS = 1000


# -- the ways, each in a process of its own ---------------------------------------------------------------------------


def ours_audit(job: dict) -> dict:
    """`boresight audit`, from the command line's own function; the answers are read back from its logs."""
    from inspect_ai.log import read_eval_log

    import boresight

    out = Path(job["folder"]) / "run"
    model = boresight.load(job["model"], dtype=job["dtype"])
    began = time.perf_counter()
    run = boresight.audit(
        {"subject": model}, out=out, measures=["text-health"], limit=job["n"], seed=0, max_new_tokens=job["tokens"]
    )
    seconds = time.perf_counter() - began
    assert not run.errors, run.errors[0]
    (log,) = (read_eval_log(str(f)) for f in (out / "logs").glob("*.eval"))
    return {"texts": {s.id: s.output.completion for s in log.samples or ()}, "work_s": seconds}


def inspect_task(job: dict):
    from inspect_ai import Task
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.model import ChatMessageSystem, ChatMessageUser, GenerateConfig
    from inspect_ai.solver import generate

    kinds = {"system": ChatMessageSystem, "user": ChatMessageUser}
    samples = [Sample(id=i, input=[kinds[m["role"]](content=m["content"]) for m in c]) for i, c in job["chats"].items()]
    config = GenerateConfig(max_tokens=job["tokens"], temperature=0.0)
    return Task(dataset=MemoryDataset(samples), solver=generate(), config=config)


def inspect_run(job: dict, model, **how) -> dict:
    from inspect_ai import eval as inspect_eval

    began = time.perf_counter()
    (log,) = inspect_eval(inspect_task(job), model=model, log_dir=job["folder"], display="none", **how)
    if log.status != "success":
        raise RuntimeError(log.error.message if log.error else log.status)
    return {"texts": {s.id: s.output.completion for s in log.samples or ()}, "work_s": time.perf_counter() - began}


def ours_inspect(job: dict) -> dict:
    """The part of an audit that asks, for prompts that are no measure's: Inspect's task over our engine."""
    import boresight
    from boresight.inspect import inspect_model
    from boresight.measure.engine import Engine, announced

    with Engine(boresight.load(job["model"], dtype=job["dtype"])) as engine:
        task = inspect_task(job)
        engine.submit(announced(task))
        return inspect_run(job, inspect_model("subject", engine), max_samples=job["n"], log_realtime=False)


def hf_provider(job: dict) -> dict:
    """Inspect's own provider of transformers models."""
    import torch
    from inspect_ai.model import get_model

    model = get_model(
        "hf/local",
        model_path=job["model"],
        dtype=getattr(torch, job["dtype"]),
        do_sample=False,
        device="cpu" if not torch.cuda.is_available() else "cuda:0",
    )
    return inspect_run(job, model, max_connections=job["batch"], max_samples=job["n"])


def lm_eval_model(job: dict):
    import torch
    from lm_eval.models.huggingface import HFLM

    device = "cuda" if torch.cuda.is_available() else "cpu"
    return HFLM(pretrained=job["model"], dtype=job["dtype"], batch_size=job["batch"], device=device)


def lm_eval_answers(job: dict) -> dict:
    """generate_until of lm-evaluation-harness over the same rendered prompts."""
    from lm_eval.api.instance import Instance

    model = lm_eval_model(job)
    how = {"until": [], "max_gen_toks": job["tokens"], "do_sample": False}
    asked = [
        Instance(request_type="generate_until", doc={}, arguments=(text, how), idx=k)
        for k, text in enumerate(job["rendered"].values())
    ]
    began = time.perf_counter()
    texts = model.generate_until(asked, disable_tqdm=True)
    return {"texts": dict(zip(job["rendered"], texts, strict=True)), "work_s": time.perf_counter() - began}


def lm_eval_options(job: dict) -> dict:
    """loglikelihood of lm-evaluation-harness."""
    from lm_eval.api.instance import Instance

    model = lm_eval_model(job)
    asked = [
        Instance(request_type="loglikelihood", doc={}, arguments=(p, c), idx=k) for k, (p, c) in enumerate(job["pairs"])
    ]
    began = time.perf_counter()
    scores = [score for score, _ in model.loglikelihood(asked, disable_tqdm=True)]
    return {"scores": scores, "work_s": time.perf_counter() - began}


def ours_options(job: dict) -> dict:
    """`LocalModel.logprobs`."""
    import boresight

    model = boresight.load(job["model"], dtype=job["dtype"])
    began = time.perf_counter()
    rows = model.logprobs([p for p, _ in job["pairs"]], [c for _, c in job["pairs"]])
    return {"scores": [sum(row) for row in rows], "work_s": time.perf_counter() - began}


WAYS: dict[str, Callable[[dict], dict]] = {
    "boresight audit": ours_audit,
    "boresight": ours_inspect,
    "boresight logprobs": ours_options,
    "inspect hf": hf_provider,
    "lm_eval generate_until": lm_eval_answers,
    "lm_eval loglikelihood": lm_eval_options,
}


# -- jobs and tables --------------------------------------------------------------------------------------------------


def run(way: str, job: dict, python: str | None) -> dict | None:
    """Answer `job` in a fresh process; None, with the reason printed, where that is not possible."""
    if way.startswith("lm_eval") and python is None:
        print(f"  {way:24} left out: no --peer-python with lm_eval was given")
        return None
    python = python if way.startswith("lm_eval") else sys.executable
    with tempfile.TemporaryDirectory() as folder:
        asked = Path(folder) / "job.json"
        asked.write_text(json.dumps({**job, "folder": folder}), encoding="utf-8")
        # What importing boresight.lm has set for OpenMP (docs/performance.md, "Batches") stands in os.environ, for all.
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
        command = [str(python), __file__, "--way", way, "--job", str(asked)]
        began, busy = time.perf_counter(), cpu_seconds()
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        seconds, busy = time.perf_counter() - began, cpu_seconds() - busy
        said = Path(folder) / "said.json"
        if done.returncode or not said.is_file():
            print(f"  {way:24} left out: {(done.stderr.strip() or 'it said nothing').splitlines()[-1]}")
            return None
        return {**json.loads(said.read_text(encoding="utf-8")), "seconds": seconds, "cpu_s": busy}


def cpu_seconds() -> float:
    """Processor time that finished children have used, on all cores together."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def table(kind: str, ours: str, peers: list[str], job: dict, count: Callable[[dict], int], options) -> dict:
    """Run one job in every way and print it; returns the figures and our ratio to the fastest other way."""
    print(f"\n{kind}: {job['n']} samples, {job['dtype']}")
    print(f"  {'':24}{'seconds':>9}{'after load':>12}{'CPU s':>8}{'samples/s':>11}{'tokens/s':>10}{'the same':>10}")
    best: dict[str, dict] = {}
    left = [ours, *peers]
    for _ in range(options.repeats):
        for way in list(left):
            got = run(way, job, options.peer_python)
            if got is None:
                left.remove(way)
                continue
            held = best.setdefault(way, got)
            for key in ("seconds", "work_s", "cpu_s"):
                held[key] = min(held[key], got[key])
    rows: dict[str, dict] = {}
    for way, got in best.items():
        same = agreement(best[ours], got) if ours in best else float("nan")
        rows[way] = {
            "seconds": round(got["seconds"], 2),
            "after_load_s": round(got["work_s"], 2),
            "cpu_s": round(got["cpu_s"], 2),
            "samples_per_s": round(job["n"] / got["seconds"], 3),
            "tokens_per_s": round(count(got) / got["seconds"], 1),
            "tokens": count(got),
            "same": round(same, 3),
        }
        r = rows[way]
        print(
            f"  {way:24}{r['seconds']:9.1f}{r['after_load_s']:12.1f}{r['cpu_s']:8.1f}{r['samples_per_s']:11.2f}"
            f"{r['tokens_per_s']:10.1f}{same:10.0%}"
        )
    others = [rows[way] for way in peers if way in rows]
    result: dict[str, object] = {"ways": rows, "goal": GOALS[kind]}
    if ours in rows and others:
        for name, key in (("ratio", "seconds"), ("ratio_after_load", "after_load_s"), ("ratio_cpu", "cpu_s")):
            result[name] = round(min(other[key] for other in others) / rows[ours][key], 2)
        print(
            f"  {result['ratio']}x the fastest other, {result['ratio_after_load']}x after loading; goal {GOALS[kind]}x"
        )
    return result


def agreement(a: dict, b: dict) -> float:
    """Share of answers that are the same text, or of log-probabilities that agree within 0.02 nats."""
    if "scores" in a:
        pairs = zip(a["scores"], b["scores"], strict=True)
        return sum(abs(x - y) < 0.02 for x, y in pairs) / len(a["scores"])
    return sum(text.strip() == b["texts"][i].strip() for i, text in a["texts"].items()) / len(a["texts"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m-instruct", help="zoo name or folder of an instruct model")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--samples", type=int, default=80, help="requests (default 80, all there are)")
    parser.add_argument(
        "--tokens", type=int, default=128, help="longest answer; half of it behind the prefix (default 128)"
    )
    parser.add_argument("--batch", type=int, default=32, help="rows at once of the others (default 32)")
    parser.add_argument("--repeats", type=int, default=2, help="rounds of every way (default 2)")
    parser.add_argument("--peer-python", help="a Python in which lm_eval can be imported")
    parser.add_argument("--tables", default="answers,prefix,options", help="which tables to make")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--job", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        job = json.loads(Path(options.job).read_text(encoding="utf-8"))
        said = WAYS[options.way](job)
        Path(options.job).with_name("said.json").write_text(json.dumps(said), encoding="utf-8")
        return

    import boresight
    from boresight.data import load_set
    from boresight.lm.load import folder_of
    from boresight.measure.base import make_task
    from boresight.measure.battery import measure

    model = boresight.load(options.model, dtype=options.dtype)
    job = {"model": str(folder_of(options.model)), "dtype": options.dtype, "batch": options.batch}

    def asking(chats: dict[str, list[dict[str, str]]], tokens: int) -> dict:
        rendered = {i: model.render(chat) for i, chat in chats.items()}
        return {**job, "chats": chats, "rendered": rendered, "tokens": tokens, "n": len(chats)}

    def written(got: dict) -> int:
        return sum(model.count_tokens(text) for text in got["texts"].values())

    result: dict[str, object] = {"bench": "audit", "model": model.name, "dtype": options.dtype, "batch": options.batch}
    result |= {"machine": platform.machine(), "python": platform.python_version(), "cores": os.cpu_count()}
    samples = make_task(measure("text-health"), options.samples, 0).dataset
    requests = {str(s.id): [{"role": "user", "content": str(s.input)}] for s in samples}
    tables = options.tables.split(",")
    if "answers" in tables:
        peers = ["inspect hf", "lm_eval generate_until"]
        result["answers"] = table(
            "answers", "boresight audit", peers, asking(requests, options.tokens), written, options
        )
    if "prefix" in tables:
        questions = [row["prompt"] for row in load_set("facts")]
        rules, k = "You answer in one short sentence. These are questions that others have asked.", 0
        while model.count_tokens(rules) < PREFIX_TOKENS:
            rules, k = f"{rules}\n{k + 1}. {questions[k % len(questions)]}", k + 1
        behind = {i: [{"role": "system", "content": rules}, *chat] for i, chat in requests.items()}
        peers = ["inspect hf", "lm_eval generate_until"]
        result["prefix"] = table("prefix", "boresight", peers, asking(behind, options.tokens // 2), written, options)
    if "options" in tables:
        facts = load_set("facts")
        pairs = [
            (f"Question: {row['prompt']}\nAnswer:", f" {facts[(i + j * 7) % len(facts)]['answers'][0]}")
            for i, row in enumerate(facts)
            for j in range(8)
        ]
        tokens = sum(model.count_tokens(c) for _, c in pairs)
        asked = {**job, "pairs": pairs, "n": len(pairs)}
        result["options"] = table(
            "options", "boresight logprobs", ["lm_eval loglikelihood"], asked, lambda _: tokens, options
        )
    done = [result[t] for t in tables]
    result["goals_met"] = all(t.get("ratio", 0) >= t["goal"] for t in done if isinstance(t, dict))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
