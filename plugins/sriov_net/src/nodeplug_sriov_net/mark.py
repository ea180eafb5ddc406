"""How those who hear of changes tell of them."""

from collections.abc import Callable, Collection

# Takes note that functions at these addresses changed, all of them for None.
Mark = Callable[[Collection[str] | None], None]
