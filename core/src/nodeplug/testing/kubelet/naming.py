"""Which resource names the kubelet takes (R14), written apart from what it is to check."""

import re

_LABEL = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")


def is_extended_resource(name: str) -> bool:
    """Whether the name may be a device plugin's resource."""
    if "/" not in name or "kubernetes.io/" in name or name.startswith("requests."):
        return False
    prefix, _, rest = f"requests.{name}".partition("/")
    return (
        len(prefix) <= 253  # noqa: PLR2004 - the length of a DNS subdomain
        and _SUBDOMAIN.fullmatch(prefix) is not None
        and len(rest) <= 63  # noqa: PLR2004 - the length of a qualified name
        and _NAME.fullmatch(rest) is not None
    )
