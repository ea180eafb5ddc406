"""Plain tables: aligned columns, no decoration, safe to show whatever a device calls itself."""

import json
from collections.abc import Sequence

import click


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows below a header, columns as wide as their widest cell."""
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    click.secho(_line([name.upper() for name in header], widths), bold=True)
    for row in cells:
        click.echo(_line(row, widths))


def print_json(data: object) -> None:
    """Print data as indented JSON."""
    click.echo(json.dumps(data, indent=2))


def printable(text: str) -> str:
    """Return the text with everything escaped that a terminal might obey."""
    return text if text.isprintable() else text.encode("unicode_escape").decode()


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    pairs = zip(cells, widths, strict=True)
    return "  ".join(cell.ljust(width) for cell, width in pairs).rstrip()
