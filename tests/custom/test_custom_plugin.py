"""What the package tells core about itself and this host."""

import shutil
import stat
import subprocess
import sys
from pathlib import Path

from nodeplug.host.root import HostRoot
from nodeplug.loader import load
from nodeplug_custom.plugin import SPEC, probe
from support.custom_host import FakeHost
from support.needs import require


def test_the_installed_package_is_found_by_name() -> None:
    """The entry point leads here."""
    assert load("custom") is SPEC


def test_the_probe_counts_device_nodes(fake: FakeHost) -> None:
    """Files and directories in /dev are no devices."""
    fake.node("/dev/a")
    fake.node("/dev/b", stat.S_IFBLK)
    fake.file("/dev/c")
    assert probe(fake.host.root).detail == f"2 device nodes in {fake.folder}/dev"


def test_the_probe_tells_of_a_missing_dev(tmp_path: Path) -> None:
    """Nothing to look at is an answer, not a failure."""
    presence = probe(HostRoot(tmp_path))
    assert (presence.present, presence.detail) == (
        False,
        f"{tmp_path}/dev cannot be read: No such file or directory",
    )


UNPRIVILEGED = """
import sys
from pathlib import Path
from nodeplug_custom.simulator import CustomSimulator

simulator = CustomSimulator(Path(sys.argv[1]))
print(simulator.lose(), simulator.settings["resources"][0]["devices"][0]["type"])
simulator.recover()
"""


def test_the_simulator_works_without_privileges(tmp_path: Path) -> None:
    """Where it may not make device nodes, it makes files, and says so in its settings."""
    shell = ["unshare", "--user", "--map-root-user"]
    require(shutil.which("unshare") is not None, "unshare is missing")
    probed = subprocess.run([*shell, "true"], check=False, capture_output=True)
    require(probed.returncode == 0, "this process may not make a user namespace")
    command = [*shell, sys.executable, "-c", UNPRIVILEGED, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "dev:custom-device-1 file\n"
    assert len([*(tmp_path / "dev").iterdir()]) == 4
