"""Where below a device a part of it is, in words that stay over a replug."""

import re
from collections.abc import Iterator, Sequence

# A part's interface is part of its name anyway; a target is named again by its unit.
_TOLD = re.compile(r"[0-9]+-[0-9.]+:.*|target[0-9:]+")
_LUN = re.compile(r"[0-9]+:([0-9]+:[0-9]+:[0-9]+)")
_HID = re.compile(r"([0-9A-F]{4}:[0-9A-F]{4}:[0-9A-F]{4}\.)[0-9A-F]{4,}")
_DISK = re.compile(r"(sd|vd|xvd|dasd)[a-z]+")
_NUMBER = re.compile(r"[0-9]+")


def position_of(below: str) -> tuple[str, ...]:
    """Return the steps of a path below a device without numbers that the kernel gives anew.

    `/host6/target6:0:0/6:0:0:1/block/sdb/sdb2` is `host 0:0:1 block sd p2`.
    """
    return tuple(_steps(below.strip("/").split("/")))


def label_of(position: Sequence[str]) -> str:
    """Return what tells a part from others: the steps with a number, else the last."""
    telling = [step for step in position if _NUMBER.search(step) and not step.endswith(".")]
    return "-".join(telling or position[-1:])


def _steps(steps: Sequence[str]) -> Iterator[str]:
    above = ""
    for step in steps:
        rest = step.removeprefix(above)
        if above and rest != step:
            yield f"p{rest}" if rest[:1].isdigit() else rest.strip(":.-")
        elif not _TOLD.fullmatch(step):
            yield _stable(step)
        # "sda1" is below "sda"; that "input5" is below "input" says nothing.
        above = step if _NUMBER.search(step) or _DISK.fullmatch(step) else ""


def _stable(step: str) -> str:
    for pattern in (_LUN, _HID, _DISK):
        if match := pattern.fullmatch(step):
            return match[1]
    return _NUMBER.sub("", step, count=1)
