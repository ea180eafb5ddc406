"""Which versions of what are installed together."""

import platform
from collections.abc import Iterator, Mapping

from nodeplug._version import __version__
from nodeplug.backend import Finding
from nodeplug.loader import installed
from nodeplug.operations.doctor.patient import Patient, warning

# The backends that are released together with core.
_FAMILY = "nodeplug-"


def versions(names: Mapping[str, object]) -> dict[str, str]:
    """Return the versions of Python, of core, and of the distributions of these backends."""
    found = {"python": platform.python_version(), "nodeplug": __version__}
    for name, points in installed().items():
        if name in names:
            found |= {point.distribution: point.version for point in points}
    return found


def mixed_versions(patient: Patient) -> Iterator[Finding]:
    """Look for backends of another release than core."""
    for distribution, version in versions(patient.specs).items():
        if distribution.startswith(_FAMILY) and version != __version__:
            finding = f"is of version {version}, nodeplug of {__version__}"
            rule = "they are released, and tested, together"
            yield warning(distribution, finding, f"install {distribution}=={__version__}", rule)
