"""A zoo model that fits in a test: a random llama as GGUF in wheels of a local folder, and a small model hub.

As a program (`python tiny_zoo.py SPEC ARGUMENTS...`) it is `boresight` with that model in the zoo.
"""

import hashlib
import json
import os
import subprocess
import sys
import threading
import zipfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def make_wheel(folder: Path, name: str, files: dict[str, bytes], version: str = "1.0") -> Path:
    """A wheel that pip accepts, holding `files` (path in the wheel -> content)."""
    stem = name.replace("-", "_")
    about = f"{stem}-{version}.dist-info"
    files = {
        **files,
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{about}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    path = folder / f"{stem}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for inside, content in files.items():
            wheel.writestr(inside, content)
        wheel.writestr(f"{about}/RECORD", "".join(f"{inside},,\n" for inside in [*files, f"{about}/RECORD"]))
    return path


def write_gguf(path: Path, model, tokenizer) -> None:
    """A llama of transformers and its byte-level tokenizer as a float32 GGUF, as llama.cpp's converter lays it out."""
    from gguf import GGUFWriter, TokenType

    config = model.config
    out = GGUFWriter(path, "llama")
    out.add_name("tiny")
    out.add_context_length(config.max_position_embeddings)
    out.add_embedding_length(config.hidden_size)
    out.add_block_count(config.num_hidden_layers)
    out.add_feed_forward_length(config.intermediate_size)
    out.add_head_count(config.num_attention_heads)
    out.add_head_count_kv(config.num_key_value_heads)
    out.add_rope_dimension_count(config.head_dim)
    out.add_rope_freq_base(config.rope_parameters["rope_theta"])
    out.add_layer_norm_rms_eps(config.rms_norm_eps)
    out.add_vocab_size(config.vocab_size)
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre("default")
    tokens = [tokenizer.convert_ids_to_tokens(i) for i in range(len(tokenizer))]
    out.add_token_list(tokens)
    special = set(tokenizer.get_added_vocab())
    out.add_token_types([TokenType.CONTROL if t in special else TokenType.NORMAL for t in tokens])
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    out.add_token_merges([" ".join(pair) for pair in merges])
    out.add_bos_token_id(0)
    out.add_eos_token_id(tokenizer.eos_token_id)
    out.add_unk_token_id(0)
    out.add_pad_token_id(tokenizer.eos_token_id)
    out.add_add_bos_token(False)
    out.add_chat_template(tokenizer.chat_template)

    names = {
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
    }
    weights = {k: v.float().numpy() for k, v in model.state_dict().items()}
    out.add_tensor("token_embd.weight", weights["model.embed_tokens.weight"])
    out.add_tensor("output_norm.weight", weights["model.norm.weight"])
    if not config.tie_word_embeddings:
        out.add_tensor("output.weight", weights["lm_head.weight"])
    for layer in range(config.num_hidden_layers):
        for theirs, short in names.items():
            weight = weights[f"model.layers.{layer}.{theirs}.weight"]
            heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}.get(short)
            if heads:  # GGUF keeps the two halves of a rotary pair side by side
                weight = weight.reshape(heads, 2, -1, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)
            out.add_tensor(f"blk.{layer}.{short}.weight", weight)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def make_spec(folder: Path, files: dict[str, list[bytes]], **changes) -> dict:
    """Wheels for `files` (name -> its parts, one wheel each) in `folder`, and the zoo entry `tiny` as plain data."""
    wheels, listed = [], []
    for name, parts in files.items():
        inside = []
        for part in parts:
            package = f"tiny-zoo-part{len(wheels)}"
            path = f"tiny/{name}.part{len(wheels)}"
            make_wheel(folder, package, {path: part})
            wheels.append(f"{package}==1.0")
            inside.append(path)
        whole = b"".join(parts)
        listed.append(
            {"target": name, "parts": inside, "size": len(whole), "sha256": hashlib.sha256(whole).hexdigest()}
        )
    spec = {
        "name": "tiny",
        "role": "test",
        "hub": "org/tiny",
        "licence": {
            "name": "Tiny Terms",
            "link": "https://example.org/terms",
            "summary": "Be kind.",
            "must_accept": False,
        },
        "download": 1000,
        "disk": 1000,
        "wheels": wheels,
        "files": listed,
    }
    return {**spec, **changes}


def entry_of(spec: dict):
    """The zoo entry of plain data."""
    from boresight.lm.fetch import File
    from boresight.lm.zoo import Entry, Licence

    files = tuple(File(f["target"], tuple(f["parts"]), f["size"], f["sha256"]) for f in spec["files"])
    rest = {**spec, "licence": Licence(**spec["licence"]), "files": files, "wheels": tuple(spec["wheels"])}
    return Entry(**rest)


class Hub:
    """A model hub with repositories in memory: `repositories["org/name"]` is a dict of file name -> content.

    gated: repositories that answer 403 to downloads; lies: files whose announced checksum is wrong; log: paths asked
    for; delay: seconds before each answer.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.gated: set[str] = set()
        self.lies: set[str] = set()
        self.log: list[str] = []
        self.delay = 0.0
        self.address = ""

    def info(self, name: str) -> bytes:
        """What /api/models/NAME?blobs=true says."""
        siblings = [{"rfilename": f, "size": len(c), **self._large(f, c, "sha256")} for f, c in self._files(name)]
        about = {"id": name, "sha": COMMIT, "siblings": siblings, "tags": [], "private": False, "downloads": 0}
        return json.dumps(about).encode()

    def tree(self, name: str) -> bytes:
        """What /api/models/NAME/tree/COMMIT says."""
        rows = [{"type": "file", "path": f, "size": len(c), "oid": "0" * 40} for f, c in self._files(name)]
        for row, (file, content) in zip(rows, self._files(name), strict=True):
            row |= self._large(file, content, "oid")
        return json.dumps(rows).encode()

    def _files(self, name: str) -> list[tuple[str, bytes]]:
        return list(self.repositories[name].items())

    def _large(self, file: str, content: bytes, key: str) -> dict:
        if not file.endswith((".safetensors", ".bin")):
            return {}
        digest = hashlib.sha256(b"another" if file in self.lies else content).hexdigest()
        return {"lfs": {key: digest, "size": len(content), "pointerSize": 130}}


@contextmanager
def serve_hub():
    """A running Hub on this machine."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def reply(self, status: int, content: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def do_GET(self) -> None:
            import time

            time.sleep(hub.delay)
            path = self.path.partition("?")[0].strip("/")
            hub.log.append(f"{self.command} {path}")
            name = "/".join(path.removeprefix("api/models/").split("/")[:2])
            if name not in hub.repositories:
                self.reply(404, X_Error_Code="RepoNotFound", X_Error_Message="Repository not found")
            elif path.startswith("api/"):
                content = hub.tree(name) if "/tree/" in path else hub.info(name)
                self.reply(200, content, Content_Type="application/json")
            elif name in hub.gated:
                self.reply(403, X_Error_Code="GatedRepo", X_Error_Message=f"Access to model {name} is restricted")
            else:
                content = hub.repositories[name].get(path.split("/", 4)[4])
                if content is None:
                    self.reply(404, X_Error_Code="EntryNotFound")
                else:
                    etag = f'"{hashlib.sha256(content).hexdigest()}"'
                    self.reply(200, content, ETag=etag, X_Repo_Commit=COMMIT)

        do_HEAD = do_GET

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    hub.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


def register(monkeypatch, spec: dict):
    """Put the entry of a spec into the zoo for the length of a test."""
    from boresight.lm import zoo

    entry = entry_of(spec)
    monkeypatch.setitem(zoo.ENTRIES, entry.name, entry)
    return entry


def wheels_only(monkeypatch, folder: Path) -> None:
    """pip sees the wheels of this folder and nothing else, no network either."""
    for name in list(os.environ):
        if name.startswith("PIP_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))


def started(spec: dict, tmp_path: Path, *arguments: str) -> subprocess.Popen:
    """`boresight ARGUMENTS` in a process of its own, with the tiny model in its zoo."""
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(spec))
    command = [sys.executable, __file__, str(path), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def leftovers() -> list[str]:
    """Hidden folders of pulls beside the models of the cache."""
    from boresight.lm.cachedir import models_dir

    return [p.name for p in models_dir().glob(".*")] if models_dir().exists() else []


if __name__ == "__main__":
    from boresight.cli import main
    from boresight.lm import zoo

    given = json.loads(Path(sys.argv[1]).read_text())
    zoo.ENTRIES.clear()
    zoo.ENTRIES[given["name"]] = entry_of(given)
    sys.exit(main(sys.argv[2:]))
