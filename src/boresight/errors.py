"""Errors a user can act on: each message is one sentence saying what, where and what is needed.

BoresightError
├── DataError      a file, row or column is not what is needed
├── ModelError     a model cannot be found or cannot do what was asked
│   └── TokenizerMismatch   two models do not share a tokenizer
└── OutputError    results cannot be written where they were asked for
"""


class BoresightError(Exception):
    """Base of every error that a user can fix; the command line prints it on one line and exits with 2."""

    exit_code = 2


class DataError(BoresightError):
    """A file, row or column is not what the method needs."""


class ModelError(BoresightError):
    """A model cannot be found, loaded, or do what was asked of it."""


class TokenizerMismatch(ModelError):
    """Two models were to be compared token by token and their tokenizers differ."""


class OutputError(BoresightError):
    """A result cannot be written where it was asked for."""
