import numpy as np
import pytest

from boresight.errors import DataError, ModelError
from boresight.lm.embed import embed


def test_asks_for_the_model(empty_cache):
    with pytest.raises(ModelError, match="minilm-l6 is not in the cache; run boresight models pull minilm-l6"):
        embed(["text"])


@pytest.mark.parametrize("texts", ["one text", [1], ["a", None]])
def test_asks_for_texts(texts, empty_cache):
    with pytest.raises(DataError, match="a list of texts"):
        embed(texts)


def test_batch_size_must_be_positive(empty_cache):
    with pytest.raises(ValueError, match="at least 1"):
        embed(["a"], batch_size=0)


@pytest.fixture(scope="module")
def minilm():
    from boresight.lm.zoo import pull

    return pull("minilm-l6", source="index")


TEXTS = [
    "A cat sits on the mat.",
    "A kitten is lying on the rug.",
    "Stock markets fell sharply today.",
    "Shares lost much of their value this afternoon.",
    "",
    "word " * 900,
    "Ünïcödé 東京 🙂",
]


@pytest.mark.model
def test_embeddings_are_unit_rows_and_similar_texts_are_close(minilm):
    vectors = embed(TEXTS)
    assert vectors.shape == (len(TEXTS), 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    cosine = vectors @ vectors.T
    assert cosine[0, 1] > 0.5 > cosine[0, 2]
    assert cosine[2, 3] > 0.5 > cosine[1, 3]
    assert embed([]).shape == (0, 384)


@pytest.mark.model
def test_batches_and_order_change_nothing(minilm):
    together = embed(TEXTS)
    for size in (1, 2, 100):
        np.testing.assert_allclose(embed(TEXTS, batch_size=size), together, atol=2e-6)
    np.testing.assert_allclose(embed(TEXTS[::-1])[::-1], together, atol=2e-6)
    np.testing.assert_allclose(np.vstack([embed([t]) for t in TEXTS]), together, atol=2e-6)


@pytest.mark.model
def test_pooling_is_the_mean_over_real_tokens(minilm):
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(minilm), AutoModel.from_pretrained(minilm).eval()
    for text in TEXTS[:3]:
        with torch.no_grad():
            states = model(input_ids=torch.tensor([tokenizer(text, padding=False)["input_ids"]])).last_hidden_state[0]
        mean = states.mean(0)
        np.testing.assert_allclose(embed([text])[0], (mean / mean.norm()).numpy(), atol=2e-6)
