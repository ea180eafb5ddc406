"""Names that other programs parse: resources, environment variables, CDI devices."""

import re

from nodeplug.values.errors import InvalidValueError

# R14: the kubelet checks "requests.<name>" against the 253 characters of a DNS subdomain.
_DOMAIN_LIMIT = 253 - len("requests.")
_DNS_SUBDOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_NAME_PART = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_CDI_NAME = re.compile(
    r"[A-Za-z]([A-Za-z0-9_.-]*[A-Za-z0-9])?/[A-Za-z]([A-Za-z0-9_-]*[A-Za-z0-9])?"
    r"=[A-Za-z0-9]([A-Za-z0-9_.:-]*[A-Za-z0-9])?"
)


def check_resource_name(name: str) -> str:
    """Return the name unchanged if the kubelet would accept it as an extended resource (R14)."""
    domain, slash, part = name.partition("/")
    if not slash or "/" in part:
        problem = "needs the form <domain>/<name>"
    elif "kubernetes.io/" in name or name.startswith("requests."):
        problem = "uses a prefix that Kubernetes reserves"
    elif len(domain) > _DOMAIN_LIMIT or not _DNS_SUBDOMAIN.fullmatch(domain):
        problem = f"needs a lower-case DNS domain of at most {_DOMAIN_LIMIT} characters before '/'"
    elif not _NAME_PART.fullmatch(part):
        problem = "needs 1 to 63 of A-Z a-z 0-9 . _ - after '/', alphanumeric at both ends"
    else:
        return name
    raise InvalidValueError(f"resource name {name!r} {problem}")


def check_env_name(name: str) -> str:
    """Return the name unchanged if every runtime accepts it as an environment variable."""
    if not _ENV_NAME.fullmatch(name):
        raise InvalidValueError(
            f"environment variable name {name!r} is not [A-Za-z_][A-Za-z0-9_.-]*"
        )
    return name


def check_cdi_name(name: str) -> str:
    """Return the name unchanged if it is a qualified CDI device name, vendor/class=device."""
    if not _CDI_NAME.fullmatch(name):
        raise InvalidValueError(f"CDI device name {name!r} needs the form vendor/class=device")
    return name
