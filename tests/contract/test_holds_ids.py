"""A pod's hardware is not given under an id that moves: twins, rows, links and sets."""

from kubelets.kinds import Kind
from support.backends_stage import Tree, backends_stage, custom, files

THING = "example.com/thing"


async def test_a_second_stick_of_one_serial_number_does_not_take_the_place_of_the_first(
    kind: Kind,
) -> None:
    """Cheap sticks all have the same; whoever is plugged in later is another."""
    async with backends_stage(kind) as play:
        tree = Tree(play)
        tree.usb("1-2", serial="A1", number=5)
        play.start(custom({"name": THING, "hardware": [{"usb": {"vendor": "046d"}}]}))
        await play.listed(THING, 1)
        _, taken = await play.given(THING)
        tree.usb("1-1", serial="A1", number=6)
        await play.settled(THING, 2)
        _, others = await play.rest(THING)
        assert len(others) == 1
        assert others.isdisjoint(taken)


async def test_a_row_that_goes_moves_no_other(kind: Kind) -> None:
    """Rows of zipped paths are put together by order; those in use stay together."""
    async with backends_stage(kind) as play:
        for number in (0, 1):
            play.node(f"/dev/a{number}", 10 + number)
            play.node(f"/dev/b{number}", 20 + number)
        zipped = {"paths": [{"path": "/dev/a*"}, {"path": "/dev/b*"}]}
        play.start(custom({"name": THING, "zipped": [zipped]}))
        await play.listed(THING, 2)
        _, taken = await play.given_what(THING, "/dev/a0")
        (play.root / "dev/a0").unlink()
        await play.settled(THING, 1)
        _, others = await play.rest(THING)
        assert others.isdisjoint(taken)


async def test_a_node_that_loses_a_name_is_not_a_new_one(kind: Kind) -> None:
    """Two links lead to it; the device was called after the one that goes."""
    async with backends_stage(kind) as play:
        play.node("/dev/real0", 10)
        for name in ("link-a", "link-b"):
            (play.root / "dev" / name).symlink_to("real0")
        play.start(custom(files(THING, "/dev/link-*")))
        await play.listed(THING, 1)
        _, taken = await play.given(THING)
        assert taken
        (play.root / "dev/link-a").unlink()
        play.node("/dev/link-c", 11)
        await play.kubelet.until(lambda: len(play.health(THING)) > 1)
        _, others = await play.rest(THING)
        assert others == {"char 240:11"}


async def test_a_set_is_together_after_a_restart_of_the_agent(kind: Kind) -> None:
    """What was plugged in since would make another pair of what a pod has half of."""
    async with backends_stage(kind) as play:
        tree = Tree(play)
        members = [{"udev": {"subsystem": each}} for each in ("kinda", "kindb")]
        sections = custom({"name": THING, "sets": [{"members": members}]})
        for kinds, name in (("kinda", "a1"), ("kinda", "a2"), ("kindb", "b2")):
            tree.node("/devices/virtual", kinds, name)
        agent = play.start(sections)
        await play.listed(THING, 1)
        _, taken = await play.given(THING)
        await agent.stop()
        tree.node("/devices/virtual", "kindb", "b1")
        play.start(sections)
        await play.settled(THING, 2)
        _, others = await play.rest(THING)
        assert len(others) == 2
        assert others.isdisjoint(taken)
