"""The faster float32 product: the same numbers, the same gradients, and only where it pays."""

import copy

import pytest
import torch
from torch import nn

from boresight.lm import machine
from boresight.lm.machine import OneDnnLinear, onednn_pays, speed_up_linears


@pytest.fixture
def it_pays(monkeypatch):
    if not torch.backends.mkldnn.is_available():
        pytest.skip("this torch has no oneDNN")
    monkeypatch.setattr(machine, "_ONEDNN", True)


def layers() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(256, 512), nn.SiLU(), nn.Linear(512, 256, bias=False), nn.Linear(256, 8))


@pytest.mark.parametrize("shape", [(1, 256), (3, 256), (1, 40, 256), (2, 5, 256), (0, 256)])
def test_products_are_the_same(it_pays, shape):
    plain = layers()
    fast = copy.deepcopy(plain)
    speed_up_linears(fast)
    assert [type(m) is OneDnnLinear for m in fast if isinstance(m, nn.Linear)] == [True, True, False]
    x = torch.randn(shape)
    with torch.no_grad():
        torch.testing.assert_close(fast(x), plain(x), rtol=1e-5, atol=1e-5)
        strided = torch.randn(256, 6).T
        torch.testing.assert_close(fast(strided), plain(strided), rtol=1e-5, atol=1e-5)


def test_gradients_other_formats_and_saved_weights_are_as_before(it_pays):
    plain = layers()
    fast = copy.deepcopy(plain)
    speed_up_linears(fast)
    x = torch.randn(4, 256)
    for model in (plain, fast):
        model(x).square().sum().backward()
    for a, b in zip(plain.parameters(), fast.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=0, atol=0)
    assert list(fast.state_dict()) == list(plain.state_dict())
    for dtype in (torch.bfloat16, torch.float64):
        with torch.no_grad():
            torch.testing.assert_close(fast.to(dtype)(x.to(dtype)), plain.to(dtype)(x.to(dtype)), rtol=0, atol=0)


def test_where_it_does_not_pay_nothing_changes(monkeypatch):
    monkeypatch.setattr(machine, "_ONEDNN", False)
    model = layers()
    speed_up_linears(model)
    assert not any(isinstance(m, OneDnnLinear) for m in model)


def test_it_is_measured_once_and_a_torch_without_it_is_no_error(monkeypatch):
    monkeypatch.setattr(machine, "_ONEDNN", None)
    found = onednn_pays()
    monkeypatch.setattr(machine, "_product", lambda *_: pytest.fail("measured twice"))
    assert onednn_pays() is found

    def gone(*_):
        raise AttributeError("no such operator")

    monkeypatch.setattr(machine, "_onednn", gone)
    monkeypatch.setattr(machine, "_ONEDNN", None)
    assert onednn_pays() is False


@pytest.mark.model
def test_a_real_model_says_the_same_with_either_product(smollm):
    ids = smollm.encode("The capital of France is")
    with smollm.session() as session:
        got = session.append(ids)
    changed = [m for m in smollm.model.modules() if isinstance(m, OneDnnLinear)]
    for module in changed:
        module.__class__ = nn.Linear
    with smollm.session() as session:
        want = session.append(ids)
    for module in changed:
        module.__class__ = OneDnnLinear
    torch.testing.assert_close(got, want, rtol=0, atol=1e-3)
