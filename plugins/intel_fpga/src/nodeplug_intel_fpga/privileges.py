"""What the process needs on the host."""

from typing import Final

from nodeplug.backend import HostMount, Privilege

PRIVILEGES: Final = (
    Privilege(
        feature="finding cards",
        reason="attributes are read in /sys; device nodes are looked at and never opened",
        mounts=[HostMount("/sys"), HostMount("/dev")],
    ),
    Privilege(
        feature="programming",
        setting="programming[]",
        reason="the device nodes of ports and engines are opened, which only a privileged "
        "container can do; bitstreams are read where the settings say",
        mounts=[HostMount("/dev", read_only=False), HostMount("/srv/intel.com/fpga")],
        privileged=True,
    ),
)
