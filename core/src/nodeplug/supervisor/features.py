"""What a backend says of the node, as a file for Node Feature Discovery."""

import logging
import re
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import groupby

from nodeplug.backend import HostFile, Labels, Offered
from nodeplug.offers import Offer

# Kubernetes' own rules for a label's key and value.
_PART = r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_KEY = re.compile(rf"[a-z0-9]([a-z0-9.-]{{0,251}}[a-z0-9])?/{_PART}")
_VALUE = re.compile(rf"({_PART})?")

_log = logging.getLogger("nodeplug.labels")


def feature_file(path: str, name: str, backend: Labels, offers: Mapping[str, Offer]) -> HostFile:
    """Return the file with the labels of a backend; what is no label is left out."""
    offered = {resource: _offered(offer) for resource, offer in offers.items()}
    lines = sorted(_lines(name, backend.labels(offered)))
    return HostFile(path, "".join(lines).encode())


def _lines(backend: str, labels: Mapping[str, str]) -> Iterator[str]:
    for key, value in labels.items():
        if _KEY.fullmatch(key) and _VALUE.fullmatch(value):
            yield f"{key}={value}\n"
        else:
            _report(backend, key, value)


def _offered(offer: Offer) -> Offered:
    groups = [
        (device, len(list(group)))
        for device, group in groupby(offer.devices, lambda each: each.device)
    ]
    replicas = max((count for _, count in groups), default=1)
    return Offered(offer.native, [device for device, _ in groups], replicas)


@cache
def _report(backend: str, key: str, value: str) -> None:
    facts = {"backend": backend, "key": key, "value": value}
    _log.error("not a label, left out", extra={"nodeplug": facts})
