"""Names that other programs parse: resources, environment variables, CDI devices."""

import re

import msgspec

from nodeplug.values.errors import InvalidValueError

# R14: the kubelet checks "requests.<name>" against the 253 characters of a DNS subdomain.
_DOMAIN_LIMIT = 253 - len("requests.")
_KEY_DOMAIN_LIMIT = 253
_DOMAIN = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"
_PART = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_DNS_SUBDOMAIN = re.compile(_DOMAIN)
_NAME_PART = re.compile(_PART)
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_CDI_NAME = re.compile(
    r"[A-Za-z]([A-Za-z0-9_.-]*[A-Za-z0-9])?/[A-Za-z]([A-Za-z0-9_-]*[A-Za-z0-9])?"
    r"=[A-Za-z0-9]([A-Za-z0-9_.:-]*[A-Za-z0-9])?"
)


def _shape(pattern: str, **more: object) -> msgspec.Meta:
    return msgspec.Meta(extra_json_schema={"pattern": f"^({pattern})$", **more})


# For schemas, which editors and Helm know: what the checks below refuse, but for lengths.
_RESERVED = {"not": {"pattern": r"kubernetes\.io/|^requests\."}}
RESOURCE_NAME = _shape(f"{_DOMAIN}/{_PART}", **_RESERVED)
RESOURCE_NAME_OR_NONE = _shape(f"({_DOMAIN}/{_PART})?", **_RESERVED)
RESOURCE_NAMES = _shape(rf"{_DOMAIN}/({_PART}|([A-Za-z0-9][A-Za-z0-9._-]*)?\*)", **_RESERVED)
# {name} stands for what each device is called.
_MIDDLE, _END = r"([A-Za-z0-9._-]|\{name\})*", r"([A-Za-z0-9]|\{name\})"
_NAMED = rf"([A-Za-z0-9]{_MIDDLE})?\{{name\}}({_MIDDLE}{_END})?"
RESOURCE_TEMPLATE = _shape(f"{_DOMAIN}/({_PART}|{_NAMED})", **_RESERVED)
KEY_OR_NONE = _shape(f"(({_DOMAIN}/)?{_PART})?")
# The API server reads keys of annotations in lower case.
ANNOTATION_OR_NONE = _shape(f"(({_DOMAIN.replace('a-z', 'A-Za-z')}/)?{_PART})?")


def check_key(key: str) -> str:
    """Return the key unchanged if Kubernetes would take it for a taint or a label."""
    domain, slash, part = key.rpartition("/")
    is_domain = len(domain) <= _KEY_DOMAIN_LIMIT and _DNS_SUBDOMAIN.fullmatch(domain)
    if _NAME_PART.fullmatch(part) and (is_domain or not slash):
        return key
    raise InvalidValueError(
        f"must be a key as Kubernetes has them, <name> or <domain>/<name>: {key!r}"
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
