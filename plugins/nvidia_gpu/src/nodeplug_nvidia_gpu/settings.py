"""The configuration section `nvidia_gpu` as types; its schema and documentation come from them."""

from typing import Annotated, Literal

import msgspec

from nodeplug.values.section import Section

MigStrategy = Literal["none", "single", "mixed"]
ListStrategy = Literal["envvar", "volume-mounts", "cdi-annotations", "cdi-cri"]


def _path(text: str, key: str) -> None:
    if text and (not text.startswith("/") or ".." in text.split("/") or not text.isprintable()):
        raise ValueError(f"{key}: {text!r} must be absolute, printable and without '..'")


class HealthSettings(Section, frozen=True, kw_only=True):
    """When a GPU is sick, and when it is well again."""

    ignore_xids: Annotated[
        tuple[int, ...],
        msgspec.Meta(
            description="XID errors that say nothing of the GPU's health, besides the built-in "
            "ones, which blame the application: 13, 31, 43, 45, 68, 109."
        ),
    ] = ()
    heed_xids: Annotated[
        tuple[int, ...],
        msgspec.Meta(description="XID errors to heed although they would be ignored."),
    ] = ()
    ignore: Annotated[
        tuple[Literal["xid", "ecc", "remap", "recovery", "lost"], ...],
        msgspec.Meta(
            description="Causes that say nothing of the GPU's health: XID errors, uncorrectable "
            "memory errors, memory rows or pages that wait for a reset or could not be replaced, "
            "the driver's wish for a reset, a GPU that does not answer."
        ),
    ] = ()
    recovery: Annotated[
        Literal["auto", "untilRestart"],
        msgspec.Meta(
            description="`auto`: a GPU is healthy again when the cause is gone, the GPU answers "
            "and `holdOffSeconds` have passed. `untilRestart`: when the agent starts anew."
        ),
    ] = "auto"
    hold_off_seconds: Annotated[
        float,
        msgspec.Meta(
            ge=0,
            description="How long a GPU must be without trouble to be healthy again. The time "
            "doubles with each relapse within an hour, up to an hour.",
        ),
    ] = 10.0
    poll_seconds: Annotated[
        float,
        msgspec.Meta(
            ge=0.1,
            le=60,
            description="Pause between looks at the GPUs that no event asked for. It bounds how "
            "long a GPU lost in silence goes unnoticed.",
        ),
    ] = 3.0


class ImexSettings(Section, frozen=True, kw_only=True):
    """Memory shared between nodes over NVLink."""

    channel_ids: Annotated[
        tuple[Annotated[int, msgspec.Meta(ge=0, le=2047)], ...],
        msgspec.Meta(description="IMEX channels that every container with a GPU gets."),
    ] = ()
    required: Annotated[
        bool,
        msgspec.Meta(
            description="Whether GPUs are unhealthy without these channels; else channels that "
            "are not there are left out."
        ),
    ] = False


class CdiSettings(Section, frozen=True, kw_only=True):
    """How the strategies `cdi-annotations` and `cdi-cri` name devices."""

    annotation_prefix: Annotated[
        str, msgspec.Meta(description="What annotations of `cdi-annotations` begin with.")
    ] = "cdi.k8s.io/"
    kind: Annotated[
        str,
        msgspec.Meta(
            pattern="^[a-z0-9]([a-z0-9.-]*[a-z0-9])?/[A-Za-z]([A-Za-z0-9_-]*[A-Za-z0-9])?$",
            description="The kind whose names are used for the devices that a specification of it "
            "on the host knows. Others get names of a specification that the agent writes.",
        ),
    ] = "nvidia.com/gpu"
    spec_dirs: Annotated[
        tuple[str, ...],
        msgspec.Meta(
            description="Where specifications are looked for on the host; the agent's own is "
            "written to the last."
        ),
    ] = ("/etc/cdi", "/var/run/cdi")
    hook_path: Annotated[
        str,
        msgspec.Meta(
            description="Program of the container toolkit on the host, `nvidia-cdi-hook` or "
            "`nvidia-ctk`, that the agent's own specification has link libraries in the container "
            "and update its library cache; used if it is there. Empty: where toolkits put it."
        ),
    ] = ""

    def __post_init__(self) -> None:
        if not self.spec_dirs:
            raise ValueError("specDirs: is empty")
        for path in self.spec_dirs:
            _path(path, "specDirs")
        if self.hook_path:
            _path(self.hook_path, "hookPath")


class NvidiaGpuSettings(Section, frozen=True, kw_only=True):
    """NVIDIA GPUs and their MIG slices."""

    driver_root: Annotated[
        str, msgspec.Meta(description="Where the driver is installed on the host.")
    ] = "/"
    container_driver_root: Annotated[
        str,
        msgspec.Meta(
            description="Where the agent itself sees the driver's root, if that is not where it "
            "sees that path of the host."
        ),
    ] = ""
    dev_root: Annotated[
        str,
        msgspec.Meta(
            description="What `/dev/nvidia*` lie below on the host; empty: the driver's root."
        ),
    ] = ""
    discovery: Annotated[
        Literal["auto", "nvml", "tegra"],
        msgspec.Meta(
            description="How GPUs are found. `auto`: WSL's one device where there is `/dev/dxg`, "
            "that of a Tegra where there is one and no NVML, else what NVML lists."
        ),
    ] = "auto"
    mig_strategy: Annotated[
        MigStrategy,
        msgspec.Meta(
            description="`none`: GPUs as a whole. `single`: MIG slices, all of one profile, as "
            "`nvidia.com/gpu`. `mixed`: slices as `nvidia.com/mig-<profile>`."
        ),
    ] = "none"
    device_list_strategy: Annotated[
        tuple[ListStrategy, ...],
        msgspec.Meta(
            min_length=1,
            description="How the container runtime is told of the devices; several add up.",
        ),
    ] = ("envvar",)
    device_id_strategy: Annotated[
        Literal["uuid", "index"],
        msgspec.Meta(description="By what devices are named to the container runtime."),
    ] = "uuid"
    pass_device_specs: Annotated[
        bool,
        msgspec.Meta(
            description="Whether containers get the device nodes too. Needed where the static CPU "
            "manager or `systemctl daemon-reload` would take them away again."
        ),
    ] = False
    gdrcopy: Annotated[bool, msgspec.Meta(description="Whether containers get GDRCopy.")] = False
    gds: Annotated[bool, msgspec.Meta(description="Whether containers get GPUDirect Storage.")] = (
        False
    )
    mofed: Annotated[bool, msgspec.Meta(description="Whether containers get MOFED.")] = False
    imex: Annotated[
        ImexSettings, msgspec.Meta(description="Memory shared between nodes over NVLink.")
    ] = msgspec.field(default_factory=ImexSettings)
    cdi: Annotated[
        CdiSettings, msgspec.Meta(description="How the strategies of CDI name devices.")
    ] = msgspec.field(default_factory=CdiSettings)
    health: Annotated[
        HealthSettings,
        msgspec.Meta(description="When a GPU is sick, and when it is well again."),
    ] = msgspec.field(default_factory=HealthSettings)
    machine_type_file: Annotated[
        str,
        msgspec.Meta(description="File of the host that names the machine, for a label."),
    ] = "/sys/class/dmi/id/product_name"
    simulation: Annotated[
        str,
        msgspec.Meta(
            description="File of the host that describes simulated GPUs, for tests and demos; "
            "the driver is not looked for then."
        ),
    ] = ""

    @property
    def nodes_root(self) -> str:
        """What device nodes lie below on the host, without a slash at the end."""
        return (self.dev_root or self.driver_root).rstrip("/")

    def __post_init__(self) -> None:
        _path(self.driver_root, "driverRoot")
        _path(self.container_driver_root, "containerDriverRoot")
        _path(self.dev_root, "devRoot")
        _path(self.machine_type_file, "machineTypeFile")
        _path(self.simulation, "simulation")
