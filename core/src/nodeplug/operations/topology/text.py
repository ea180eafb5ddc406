"""Tree and matrix as lines of text."""

from collections.abc import Iterator, Sequence

from nodeplug.operations.topology.closeness import Closeness
from nodeplug.operations.topology.places import Node

# A wider matrix cannot be read on a terminal.
MATRIX_LIMIT = 40
LEGEND = (
    "N  same NUMA node",
    "Pn n places in common below what all have in common, bridges for example",
    "Ln linked, with a weight of n",
)


def tree_lines(nodes: Sequence[Node], indent: str = "") -> Iterator[str]:
    """Yield a line for each place and device."""
    for node in nodes:
        last = node is nodes[-1]
        branch, below = ("└─ ", "   ") if last else ("├─ ", "│  ")
        yield f"{indent}{branch}{describe(node)}"
        yield from tree_lines(node.inner, indent + below)


def describe(node: Node) -> str:
    """Return a place's or a device's own line."""
    if node.spot is None:
        return node.label
    device = node.spot.device
    health = f"{device.health.value}: {device.reason}" if device.reason else device.health.value
    return f"{device.id}  {device.resource}  {health}  ({node.spot.backend})"


def matrix_lines(closeness: Closeness) -> Iterator[str]:
    """Yield a line for each physical device, columns by number, and what the cells mean."""
    numbers = range(len(closeness.ids))
    cells = matrix_cells(closeness)
    width = max((len(cell) for row in cells for cell in row), default=0) + 1
    width = max(width, len(str(len(numbers))) + 1)
    names = [f"{number} {name}" for number, name in enumerate(closeness.ids)]
    left = max(map(len, names), default=0)
    yield " " * left + "".join(f"{number:>{width}}" for number in numbers)
    for name, row in zip(names, cells, strict=True):
        yield name.ljust(left) + "".join(f"{cell:>{width}}" for cell in row)


def matrix_cells(closeness: Closeness) -> list[list[str]]:
    """Return what each pair has in common; on the diagonal is each device itself."""
    numbers = range(len(closeness.ids))
    return [
        ["=" if one == other else str(closeness.ties(one, other)) for other in numbers]
        for one in numbers
    ]
