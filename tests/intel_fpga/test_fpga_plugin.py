"""What the package tells core, operators and people at the command line."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nodeplug.host.root import HostRoot
from nodeplug.loader import load
from nodeplug.values.errors import InvalidValueError
from nodeplug_intel_fpga.commands import info
from nodeplug_intel_fpga.plugin import SPEC, checks, explain, probe
from nodeplug_intel_fpga.simulated_cards import write
from support.bitstreams import IMAGE, aocx, gbs
from support.command import nodeplug
from support.fpga_host import (
    ADDRESS,
    AF,
    AFU,
    FIRST,
    INTERFACE,
    NOBODY,
    OTHER_AFU,
    REGION,
    FpgaHost,
)
from support.fpga_programming import BITSTREAM, RESOURCE, bitstream, section
from support.needs import require


def test_the_installed_package_is_found_by_name() -> None:
    """The entry point leads here."""
    assert load("intel_fpga") is SPEC


def test_metrics_have_a_port_of_their_own() -> None:
    """Four agents on one node do not fight over one."""
    assert SPEC.metrics_port == 9842


def test_the_probe_counts_ports_and_cards(fake: FpgaHost) -> None:
    """For `nodeplug backends`."""
    fake.card(AFU, AFU)
    fake.card(address="0000:e2:00.0")
    assert probe(fake.host.root).detail == f"3 ports on 2 cards in {fake.folder}/sys/class"


def test_the_probe_tells_of_a_host_without_cards(tmp_path: Path) -> None:
    """An answer, not a failure."""
    presence = probe(HostRoot(tmp_path))
    assert (presence.present, presence.detail) == (
        False,
        f"0 ports on 0 cards in {tmp_path}/sys/class",
    )


async def test_each_port_is_explained(fake: FpgaHost) -> None:
    """What it is part of, or why of nothing."""
    fake.card(AFU, AFU)
    fake.card(NOBODY, address="0000:e2:00.0")
    modes = {ADDRESS: "regiondevel"}
    verdicts = await explain(fake.settings(cards=modes), fake.host)
    assert [(v.device, v.resource, v.chosen, v.reason) for v in verdicts] == [
        (
            FIRST,
            REGION,
            True,
            f"dfl-port.0, dfl-port.1 and the engine of card {ADDRESS}, as regiondevel",
        ),
        (
            "0000:e2:00.0/dfl-port.2",
            "",
            False,
            "its AFU is not known; AFU id reads all ones",
        ),
    ]


async def test_a_sick_device_is_explained_with_its_reason(fake: FpgaHost) -> None:
    """It is served, and Unhealthy."""
    card = fake.card()
    write(card.engine / "errors/fme_errors", "0x1\n")
    (verdict,) = await explain(fake.settings(), fake.host)
    reason = (
        f"dfl-port.0 of card {ADDRESS}, as af; unhealthy: dfl-fme.0 errors/fme_errors reads 0x1"
    )
    assert (verdict.resource, verdict.chosen, verdict.reason) == (AF, True, reason)


def findings(fake: FpgaHost, **values: object) -> list[tuple[str, str, str]]:
    found = checks(fake.settings(**values), fake.host.root)
    return [(each.severity, each.subject, each.finding) for each in found]


def test_a_node_that_is_well_gives_no_findings(fake: FpgaHost) -> None:
    """The doctor is silent, with a bitstream that fits too."""
    fake.card()
    assert findings(fake, **section(fake, bitstream())) == []


def test_the_doctor_finds_a_card_without_driver(fake: FpgaHost) -> None:
    """And one with a driver for something else."""
    card = fake.card()
    (card.folder / "driver").unlink()
    card.place.rename(card.folder / "gone")
    (fake.folder / "sys/class/fpga_region/region0").unlink()
    (fake.folder / "sys/class/fpga_region/region1").unlink()
    assert findings(fake) == [("warning", f"PCI function {ADDRESS}", "has no driver")]
    (card.folder / "driver").symlink_to("../vfio-pci")
    assert findings(fake) == [("warning", f"PCI function {ADDRESS}", "has the driver vfio-pci")]


def test_the_doctor_finds_ports_that_are_sick_or_not_served(fake: FpgaHost) -> None:
    """With the reason."""
    card = fake.card(AFU, NOBODY)
    write(card.ports[0].folder / "errors/errors", "0x2\n")
    assert findings(fake) == [
        ("problem", FIRST, "is unhealthy: dfl-port.0 errors/errors reads 0x2"),
        (
            "warning",
            f"{ADDRESS}/dfl-port.1",
            "is not served: its AFU is not known; AFU id reads all ones",
        ),
    ]


def test_the_doctor_finds_a_resource_without_ports(fake: FpgaHost) -> None:
    """A card was taken out, or an address is mistyped."""
    fake.card()
    settings = section(fake, bitstream(), cards=["0000:99:*"])
    assert findings(fake, **settings) == [("warning", RESOURCE, "no port belongs to it")]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (None, "No such file or directory"),
        (b"x", "is neither a GBS nor an AOCX file"),
        (bitstream(AFU), f"holds the AFU {AFU}"),
    ],
)
def test_the_doctor_finds_bitstreams_that_would_be_refused(
    fake: FpgaHost, data: bytes | None, text: str
) -> None:
    """Before a pod does."""
    fake.card()
    assert findings(fake, **section(fake, data)) == [("problem", BITSTREAM, text)]


@pytest.mark.parametrize(("data", "kind"), [(gbs(), "GBS"), (aocx(), "AOCX")])
def test_a_bitstream_tells_what_settings_need_to_know(
    tmp_path: Path, data: bytes, kind: str
) -> None:
    """Format, ids, checksum, and the resources that pods of the peer asked for."""
    file = tmp_path / "a"
    file.write_bytes(data)
    assert info([str(file)]) == {
        "format": kind,
        "interface": INTERFACE,
        "afu": AFU,
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "image bytes": len(IMAGE),
        "resource in mode af": AF,
        "resource in mode region": REGION,
    }


def test_a_file_that_is_none_is_refused_by_name(tmp_path: Path) -> None:
    """A folder, say."""
    with pytest.raises(InvalidValueError, match="is no regular file"):
        info([str(tmp_path)])


def test_the_command_is_mounted(tmp_path: Path) -> None:
    """With one line, and exit code 1, for what is no bitstream."""
    file = tmp_path / "a.gbs"
    file.write_bytes(gbs())
    told = nodeplug("fpga", "info", str(file), "--output", "json")
    assert json.loads(told.out)["afu"] == AFU
    file.write_bytes(b"no bitstream")
    refused = nodeplug("fpga", "info", str(file))
    assert (refused.code, refused.err.count("\n")) == (1, 1)
    assert f"{file} is neither a GBS nor an AOCX file" in refused.err


def test_programming_is_the_only_feature_that_needs_privileges() -> None:
    """And it is off unless the operator names a resource."""
    needy = [each for each in SPEC.privileges if each.privileged or each.capabilities]
    assert [(each.feature, each.setting) for each in needy] == [("programming", "programming[]")]


DAEMON = """
import sys
import nodeplug_intel_fpga.plugin
rare = ("programming", "simulator", "simulated_cards", "doctor", "explain")
print([name for name in rare if f"nodeplug_intel_fpga.{name}" in sys.modules])
"""


def test_the_daemon_loads_nothing_that_is_rarely_needed() -> None:
    """Memory is promised."""
    said = subprocess.run(
        [sys.executable, "-c", DAEMON], capture_output=True, text=True, check=True
    ).stdout
    assert said == "[]\n"


UNPRIVILEGED = """
import sys
from pathlib import Path
from nodeplug_intel_fpga.simulator import FpgaSimulator

print(FpgaSimulator(Path(sys.argv[1])).settings)
"""


def test_the_simulator_works_without_privileges(tmp_path: Path) -> None:
    """Where it may not make device nodes, it makes files, and says so in its settings."""
    shell = ["unshare", "--user", "--map-root-user"]
    require(shutil.which("unshare") is not None, "unshare is missing")
    probed = subprocess.run([*shell, "true"], check=False, capture_output=True)
    require(probed.returncode == 0, "this process may not make a user namespace")
    command = [*shell, sys.executable, "-c", UNPRIVILEGED, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "{'health': {'ignore': ['node']}}\n"


async def test_the_simulator_has_every_kind_of_card(tmp_path: Path) -> None:
    """Both drivers, two ports in two regions, virtual functions."""
    settings = dict(SPEC.simulator(tmp_path).settings)
    found = (await FpgaHost(tmp_path).devices(None, **settings)).values()
    assert len(found) == 6
    assert {each.attributes["driver"] for each in found} == {"dfl", "opae"}
    assert sum(each.attributes["virtual"] is True for each in found) == 2
    assert {str(each.attributes["model"]) for each in found} == {"PAC-A10", "PAC-D5005"}
    assert OTHER_AFU in {each.attributes["afuId"] for each in found}
