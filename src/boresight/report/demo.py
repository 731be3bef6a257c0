"""The main job: a base model, steered two ways, beside a small aligned model, all measured alike."""

from pathlib import Path

from boresight.lm.base import LanguageModel
from boresight.report.run import Progress, Run, audit
from boresight.steer.policy import Loader

BASE, ALIGNED = "gemma-3-270m", "smollm2-135m-instruct"
LIMIT, FAST_LIMIT = 40, 10
FAST_TOKENS = 48
TITLE = "A base model, steered two ways"


def demo_subjects() -> dict[str, LanguageModel]:
    """base, urial, nudged and aligned, by name."""
    loader = Loader()
    return {
        "base": loader.subject(BASE),
        "urial": loader.subject(BASE, ["urial"]),
        "nudged": loader.subject(BASE, [f"nudging:nudger={ALIGNED}"]),
        "aligned": loader.subject(ALIGNED),
    }


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
        config={"demo": "fast" if fast else "full"},
        title=TITLE,
    )
