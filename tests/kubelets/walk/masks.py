"""What of the two sides is not compared, each with its source in the kubelet's code.

Situations in which a kubelet does one thing or the other by chance are not walked into at all:
plan.py says which at the step that it leaves out, with the source.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Mask:
    """A text that may differ: what matches is replaced before it is compared."""

    pattern: re.Pattern[str]
    instead: str
    source: str


TEXTS = (
    Mask(
        re.compile(r"endpoint (&\{.*\}|\S*) has been stopped"),
        "endpoint ... has been stopped",
        "types.go, errEndpointStopped: printed with %v, addresses in memory included",
    ),
    Mask(
        re.compile(r"/var/lib/kubelet/device-plugins|/tmp/npw\w+/(dp|registry)"),
        "DIRECTORY",
        "plugin/v1beta1/server.go, Register: the directory is a constant of the kubelet's",
    ),
    Mask(
        re.compile(r"code = Unavailable desc = .*"),
        "code = Unavailable",
        "endpoint.go: the words of gRPC's Go client, which C-core has others for",
    ),
)


def masked(value: Any) -> Any:
    """Return an outcome without what is masked."""
    if isinstance(value, str):
        for mask in TEXTS:
            value = mask.pattern.sub(mask.instead, value)
        return value
    if isinstance(value, Mapping):
        return {key: masked(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [masked(each) for each in value]
    return value
