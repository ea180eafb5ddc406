"""Where devices are, how close they are to each other, and how that is shown."""

import json
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from nodeplug.host.root import HostRoot
from nodeplug.offers import Offer, OfferedDevice
from nodeplug.operations.topology.closeness import LIMIT, Closeness, Ties, closeness_of
from nodeplug.operations.topology.places import Node, devices_in, spots_of, tree_of
from nodeplug.operations.topology.svg import draw
from nodeplug.operations.topology.text import matrix_lines, tree_lines
from nodeplug.placement.atlas import Atlas
from nodeplug.placement.prefer import prefer
from nodeplug.values.device import Device, Health
from nodeplug.values.inventory import Inventory
from support.awkward.state import State, write_state
from support.command import Result, nodeplug, write_config
from support.packages import install

GPU = "example.com/gpu"
ROOT = "pci0000:00"

BRIDGED = """
from dataclasses import replace
from nodeplug.backend import hookimpl
from nodeplug.values.device import Device
from nodeplug.values.inventory import Inventory
from support.awkward.backend import SPEC as AWKWARD
from support.ward import Fixed

class Bridged(Fixed):
    async def inventories(self):
        yield Inventory.of(self._devices, links={("gpu0", "gpu2"): 6})

def build(settings, host, previous):
    places = [("a",), ("a",), ("b",)]
    return Bridged(*(
        Device(id=f"gpu{n}", resource="example.com/gpu", numa_nodes=(0,), location=("pci", *place))
        for n, place in enumerate(places)
    ))

SPEC = replace(AWKWARD, name="bridged", build=build)

@hookimpl
def nodeplug_backend():
    return SPEC
"""


def gpu(
    name: str, *location: str, numa: int | None = 0, parent: str = "", sick: str = ""
) -> Device:
    return Device(
        id=name,
        resource=GPU,
        numa_nodes=() if numa is None else (numa,),
        location=location,
        parent=parent,
        health=Health.UNHEALTHY if sick else Health.HEALTHY,
        reason=sick,
    )


def tree(*devices: Device) -> list[Node]:
    return tree_of(spots_of({"gpus": Inventory.of(devices)}))


def closeness(*devices: Device, links: Mapping[tuple[str, str], int] | None = None) -> Closeness:
    found = closeness_of(list(devices_in(tree(*devices))), links or {})
    assert found is not None
    return found


def parsed(picture: str) -> list[tuple[str, ET.Element]]:
    """Return the elements of a picture, each with its name."""
    root = ET.fromstring(picture.encode())  # noqa: S314 - our own
    return [(element.tag.partition("}")[2], element) for element in root.iter()]


def lines(*devices: Device) -> list[str]:
    return [line.partition("  example.com")[0] for line in tree_lines(tree(*devices))]


def test_devices_stand_below_their_numa_nodes_and_bridges() -> None:
    """Bridges that lead to one bridge only are one line; numbers go by value."""
    assert lines(
        gpu("far", "pci0000:80", "0000:80:01.0", numa=10),
        gpu("one", ROOT, "0000:00:02.0", "0000:01:00.0"),
        gpu("two", ROOT, "0000:00:02.0", "0000:01:00.0"),
        gpu("three", ROOT, "0000:00:10.0", numa=2),
        gpu("lost", numa=None),
    ) == [
        "├─ no NUMA node",
        "│  └─ lost",
        "├─ NUMA node 0",
        "│  └─ pci0000:00 > 0000:00:02.0 > 0000:01:00.0",
        "│     ├─ one",
        "│     └─ two",
        "├─ NUMA node 2",
        "│  └─ pci0000:00 > 0000:00:10.0",
        "│     └─ three",
        "└─ NUMA node 10",
        "   └─ pci0000:80 > 0000:80:01.0",
        "      └─ far",
    ]


def test_parts_stand_below_their_device() -> None:
    """Whether it is offered itself or only in parts."""
    assert lines(gpu("card"), gpu("card-1", parent="card"), gpu("x-1", parent="x")) == [
        "└─ NUMA node 0",
        "   ├─ card",
        "   │  └─ card-1",
        "   └─ x",
        "      └─ x-1",
    ]


def test_a_device_tells_resource_health_and_backend() -> None:
    """In its line."""
    (_, line) = tree_lines(tree(gpu("card", sick="too hot")))
    assert line.split("  ") == ["", " └─ card", GPU, "Unhealthy: too hot", "(gpus)"]


def test_two_backends_with_one_id_are_both_shown() -> None:
    """The agent would serve but one of them: the more reason to see both."""
    found = {name: Inventory.of([gpu("card")]) for name in ("one", "two")}
    shown = list(devices_in(tree_of(spots_of(found))))
    assert [spot.backend for spot in shown] == ["one", "two"]


def test_ties_are_numa_node_common_places_and_links() -> None:
    """What all devices share tells nothing and is not counted."""
    found = closeness(
        gpu("a", ROOT, "x"),
        gpu("b", ROOT, "x"),
        gpu("c", ROOT, "y"),
        gpu("d", ROOT, "z", numa=1),
        links={("a", "d"): 4},
    )
    positions = {name: number for number, name in enumerate(found.ids)}
    ties = {
        other: found.ties(positions["a"], positions[other]) for other in found.ids if other != "a"
    }
    assert ties == {"b": Ties(True, 1, 0), "c": Ties(True, 0, 0), "d": Ties(False, 0, 4)}
    assert [str(each) for each in ties.values()] == ["NP1", "N", "L4"]


def test_parts_of_a_device_count_once_in_the_matrix() -> None:
    """Ties are between physical devices."""
    assert closeness(gpu("m1", parent="card"), gpu("m2", parent="card"), gpu("other")).ids == [
        "card",
        "other",
    ]


def test_the_closest_pair_is_the_one_that_a_container_would_get() -> None:
    """What is shown is what preferred allocation goes by."""
    devices = [gpu(f"g{n}", ROOT, f"bridge{n % 3}", numa=n % 2) for n in range(6)]
    links = {("g1", "g5"): 3}
    found = closeness(*devices, links=links)
    offered = tuple(OfferedDevice(each.id, each) for each in devices)
    atlas = Atlas.of(Offer(GPU, offered, links=links))
    preferred = prefer(atlas, "aligned", [each.id for each in devices], [], 2)
    one, other = max(found.pairs(), key=lambda pair: found.weights[pair[0]][pair[1]])
    assert sorted((found.ids[one], found.ids[other])) == preferred == ["g1", "g5"]


def test_distances_of_very_many_devices_are_left_out() -> None:
    """Their number grows with the square."""
    spots = spots_of({"gpus": Inventory.of(gpu(f"g{n}") for n in range(LIMIT + 1))})
    assert closeness_of(spots, {}) is None
    assert closeness_of(spots[1:], {}) is not None


def test_the_matrix_is_symmetric_and_aligned() -> None:
    """A row and a column for each device."""
    header, *rows = matrix_lines(closeness(gpu("a", "x"), gpu("b", "x"), gpu("c", "y", numa=1)))
    assert header.split() == ["0", "1", "2"]
    assert [row.split()[2:] for row in rows] == [
        ["=", "NP1", "-"],
        ["NP1", "=", "-"],
        ["-", "-", "="],
    ]
    assert {len(row) for row in rows} == {len(header)}


def test_the_picture_is_xml_with_every_device_and_tie() -> None:
    """Sick devices are red."""
    devices = [gpu("a", "x"), gpu("b", "x", sick="too hot")]
    elements = parsed(draw(tree(*devices), closeness(*devices)))
    texts = [element.text or "" for tag, element in elements if tag == "text"]
    circles = [element.get("fill") for tag, element in elements if tag == "circle"]
    assert [text.split()[0] for text in texts[:4]] == ["NUMA", "x", "a", "b"]
    assert texts.count("N") == 2
    assert len({*circles}) == 2


def test_the_picture_holds_no_markup_but_its_own() -> None:
    """Places and reasons come from drivers; control characters would break the file."""
    evil = "<script>alert('&')</script>\x1b\x00\ud800"
    text = draw(tree(gpu("a", evil), gpu("b", sick=evil)), None)
    assert {tag for tag, _ in parsed(text)} == {"svg", "rect", "text", "path", "circle"}
    assert text.replace("\n", "").isprintable()


def run(site: Path, *arguments: str) -> Result:
    """Run the command with two backends."""
    install(site, "awkward", "from support.awkward.backend import nodeplug_backend\n")
    install(site, "bridged", BRIDGED)
    config = write_config(site, {"host": {"root": str(site)}})
    backends = ("--backend", "awkward", "--backend", "bridged")
    return nodeplug("topology", *backends, "--config", str(config), *arguments, site=site)


def play(site: Path, boards: int = 4, *, crash: bool = False) -> None:
    write_state(HostRoot(site), State(boards=boards, crash=crash))


def test_the_command_shows_the_devices_of_all_backends(tmp_path: Path) -> None:
    """A tree, a matrix, and what its cells mean."""
    play(tmp_path, 1)
    result = run(tmp_path)
    rows = result.out.splitlines()
    assert (result.code, rows[0]) == (0, "└─ NUMA node 0")
    assert "   ├─ awk-board-0  awkward.example.com/board  Healthy  (awkward)" in rows
    assert "   │  ├─ awk-board-0-slice-0  awkward.example.com/slice  Healthy  (awkward)" in rows
    cells = [row.split() for row in rows]
    assert ["0", "awk-board-0", "=", "N", "N", "N"] in cells
    assert ["1", "gpu0", "N", "=", "NP2", "NP1L6"] in cells


def test_json_has_devices_and_pairs(tmp_path: Path) -> None:
    """Pairs with nothing in common are left out."""
    play(tmp_path, 2)
    shown = json.loads(run(tmp_path, "--output", "json").out)
    by_id = {each["id"]: each for each in shown["devices"]}
    assert by_id["gpu1"]["location"] == ["pci", "a"]
    assert by_id["awk-board-1-slice-0"]["parent"] == "awk-board-1"
    pairs = {tuple(each["devices"]): each for each in shown["pairs"]}
    assert pairs["gpu0", "gpu2"]["link"] == 6
    assert not any("awk-board-1" in pair for pair in pairs)


def test_a_picture_is_written_besides(tmp_path: Path) -> None:
    """Into the file named."""
    play(tmp_path)
    assert run(tmp_path, "--svg", str(tmp_path / "node.svg")).code == 0
    assert parsed((tmp_path / "node.svg").read_text())[0][0] == "svg"


@pytest.mark.parametrize(
    ("crash", "arguments", "problem"),
    [
        (True, (), "backend awkward: discovery failed: RuntimeError"),
        (False, ("--svg", "/proc/none/x.svg"), "/proc/none/x.svg: No such file or directory"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    tmp_path: Path,
    crash: bool,  # noqa: FBT001
    arguments: tuple[str, ...],
    problem: str,
) -> None:
    """And exit code 1."""
    play(tmp_path, crash=crash)
    result = run(tmp_path, *arguments)
    assert result.code == 1
    (line,) = result.err.splitlines()
    assert line.startswith(f"nodeplug: {problem}")
