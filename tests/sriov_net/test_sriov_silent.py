"""A device that does not answer: who waits for it, and what is said of it."""

import asyncio
import contextlib
import errno
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nodeplug.host.fallbacks import fallbacks
from nodeplug.host.root import HostRoot
from nodeplug.values.inventory import Inventory
from nodeplug_sriov_net.adapters import (
    address_of,
    function_place,
    mellanox_adapter,
)
from nodeplug_sriov_net.explain import explain
from nodeplug_sriov_net.findings import findings
from nodeplug_sriov_net.listening import listen
from nodeplug_sriov_net.survey import SILENT
from support.needs import require
from support.slow_files import SlowFiles, can_serve_files
from support.sriov_host import FakeHost, discover, reasons, settings, until, watching

VF0, VF1 = address_of(0, 0), address_of(0, 1)
HUNG, OTHER = function_place(0, 0), function_place(0, 1)
POOL = {"name": "example.com/pool"}
UNREAD = "a device does not answer: its attributes cannot be read"


@pytest.fixture
def host(fake: FakeHost) -> FakeHost:
    """Give a host with an adapter of four functions."""
    require(can_serve_files(), "a file system of our own needs root and /dev/fuse")
    mellanox_adapter(fake.tree, 0, functions=4)
    return fake


@contextlib.contextmanager
def hanging(fake: FakeHost) -> Iterator[SlowFiles]:
    """Have an attribute of a function, which its firmware is asked for, not answer any more."""
    keys = fake.tree.path(f"/sys{HUNG}/infiniband/mlx5_0_1/ports/1/pkeys")
    with SlowFiles(keys, "0") as files:
        files.hang()
        yield files


def flip(fake: FakeHost, driver: str) -> None:
    fake.tree.driver(OTHER, driver)
    fake.tree.tell("bind" if driver else "unbind", OTHER)


def _has(driver: str) -> Callable[[Inventory], bool]:
    return lambda each: each.devices[VF1].healthy == bool(driver)


async def test_a_function_that_does_not_answer_is_unhealthy_alone(host: FakeHost) -> None:
    """With the reason; the others of its adapter are what they were."""
    async with watching(host.backend(settings({}))) as inventories:
        with hanging(host):
            host.tree.tell("change", HUNG)
            told = reasons(await until(inventories, lambda each: any(reasons(each).values())))
    assert told == {address_of(0, n): SILENT if n == 0 else "" for n in range(4)}
    assert not fallbacks()


async def test_a_function_that_answers_again_is_believed(host: FakeHost) -> None:
    """Without any further event; what watches the agent is told of both."""
    async with watching(host.backend(settings({}))) as inventories:
        with hanging(host) as files:
            host.tree.tell("change", HUNG)
            await until(inventories, lambda each: any(reasons(each).values()))
            assert fallbacks() == {
                f"sriov_net: {VF0}": "a device does not answer: its attributes cannot be read"
            }
            files.go_on()
            await until(inventories, lambda each: not any(reasons(each).values()))
    assert not fallbacks()


async def test_a_function_that_hangs_at_the_start_holds_up_no_other(host: FakeHost) -> None:
    """Nothing is known of it but its address, by which it is told."""
    with hanging(host):
        found = await discover(host.backend(settings({})))
        assert {*found.devices} == {address_of(0, n) for n in (1, 2, 3)}
        assert found.left_out == {VF0: SILENT}


async def test_functions_of_an_adapter_that_hangs_at_the_start_are_in_no_wrong_pool(
    host: FakeHost,
) -> None:
    """Which pool wants them, its name may decide."""
    keys = host.tree.path(f"/sys{function_place(0, None)}/infiniband/mlx5_0_0/ports/1/pkeys")
    catch_all = {"name": "example.com/all"}
    by_name = {**POOL, "selectors": [{"pfNames": ["ens1f0*"]}]}
    by_address = {**POOL, "selectors": [{"rootDevices": [address_of(0)]}]}
    with SlowFiles(keys, "0") as files:
        files.hang()
        named = await discover(host.backend(settings(by_name, catch_all)))
        assert not named.devices
        found = await discover(host.backend(settings(by_address, catch_all)))
        assert {each.resource for each in found.devices.values()} == {POOL["name"]}
        assert len(found.devices) == 4


async def test_a_hung_function_costs_one_thread_however_often_it_is_asked(host: FakeHost) -> None:
    """Over looks, and over the reloads of a configuration."""
    before, first = {*threading.enumerate()}, host.backend(settings({}))
    async with watching(first) as inventories:
        with hanging(host):
            for driver in ("", "mlx5_core") * 3:
                host.tree.tell("change", HUNG)
                flip(host, driver)
                await until(inventories, _has(driver))
            await discover(host.backend(settings({}), first.memory))
            for each in {*threading.enumerate()} - before:
                await asyncio.to_thread(each.join, 0.1)
            new = {*threading.enumerate()} - before
            assert sum(each.name == "read" for each in new) == 1


async def test_doctor_and_explanation_name_a_hung_function(host: FakeHost) -> None:
    """By its address, and soon."""
    wanted = settings({})
    with hanging(host):
        found = await asyncio.to_thread(findings, wanted, host.host.root)
        assert [(each.subject, each.finding) for each in found] == [(VF0, SILENT)]
        verdicts = await explain(wanted, host.host)
        assert [each.reason for each in verdicts if each.device == VF0] == [SILENT]


@pytest.mark.parametrize("module", ["network.Network", "devlink.Devlink"])
async def test_a_kernel_that_refuses_netlink_is_told(
    monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    """What is asked for by it is not seen; as long as somebody wants to."""

    async def refused(_: object) -> None:
        raise OSError(errno.EPROTONOSUPPORT, "Protocol not supported")

    async def heard(_: object) -> None:
        pass

    monkeypatch.setattr("nodeplug_sriov_net.network.Network.open", heard)
    monkeypatch.setattr(f"nodeplug_sriov_net.{module}.open", refused)
    what = "devlink" if "Devlink" in module else "netlink"
    wanted = settings({"health": {"reporters": True}}, netlink="on")
    async with listen(HostRoot(Path("/")), wanted, lambda _: None):
        told = f"{what} unavailable: [Errno 93] Protocol not supported"
        assert fallbacks() == {what: told}
    assert fallbacks() == {}
