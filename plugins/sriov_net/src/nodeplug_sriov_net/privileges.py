"""What the process needs on the host, by feature."""

from typing import Final

from nodeplug.backend import HostMount, Privilege
from nodeplug_sriov_net.device_info import FOLDER

PRIVILEGES: Final = (
    Privilege(
        feature="functions, links and routes",
        reason="/sys and netlink show network devices of the process's own network namespace only",
        host_network=True,
    ),
    Privilege(
        feature="device-info files",
        reason="Multus hands them to CNI plugins",
        mounts=[HostMount(FOLDER, read_only=False)],
    ),
)
