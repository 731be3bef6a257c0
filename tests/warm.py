"""A `boresight` that starts at once: a process that has imported everything and forks for each command line.

Reads one JSON list of arguments a line, prints the child's process id, then how it ended (as waitpid says).
"""

import json
import os
import sys
from importlib import import_module

HEAVY = (
    "inspect_ai.log",
    "transformers.models.gemma3.modeling_gemma3",
    "transformers.models.llama.modeling_llama",
    "boresight.lm.local",
    "boresight.report.resume",
    "boresight.report.page",
)


def serve() -> None:
    for name in HEAVY:
        import_module(name)
    import torch

    from boresight.cli import main

    torch.set_num_threads(1)  # nothing has computed yet: no thread is lost in a fork
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            said = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(said, 1)
            os.dup2(said, 2)
            code = main(order["arguments"])
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    serve()
