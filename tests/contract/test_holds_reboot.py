"""After a reboot a container that starts again gets what it had, or its pod is refused (R45)."""

import shutil

from kubelets.kinds import Kind
from nodeplug.testing import Kubelet, Pod
from support.backends_stage import Play, Running, Sections, Tree, backends_stage, custom

CAMERA = "example.com/camera"
USB = {"vendor": "046d"}
CAMERAS: Sections = custom(
    {"name": CAMERA, "hardware": [{"usb": USB, "udev": {"subsystem": "video4linux"}}]}
)


def plug(play: Play, *serials: str) -> None:
    """Plug cameras in, which the kernel numbers in this order."""
    shutil.rmtree(play.root, ignore_errors=True)
    play.root.mkdir()
    tree = Tree(play)
    for number, serial in enumerate(serials):
        usb = tree.usb(f"1-{serial[1]}", serial=serial, number=5 + number)
        tree.node(usb, "video4linux", f"video{number}", interface="1.0")


async def reboot(play: Play, agent: Running, *serials: str) -> list[str]:
    """Start everything anew; return the names of the pods that are refused."""
    await agent.stop()
    if isinstance(play.kubelet, Kubelet):
        await play.kubelet.lose_power()
    else:
        await play.kubelet.stop()
    shutil.rmtree(play.ledger, ignore_errors=True)  # it was in memory
    plug(play, *serials)
    await play.kubelet.start(ready=False)
    play.start(CAMERAS)
    await play.kubelet.until(lambda: "Healthy" in play.health(CAMERA).values())
    return await play.kubelet.readmit(running=False)


async def one_in_use(play: Play) -> tuple[Running, Pod, str]:
    """Let a pod have the first of three cameras; return its id, too."""
    plug(play, "A1", "B2", "C3")
    agent = play.start(CAMERAS)
    await play.listed(CAMERA, 3)
    pod, _ = await play.given_what(CAMERA, "/dev/video0")
    [camera] = (each for each in play.kubelet.held(CAMERA) if "A1" in each)
    return agent, pod, camera


async def test_a_pod_whose_node_is_another_camera_now_is_refused(kind: Kind) -> None:
    """The kubelet would give it /dev/video0 again, which is what somebody else may have by now."""
    async with backends_stage(kind) as play:
        agent, pod, _ = await one_in_use(play)
        assert await reboot(play, agent, "B2", "A1", "C3") == [pod.name]
        [said] = [event.detail for event in play.kubelet.journal.of("reject")]
        assert "previously allocated devices are no longer healthy" in said


async def test_a_camera_that_was_refused_to_its_pod_is_given_to_the_next(kind: Kind) -> None:
    """With the node that it has now."""
    async with backends_stage(kind) as play:
        agent, _, camera = await one_in_use(play)
        await reboot(play, agent, "B2", "A1", "C3")
        await play.listed(CAMERA, 3)
        _, hardware = await play.given_what(CAMERA, "/dev/video1")
        assert hardware
        assert camera in play.kubelet.held(CAMERA)


async def test_a_pod_whose_node_is_the_same_camera_starts_again(kind: Kind) -> None:
    """As almost always."""
    async with backends_stage(kind) as play:
        agent, pod, camera = await one_in_use(play)
        assert await reboot(play, agent, "A1", "B2", "C3") == []
        run = await play.kubelet.start_container(pod, "c0")
        assert list(run.devices) == ["/dev/video0"]
        assert camera in play.kubelet.held(CAMERA)
