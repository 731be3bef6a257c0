"""What this machine is like: which number format and which products are fast on it, how it takes memory back."""

import os
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LARGE = 1 << 16  # weights from which on a product outweighs the longer way to it


def return_memory() -> None:
    """Hand freed memory back to the system, where the C library is glibc.

    Caches and logits of ever new sizes leave holes in its heap: without this a long audit of a nudged model was seen
    to hold 11 GiB where 3 were in use.
    """
    import ctypes

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim:
        trim(0)


def fastest_dtype() -> torch.dtype:
    """bfloat16 where a short matrix product says it pays on this machine's CPU, else float32 (measured once)."""
    global _FASTEST
    if _FASTEST is None:
        wide, half = _product(F.linear, torch.float32), _product(F.linear, torch.bfloat16)
        _FASTEST = torch.bfloat16 if half * 1.2 < wide else torch.float32
    return _FASTEST


_FASTEST: torch.dtype | None = None


def _product(linear: Callable[[Tensor, Tensor], Tensor], dtype: torch.dtype) -> float:
    """Seconds of a batch of 32 rows through a layer of 1024 x 4096."""
    a, b = torch.ones(32, 1024, dtype=dtype), torch.ones(4096, 1024, dtype=dtype)
    best = float("inf")
    for _ in range(4):
        start = time.perf_counter()
        linear(a, b)
        best = min(best, time.perf_counter() - start)
    return best


class OneDnnLinear(nn.Linear):
    """nn.Linear whose float32 products on a CPU are oneDNN's; with gradients on, and elsewhere, it is nn.Linear."""

    def forward(self, input: Tensor) -> Tensor:
        """(..., in_features) to (..., out_features)."""
        weight = self.weight
        if torch.is_grad_enabled() or weight.dtype != torch.float32 or not weight.is_cpu or not input.numel():
            return super().forward(input)
        return _onednn(input, weight, self.bias)


def _onednn(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


def onednn_pays() -> bool:
    """Whether oneDNN takes clearly less time for a float32 product than torch's choice (measured once).

    Torch gives them to MKL, which on processors of other makers than its own leaves half of the vector unit idle.
    """
    global _ONEDNN
    if _ONEDNN is None:
        x, weight = torch.randn(5, 64), torch.randn(96, 64)
        try:
            with torch.no_grad():
                same = torch.allclose(_onednn(x, weight), F.linear(x, weight), atol=1e-4)
                ours, theirs = _product(_onednn, torch.float32), _product(F.linear, torch.float32)
            _ONEDNN = same and ours * 1.2 < theirs
        except (RuntimeError, AttributeError, NotImplementedError):  # a torch without oneDNN, or with another signature
            _ONEDNN = False
    return _ONEDNN


_ONEDNN: bool | None = None


def speed_up_linears(model: nn.Module) -> None:
    """Let large float32 layers of a model on a CPU take the faster product; weights and gradients stay as they are."""
    large = [m for m in model.modules() if type(m) is nn.Linear and m.weight.numel() >= LARGE]
    if any(m.weight.is_cpu and m.weight.dtype == torch.float32 for m in large) and onednn_pays():
        for module in large:
            module.__class__ = OneDnnLinear
