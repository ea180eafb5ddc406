"""What processes use: memory and processor."""

import asyncio
import time
from contextlib import suppress

import psutil


def with_children(pid: int) -> list[psutil.Process]:
    """Return a process and all that it has started, as far as they run."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def resident(processes: list[psutil.Process]) -> float:
    """Return resident memory in MiB; pages that processes share count for each of them."""
    sizes = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            sizes.append(process.memory_info().rss)
    return float(sum(sizes)) / 2**20


async def cpu_share(pid: int, seconds: float) -> float:
    """Return the share of one core in percent that a process and its children use meanwhile."""
    before = spent(pid)
    await asyncio.sleep(seconds)
    return 100 * (spent(pid) - before) / seconds


def spent(pid: int) -> float:
    """Return the seconds of processor time that a process and its children have had."""
    total = 0.0
    for process in with_children(pid):
        with suppress(psutil.NoSuchProcess, OSError):
            total += _seconds(process)
    return total


def _seconds(process: psutil.Process) -> float:
    # clock_getcpuclockid(3): nanoseconds, where /proc has hundredths of seconds, too coarse for
    # an idle process. Children that have ended are in /proc alone.
    ended = process.cpu_times()
    own = time.clock_gettime((~process.pid << 3) | 2)
    return float(own + ended.children_user + ended.children_system)
