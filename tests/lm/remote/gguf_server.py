"""Serve a GGUF file over HTTP with llama.cpp's own server: python gguf_server.py FILE PORT [exact]. Prints its address.

exact: nothing is rounded to 16 bits on the way, so that float32 weights give what they give elsewhere.
"""

import sys
import threading

import xllamacpp


def main(path: str, port: int, exact: bool) -> None:
    how = xllamacpp.CommonParams()
    how.model.path = path
    how.port = port
    how.n_ctx = 4 * 1024
    how.n_parallel = 4
    how.warmup = False
    how.verbosity = 0
    if exact:
        how.cache_type_k = how.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
        how.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    server = xllamacpp.Server(how)
    print(server.listening_address, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), "exact" in sys.argv[3:])
