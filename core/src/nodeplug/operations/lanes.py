"""Room for so many at once, from which those go first that have had it longest."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Lane:
    """Tasks that have a place; for one too many, the oldest is cancelled.

    Who is quick always finds a place; who keeps one for ever keeps it from nobody.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._tasks: dict[asyncio.Task[object], None] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Give the task that runs a place until the end of the block."""
        task = asyncio.current_task()
        assert task is not None
        if len(self._tasks) >= self._places:
            self.make_room()
        self._tasks[task] = None
        try:
            yield
        finally:
            self._tasks.pop(task, None)

    def make_room(self) -> "asyncio.Task[object] | None":
        """Cancel the oldest, if there is any, and return it."""
        for task in list(self._tasks)[:1]:
            del self._tasks[task]
            task.cancel()
            return task
        return None
