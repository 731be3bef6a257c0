"""What a configuration tells is what the caches hold."""

import pytest
from architectures import pair

from boresight.lm.sizes import cached_numbers


@pytest.mark.parametrize("name", ["llama", "gemma3", "gemma2", "qwen3"])
def test_cached_numbers_are_those_of_a_session(name):
    model, _ = pair(name)
    with model.session() as session:
        session.append([5, 6, 7])
        held = [tensor[0, :, :3].numel() for layer in session.pool.layers.values() for tensor in layer]
    assert sum(held) == 3 * cached_numbers(model.model.config.get_text_config())
