"""Measures: what is read off a model, and how far it can be trusted."""
