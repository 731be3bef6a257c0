"""Measures of behaviour: what a model does with a prompt."""
