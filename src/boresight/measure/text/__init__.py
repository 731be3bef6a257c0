"""Measures of text: what a text says, and whether another text bears it out."""
