"""Hardware that is not there."""

from collections.abc import Mapping
from typing import Protocol


class Simulator(Protocol):
    """Simulated hardware below a folder, for `nodeplug simulate` and the contract suite.

    The files it makes are read by the true backend, in another process.
    """

    @property
    def settings(self) -> Mapping[str, object]:
        """The backend's configuration section for the simulated hardware, as YAML would give it."""
        ...

    @property
    def resource(self) -> str:
        """The public name under which at least four healthy devices will be advertised."""
        ...

    def lose(self) -> str:
        """Make one healthy device of the resource sick or absent and return its id."""
        ...

    def recover(self) -> None:
        """Undo `lose`."""
        ...
