"""Every error nodeplug raises on purpose, named for the caller's situation."""

from collections.abc import Collection, Sequence


class NodeplugError(Exception):
    """Base of all errors below; its text is one line, fit for an operator.

    What a device or a file slips into it cannot end the line or steer a terminal.
    """

    def __str__(self) -> str:
        return one_line(super().__str__())


def one_line(text: str) -> str:
    """Return a text so that it ends no line and steers no terminal."""
    return text if text.isprintable() else text.encode("unicode_escape").decode()


class InvalidValueError(NodeplugError, ValueError):
    """A value breaks a limit of the kubelet, of CDI or of DRA."""


class ConfigError(NodeplugError):
    """A configuration file is wrong. The text names file, key, value and remedy.

    `place` is the file with key or line, as far as it is known: it holds no value, so anybody may
    be shown it.
    """

    def __init__(self, text: str, place: str = "") -> None:
        super().__init__(text)
        self.place = one_line(place)


class BrokenSectionError(ConfigError):
    """Something is wrong with a backend's section; `remains` are settings of what is right.

    `remains` is None where the section is unusable as a whole.
    """

    def __init__(self, errors: Sequence[ConfigError], remains: object = None) -> None:
        super().__init__("; ".join(map(str, errors)))
        self.errors = tuple(errors)
        self.remains = remains


class LoadError(NodeplugError):
    """A backend package cannot be used. The text names distribution, entry point and cause."""


class UnknownDeviceError(NodeplugError):
    """A request names a device id that the resource does not have."""


class UnhealthyDeviceError(NodeplugError):
    """A request names a device that must not be handed out now."""


class AllocationRefusedError(NodeplugError):
    """A request is well formed and its devices are healthy, yet it cannot be served.

    `devices` are the ids of those at fault; none says that it may be any of them.
    """

    def __init__(self, text: str, devices: Collection[str] = ()) -> None:
        super().__init__(text)
        self.devices = frozenset(devices)


class UnfitRequestError(AllocationRefusedError):
    """No container can have what a request asks for, however sound its devices are."""


class EditsConflictError(UnfitRequestError):
    """Two edits of one container contradict each other."""


class ListTooLargeError(NodeplugError):
    """A device list would exceed what the kubelet receives in one message."""


class KubeletDirectoryError(NodeplugError):
    """The device plugin directory is missing, not writable, or its path is too long."""


class PodResourcesError(NodeplugError):
    """The kubelet does not say which container has which device."""


class LeaseLostError(NodeplugError):
    """Another agent of the installation has taken over, as this one had fallen silent."""


class ResourceLostError(NodeplugError):
    """Another instance serves a resource that this one served."""


class ClusterError(NodeplugError):
    """The API server could not be asked, or said no."""
