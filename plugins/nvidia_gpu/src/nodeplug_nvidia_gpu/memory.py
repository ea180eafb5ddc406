"""What outlives a reload of the configuration."""

import time
from typing import TYPE_CHECKING

from nodeplug_nvidia_gpu.health import HealthBook
from nodeplug_nvidia_gpu.surroundings import Surroundings

if TYPE_CHECKING:
    from nodeplug_nvidia_gpu.view import View


class Memory:
    """What was seen last, and who is sick; belongs to the event loop."""

    def __init__(self) -> None:
        self.book = HealthBook()
        self.started = int(time.time())
        self.view: View | None = None
        self.around = Surroundings()
