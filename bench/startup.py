"""How long `import boresight` and `boresight --version` take, against `import torch`.

python bench/startup.py      prints a table; the last line is JSON. Goal: import boresight < 0.3 s, without torch.
"""

import json
import subprocess
import sys
import time


def seconds(*arguments: str, repeats: int = 7) -> float:
    """Best wall time of a fresh interpreter."""
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        best = min(best, time.perf_counter() - start)
    return best


def main() -> None:
    empty = seconds("-c", "pass")
    rows = {
        "import boresight": seconds("-c", "import boresight") - empty,
        "boresight --version": seconds("-m", "boresight", "--version") - empty,
        "import torch": seconds("-c", "import torch", repeats=3) - empty,
    }
    for name, value in rows.items():
        print(f"{name:24}{value:8.3f} s")
    result = {"bench": "startup", **{k: round(v, 4) for k, v in rows.items()}}
    result["ratio"] = round(rows["import torch"] / max(rows["import boresight"], 1e-4), 1)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
