"""The two kernel drivers, and where in sysfs each has what."""

from typing import Final, NamedTuple


class Layout(NamedTuple):
    """One driver's names.

    `folders` is the class with one entry a PCI function, `folder` what their names begin with;
    `fme` and `port` begin the names of management engines and of ports in such a folder.
    `interfaces` leads from an engine to its interface ids, with "*" for a number. `registers` are
    error registers of an engine, all zero when it is well; `alarms` read 0 while all is well;
    `temperature` and `power` are readings with the factor that makes them degrees and watts.
    """

    name: str
    driver: str
    folders: str
    folder: str
    fme: str
    port: str
    interfaces: str
    registers: tuple[str, ...]
    alarms: tuple[str, ...]
    temperature: tuple[str, float]
    power: tuple[str, float]


# Kernel, Documentation/ABI/testing/sysfs-platform-dfl-{fme,port}: in the kernel since 4.19.
DFL: Final = Layout(
    name="dfl",
    driver="dfl-pci",
    folders="fpga_region",
    folder="region",
    fme="dfl-fme.",
    port="dfl-port.",
    interfaces="dfl-fme-region.*/fpga_region/region*/compat_id",
    registers=tuple(
        f"errors/{name}_errors" for name in ("fme", "catfatal", "nonfatal", "pcie0", "pcie1")
    ),
    alarms=(
        "hwmon/hwmon*/temp1_crit_alarm",
        "hwmon/hwmon*/power1_crit_alarm",
    ),
    temperature=("hwmon/hwmon*/temp1_input", 1e-3),
    power=("hwmon/hwmon*/power1_input", 1e-6),
)

# OPAE's driver guide: out of tree, for kernels before that.
OPAE: Final = Layout(
    name="opae",
    driver="intel-fpga-pci",
    folders="fpga",
    folder="intel-fpga-dev.",
    fme="intel-fpga-fme.",
    port="intel-fpga-port.",
    interfaces="pr/interface_id",
    registers=(
        "errors/fme-errors/errors",
        *(f"errors/{name}_errors" for name in ("catfatal", "nonfatal", "pcie0", "pcie1")),
    ),
    alarms=("thermal_mgmt/threshold2_reached", "power_mgmt/threshold2_status"),
    temperature=("thermal_mgmt/temperature", 1.0),
    power=("power_mgmt/consumed", 1.0),
)

LAYOUTS: Final = (DFL, OPAE)


def layout(name: str) -> Layout:
    """Return the layout of that name."""
    return next(each for each in LAYOUTS if each.name == name)
