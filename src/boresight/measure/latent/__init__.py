"""Latent measures: what a model holds inside, read off its distributions and hidden states."""
