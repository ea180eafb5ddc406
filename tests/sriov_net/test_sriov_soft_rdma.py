"""RDMA devices that lie upon network devices: as messages, for lack of their drivers here."""

import struct

import pytest

from nodeplug_sriov_net.adapters import address_of
from nodeplug_sriov_net.candidates import Surroundings, candidates
from nodeplug_sriov_net.facts import Rdma
from nodeplug_sriov_net.netlink import Answer, Message
from nodeplug_sriov_net.soft_rdma import read_soft_rdma, soft_devices
from nodeplug_sriov_net.survey import Survey
from support.netlink_messages import attribute, text
from support.sriov_host import FakeHost


def test_an_rdma_device_upon_a_network_device_makes_it_capable(fake: FakeHost) -> None:
    """As `rdma link` shows those of rdma_rxe and siw, which are below no function."""
    place = fake.one_function("iavf")
    fake.tree.netdev(place, "ens1v0", index=7)
    around = Surroundings(rdma={7: [Rdma("rxe0", ("/dev/infiniband/uverbs0",))]})
    found = {each.id: each.part for each in candidates(Survey(fake.host.root).look(), around)}
    assert [each.name for each in found[address_of(0, 0)].rdma] == ["rxe0"]
    assert (found[address_of(0, 0)].capable, found[address_of(0)].capable) == (True, False)


def test_rdma_devices_on_no_bus_are_asked_for_with_their_nodes(
    fake: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel says upon which link each lies."""
    fake.tree.link("/class/infiniband/rxe0", "/devices/virtual/infiniband/rxe0")
    fake.tree.link("/class/infiniband/mlx5_0", "/devices/pci0000:3a/infiniband/mlx5_0")
    fake.tree.put("/class/infiniband_verbs/uverbs4", ibdev="rxe0")
    name, index = text(2, "rxe0"), attribute(1, struct.pack("=I", 3))
    link = attribute(50, struct.pack("=I", 7))
    answers = {5 << 10 | 1: index + name, 5 << 10 | 5: index + link}

    def ask(_: int, kind: int, *_rest: object, **_more: object) -> Answer:
        return Answer([Message(kind, 0, answers[kind])], whole=True)

    monkeypatch.setattr("nodeplug_sriov_net.soft_rdma.ask", ask)
    names = soft_devices(fake.host.root)
    found = read_soft_rdma(fake.host.root, names)
    assert found == {7: [Rdma("rxe0", ("/dev/infiniband/uverbs4",))]}
