"""GGUF to what loads in a second: float32 safetensors, tokenizer.json, chat template, generation config.

float32 keeps the exact de-quantised weights, which the numeric fixtures of this project were recorded with. The
tokenizer is transformers' reading of the GGUF. For SmolLM2 that differs from the original in one respect: white space
before a digit is not kept whole, so the end of "\\n\\n1" is three tokens, not two. It stays so on purpose, since the
fixtures were recorded with it; models from the hub bring their own tokenizer.

Runs as a child process (`python -m boresight.lm.convert FILE FOLDER`): de-quantising needs some three times the memory
of the model.
"""

import json
from pathlib import Path

from boresight.errors import ModelError
from boresight.lm.child import serve


def convert(gguf: str | Path, folder: str | Path) -> dict[str, str]:
    """Write the model and tokenizer of a GGUF file into `folder`; returns the versions that did it.

    Raises ModelError if the file is no GGUF of a decoder-only model that transformers reads.
    """
    import torch
    import transformers
    from transformers import AutoModelForCausalLM, AutoTokenizer

    transformers.utils.logging.set_verbosity_error()
    gguf, folder = Path(gguf), Path(folder)
    try:
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    except (ValueError, KeyError, NotImplementedError, ImportError) as error:
        first = str(error).strip().partition("\n")[0]
        raise ModelError(f"{gguf.name} cannot be converted: {first}") from error
    rows = model.config.get_text_config().vocab_size
    if len(tokenizer) > rows:
        raise ModelError(f"{gguf.name} cannot be converted: {len(tokenizer)} tokens for {rows} embeddings")
    plain_weights(model)
    model.config.name_or_path = ""
    ends = tokenizer.eos_token_id
    model.generation_config.eos_token_id = model.config.eos_token_id = ends
    model.generation_config.pad_token_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else ends
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    slim_tokenizer(folder)
    for file in folder.iterdir():
        file.chmod(0o644)  # safetensors are written for the owner only; a cache may be shared
    return {"transformers": transformers.__version__, "torch": torch.__version__}


def plain_weights(model) -> None:
    """Free a GGUF-loaded model of its quantisation flags: its weights are plain, yet saving and training refuse it."""
    model.is_quantized = False
    model.hf_quantizer = None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config


def slim_tokenizer(folder: Path) -> None:
    """Let tokenizer.json speak for itself: no white space in it, and no class that would build half of it again.

    Gemma's has 262,144 tokens and half a million merges: this takes it from 33 to 14 MB and halves the loading time.
    """
    whole, about = folder / "tokenizer.json", folder / "tokenizer_config.json"
    parsed = json.loads(whole.read_text("utf-8"))
    whole.write_text(json.dumps(parsed, ensure_ascii=False, separators=(",", ":")), "utf-8")
    said = json.loads(about.read_text("utf-8"))
    for passing in ("backend", "is_local", "local_files_only", "name_or_path"):
        said.pop(passing, None)
    said["tokenizer_class"] = "PreTrainedTokenizerFast"
    about.write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    serve(convert)
