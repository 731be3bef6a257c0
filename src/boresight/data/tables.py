"""Rows of a table in a file: JSON lines (also gzipped), a JSON list, CSV, TSV or Parquet."""

import csv
import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from boresight.data import open_text, read_jsonl
from boresight.errors import DataError

KINDS = (".jsonl", ".jsonl.gz", ".json", ".csv", ".tsv", ".parquet")


def read_table(path: str | Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(where the row stands, the row) of every row; DataError for a file that cannot be read as what its name says.

    Cells of CSV are text; an empty cell is "". Parquet needs pyarrow.
    """
    path = Path(path)
    name = path.name.lower()
    if name.endswith(".parquet"):
        yield from _parquet(path)
    elif name.endswith((".csv", ".tsv")):
        with open_text(path) as file:
            yield from _csv(file, str(path), "\t" if name.endswith(".tsv") else ",")
    elif name.endswith(".json"):
        with open_text(path) as file:
            yield from _list(file.read(), str(path))
    elif name.endswith((".jsonl", ".jsonl.gz")):
        with _lines(path) as file:
            yield from ((f"{path}, line {number}", row) for number, row in read_jsonl(file, str(path)))
    else:
        raise DataError(f"{path}: a file name that ends in one of {', '.join(KINDS)} is needed")


def _lines(path: Path) -> Any:
    if path.suffix.lower() != ".gz":
        return open_text(path)
    try:
        return io.StringIO(gzip.decompress(path.read_bytes()).decode("utf-8-sig"))
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a gzipped UTF-8 text ({error})") from error


def _csv(file: Any, where: str, delimiter: str) -> Iterator[tuple[str, dict[str, Any]]]:
    reader = csv.DictReader(file, delimiter=delimiter, strict=True)
    try:
        for row in reader:
            place = f"{where}, line {reader.line_num}"
            if None in row or None in row.values():
                raise DataError(
                    f"{place}: the row has not as many cells as the head, which has {len(row) - (None in row)}"
                )
            yield place, dict(row)
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{where}, line {reader.line_num}: not readable as CSV ({error})") from error


def _list(text: str, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        rows = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{where}: not valid JSON ({error})") from error
    if not isinstance(rows, list):
        raise DataError(f"{where}: a JSON list of objects is needed, not {type(rows).__name__}")
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise DataError(f"{where}, item {number}: a JSON object is needed, not {type(row).__name__}")
        yield f"{where}, item {number}", row


def _parquet(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    if not path.is_file():
        raise DataError(f"{path} does not exist")
    try:
        import pyarrow.parquet as parquet  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise DataError(f"{path}: reading Parquet needs pyarrow (pip install pyarrow)") from None
    try:
        rows = parquet.read_table(path).to_pylist()
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not readable as Parquet ({str(error).splitlines()[0]})") from error
    yield from ((f"{path}, row {number}", row) for number, row in enumerate(rows, 1))
