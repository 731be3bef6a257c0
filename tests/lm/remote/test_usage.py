import pytest

from boresight.errors import DataError
from boresight.lm.remote.usage import MILLION, Meter, Price, Usage, price_of


def test_costs_and_counts():
    usage = Usage(Price(input=2.5, output=10))
    usage.count(1_000_000, 100_000)
    usage.count(None, None)
    assert usage.cost == pytest.approx(3.5)
    assert usage.as_dict() == {
        "requests": 2, "retries": 0, "failed": 0, "cached": 0, "uncounted": 1,
        "prompt_tokens": 1_000_000, "completion_tokens": 100_000, "cost": usage.cost,
    }  # fmt: skip
    assert str(usage) == (
        "2 requests (0 retries, 0 given up, 0 from the cache), 1,000,000 + 100,000 tokens "
        "(the server did not count those of 1), cost 3.5"
    )
    assert "did not count" not in str(Usage(requests=1, prompt_tokens=3))
    assert Usage().cost is None
    assert "cost" not in str(Usage())


def test_a_meter_counts_what_was_added_on_top_of_what_was_spent():
    class Remote:
        name = "far"

        def __init__(self):
            self.usage = Usage(Price(1, 1), requests=7, prompt_tokens=70)

    base, nudger = Remote(), Remote()

    class Policy:
        name = "both"

        def __init__(self):
            self.base, self.nudger = base, nudger

    meter = Meter(Policy(), {"far": Usage(Price(1, 1), requests=2, retries=1, prompt_tokens=MILLION).as_dict()})
    base.usage.count(MILLION, 1)
    nudger.usage.count(None, 3)
    read = meter.read()
    assert set(read) == {"far", "far (nudger)"}
    assert (read["far"]["requests"], read["far"]["retries"], read["far"]["cost"]) == (3, 1, pytest.approx(2, abs=1e-4))
    assert (read["far (nudger)"]["requests"], read["far (nudger)"]["uncounted"]) == (1, 1)
    assert Meter(object()).read() == {}


def test_price_lists(tmp_path, monkeypatch):
    listed = {"a/b": {"input": 1, "output": 2.5}}
    assert price_of(("a/b",), listed) == Price(1.0, 2.5)
    assert price_of(("other", "a/b"), listed) == Price(1.0, 2.5)
    assert price_of(("other",), listed) is None
    assert price_of(("a/b",)) is None
    path = tmp_path / "prices.yaml"
    path.write_text("a/b: {input: 1, output: 2.5}\n")
    assert price_of(("a/b",), path) == Price(1.0, 2.5)
    monkeypatch.setenv("BORESIGHT_PRICES", str(path))
    assert price_of(("a/b",)) == Price(1.0, 2.5)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("[1, 2]", "a mapping from model to its prices is needed"),
        ("m: 3", "m: 'input' and 'output', the prices of a million tokens, are needed"),
        ("m: {input: 1}", "'input' and 'output'"),
        ("m: {input: 1, output: 2, cached: 3}", "'input' and 'output'"),
        ("m: {input: -1, output: 2}", "input is -1; a number of at least 0 is needed"),
        ("m: {input: 1, output: cheap}", "output is 'cheap'"),
        ("m: {input: 1, output: .inf}", "output is inf"),
        ("m: {input: true, output: 1}", "input is True"),
        ("m: [", "cannot be read"),
    ],
)
def test_bad_price_lists(entry, words, tmp_path):
    path = tmp_path / "prices.yaml"
    path.write_text(entry)
    with pytest.raises(DataError, match=r"prices\.yaml") as caught:
        price_of(("m",), path)
    assert words in str(caught.value)
    with pytest.raises(DataError, match=r"none\.yaml cannot be read"):
        price_of(("m",), tmp_path / "none.yaml")
