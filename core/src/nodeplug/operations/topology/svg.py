"""Tree and matrix as one SVG picture."""

from collections.abc import Iterator, Sequence
from html import escape

from nodeplug.operations.topology.closeness import Closeness
from nodeplug.operations.topology.places import Node
from nodeplug.operations.topology.text import LEGEND, MATRIX_LIMIT, describe, matrix_cells

# In pixels; of a monospaced font, 12 high, a character is 7.2 wide.
_ROW, _INDENT, _CHARACTER, _MARGIN = 20, 18, 7.2, 16
_GOOD, _SICK, _LINE, _TEXT = "#2e7d32", "#c62828", "#9e9e9e", "#212121"


class _Sheet:
    """Elements, and how far they reach."""

    def __init__(self) -> None:
        self.elements: list[str] = []
        self.width = 0.0
        self.height = float(_MARGIN)

    def text(self, x: float, y: float, text: str, *, bold: bool = False) -> None:
        """Put a text with its left end at x, its middle at y."""
        weight = ' font-weight="bold"' if bold else ""
        self.elements.append(
            f'<text x="{x:g}" y="{y + 4:g}" fill="{_TEXT}"{weight}>{_escaped(text)}</text>'
        )
        self.width = max(self.width, x + len(text) * _CHARACTER)

    def row(self) -> float:
        """Begin a new row and return its middle."""
        self.height += _ROW
        return self.height - _ROW / 2


def draw(nodes: Sequence[Node], closeness: Closeness | None) -> str:
    """Return the picture; a matrix too large to be read is left out."""
    sheet = _Sheet()
    _draw_tree(sheet, nodes, _MARGIN)
    if closeness is not None and 1 < len(closeness.ids) <= MATRIX_LIMIT:
        sheet.row()
        _draw_matrix(sheet, closeness)
    width, height = sheet.width + _MARGIN, sheet.height + _MARGIN
    size = f'width="{width:g}" height="{height:g}"'
    font = 'font-family="monospace" font-size="12" xml:space="preserve"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font}>'
    background = f'<rect {size} fill="#ffffff"/>'
    return "\n".join((head, background, *sheet.elements, "</svg>\n"))


def _draw_tree(sheet: _Sheet, nodes: Sequence[Node], x: float) -> None:
    top = sheet.height
    for node in nodes:
        y = sheet.row()
        if x > _MARGIN:
            path = f"M{x - _INDENT / 2:g} {top:g}V{y:g}H{x:g}"
            sheet.elements.append(f'<path d="{path}" fill="none" stroke="{_LINE}"/>')
        if node.spot is not None:
            colour = _GOOD if node.spot.device.healthy else _SICK
            circle = f'<circle cx="{x + 6:g}" cy="{y:g}" r="5" fill="{colour}"/>'
            sheet.elements.append(circle)
        sheet.text(x + (_INDENT if node.spot else 4), y, describe(node), bold=node.spot is None)
        _draw_tree(sheet, node.inner, x + _INDENT)


def _draw_matrix(sheet: _Sheet, closeness: Closeness) -> None:
    names = [f"{number} {name}" for number, name in enumerate(closeness.ids)]
    left = _MARGIN + max(map(len, names)) * _CHARACTER + _MARGIN
    cells = matrix_cells(closeness)
    width = (max(len(cell) for row in cells for cell in row) + 1) * _CHARACTER
    y = sheet.row()
    for number in range(len(names)):
        sheet.text(left + number * width + 4, y, str(number), bold=True)
    ranks = sorted({weight for row in closeness.weights for weight in row})
    for name, row, weights in zip(names, cells, closeness.weights, strict=True):
        y = sheet.row()
        sheet.text(_MARGIN, y, name)
        for number, cell in enumerate(row):
            x = left + number * width
            shade = ranks.index(weights[number]) / max(len(ranks) - 1, 1)
            sheet.elements.append(_cell(x, y, width, shade))
            sheet.text(x + 4, y, cell)
    for line in LEGEND:
        sheet.text(_MARGIN, sheet.row(), line)


def _cell(x: float, y: float, width: float, shade: float) -> str:
    return (
        f'<rect x="{x:g}" y="{y - _ROW / 2:g}" width="{width:g}" height="{_ROW}" '
        f'fill="#1565c0" fill-opacity="{shade * 0.6:.2f}" stroke="{_LINE}" stroke-width="0.5"/>'
    )


def _escaped(text: str) -> str:
    # XML has no way at all to write most control characters.
    return escape("".join(_visible(text)))


def _visible(text: str) -> Iterator[str]:
    for character in text:
        yield character if character.isprintable() else f"\\x{ord(character):02x}"
