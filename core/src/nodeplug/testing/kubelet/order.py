"""The order in which a kubelet goes through its maps: any."""

import random
from collections.abc import Iterable
from typing import TypeVar

_T = TypeVar("_T")


class Order:
    """Leaves things in the order in which they come, or mixes them, the same way for one seed."""

    def __init__(self, seed: int | None = None) -> None:
        # No secret depends on it.
        self._random = None if seed is None else random.Random(seed)  # noqa: S311

    def of(self, things: Iterable[_T]) -> list[_T]:
        """Return the things in the order in which a kubelet may meet them."""
        mixed = list(things)
        if self._random is not None:
            self._random.shuffle(mixed)
        return mixed
