"""The main job: a base model, steered two ways, beside a small aligned model, all measured alike."""

from pathlib import Path

from boresight.lm.base import LanguageModel
from boresight.report.run import Progress, Run, audit
from boresight.steer.policy import Loader

BASE, ALIGNED = "gemma-3-270m", "smollm2-135m-instruct"
LIMIT, FAST_LIMIT = 40, 10
FAST_TOKENS = 48
TITLE = "A base model, steered two ways"
SUBJECTS: dict[str, tuple[str, list[str]]] = {
    "base": (BASE, []),
    "urial": (BASE, ["urial"]),
    "nudged": (BASE, [f"nudging:nudger={ALIGNED}"]),
    "aligned": (ALIGNED, []),
}
"""Name -> (model, steps around it)."""


def demo_subjects() -> dict[str, LanguageModel]:
    """base, urial, nudged and aligned, by name."""
    loader = Loader()
    return {name: loader.subject(spec, steer) for name, (spec, steer) in SUBJECTS.items()}


def demo(
    subjects: dict[str, LanguageModel], out: str | Path, *, fast: bool, seed: int, progress: Progress | None = None
) -> Run:
    """Audit the demo's subjects with the quick battery; `fast` asks fewer prompts and allows shorter answers."""
    return audit(
        subjects,
        out=out,
        battery="quick",
        limit=FAST_LIMIT if fast else LIMIT,
        max_new_tokens=FAST_TOKENS if fast else None,
        seed=seed,
        progress=progress,
        config={
            "demo": "fast" if fast else "full",
            "models": {name: {"spec": spec, "steer": steer} for name, (spec, steer) in SUBJECTS.items()},
        },
        title=TITLE,
    )
