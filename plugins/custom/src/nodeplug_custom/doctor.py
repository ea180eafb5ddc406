"""What on a node keeps devices from being seen."""

from collections.abc import Iterator

from nodeplug.backend import Finding
from nodeplug.host.root import HostRoot
from nodeplug_custom.interest import Interest
from nodeplug_custom.settings import CustomSettings


def findings(settings: CustomSettings, root: HostRoot) -> list[Finding]:
    """Return them. Blocks."""
    return [*_folders(settings, root), *_clashes(settings)]


def _folders(settings: CustomSettings, root: HostRoot) -> Iterator[Finding]:
    interest = Interest(settings)
    wanted = [("/dev", root.dev)] if settings.resources else []
    wanted += [("/sys/devices", root.sys / "devices")] if interest.any else []
    wanted += [("/run/udev/data", root.run / "udev/data")] if interest.udev_database else []
    for name, folder in wanted:
        if not folder.is_dir():
            yield Finding(
                "problem",
                name,
                "is not there, so nothing can be selected by it",
                f"mount the host's {name} into the agent's container",
            )


def _clashes(settings: CustomSettings) -> Iterator[Finding]:
    """R60: a container with devices of both resources gets one value, whichever comes last."""
    owners: dict[str, tuple[str, str]] = {}
    for resource in settings.resources:
        for name, text in resource.env.items():
            owner, other = owners.setdefault(name, (resource.name, text))
            if owner != resource.name and other != text:
                yield Finding(
                    "warning",
                    f"environment variable {name}",
                    f"is set by {owner} and by {resource.name}",
                    "give each resource a variable of its own",
                    "R60: a container with both gets either value",
                )
