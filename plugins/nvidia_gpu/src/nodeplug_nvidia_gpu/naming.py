"""Names of resources and of kinds of GPUs."""

import math
import re
from typing import Final

GPU_RESOURCE: Final = "nvidia.com/gpu"

# How kubelets, CDI and environments see an id: "GPU-" or "MIG-" and what the driver made of it.
# WSL and Tegra have one device each, under a fixed name.
_UUID: Final = re.compile(r"all|tegra|(GPU|MIG)-[A-Za-z0-9](?:[A-Za-z0-9_./-]{0,50}[A-Za-z0-9])?")
_PROFILE: Final = re.compile(r"(?:(\d+)c\.)?(\d+)g\.(\d+)gb([+-][a-z0-9.+-]*[a-z0-9])?")
_MIG_NAME: Final = re.compile(r".*\bMIG (\S+)")
_GIB: Final = 1 << 30
# NVIDIA, MIG User Guide: memory comes in eighths.
_EIGHTHS: Final = 8


def is_uuid(text: str) -> bool:
    """Whether a text can be the id of a GPU or a slice."""
    return _UUID.fullmatch(text) is not None


def printable(text: str) -> str:
    """Return a text of strangers so that it forges no line."""
    return text if text.isprintable() else ascii(text)[1:-1]


def device_id(uuid: str) -> str:
    """Return the id of a device; only slices of drivers before 470 have another one as UUID."""
    return uuid.replace("/", ":")


def mig_resource(profile: str) -> str:
    """Return the resource of a MIG profile: "1g.5gb+me" is nvidia.com/mig-1g.5gb.me."""
    return f"nvidia.com/mig-{profile.replace('+', '.')}"


def is_profile(text: str) -> bool:
    """Whether a text is a MIG profile."""
    return _PROFILE.fullmatch(text) is not None


def profile_in(name: str) -> str:
    """Return the profile in the name of a MIG device, or nothing."""
    found = _MIG_NAME.fullmatch(name)
    return found[1] if found and is_profile(found[1]) else ""


def profile_of(gpu_slices: int, compute_slices: int, memory: int, whole: int) -> str:
    """Return the profile of a slice, by its share of the GPU's memory; both in bytes.

    Empty where the share or the number of slices is not known.
    """
    if not (gpu_slices and memory and whole):
        return ""
    share = math.ceil(_EIGHTHS * memory / whole) / _EIGHTHS
    size = round(share * -(-whole // _GIB))
    compute = f"{compute_slices}c." if compute_slices != gpu_slices else ""
    return f"{compute}{gpu_slices}g.{size}gb"


# NVIDIA, CUDA: the architecture of each compute capability.
_FAMILIES: Final = {
    "3": "kepler",
    "5": "maxwell",
    "6": "pascal",
    "8": "ampere",
    "9": "hopper",
    "10": "blackwell",
    "11": "blackwell",
    "12": "blackwell",
    "13": "rubin",
}


def family(capability: str) -> str:
    """Return the architecture of a compute capability such as "8.9", or nothing."""
    major, _, minor = capability.partition(".")
    if major == "7":
        return "turing" if minor >= "5" else "volta"
    if (major, minor) == ("8", "9"):
        return "ada-lovelace"
    return _FAMILIES.get(major, "")
