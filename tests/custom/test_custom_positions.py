"""Where below a device a part is, without what the kernel numbers anew."""

import pytest

from nodeplug_custom.positions import label_of, position_of


@pytest.mark.parametrize(
    ("below", "position", "label"),
    [
        ("1-2:1.0/host6/target6:0:0/6:0:0:1/block/sdb", "host 0:0:1 block sd", "0:0:1"),
        ("1-2:1.0/host6/target6:0:0/6:0:0:0/block/sda/sda2", "host 0:0:0 block sd p2", "0:0:0-p2"),
        ("nvme/nvme3/nvme3n1/nvme3n1p2", "nvme nvme n1 p2", "n1-p2"),
        ("mmc0/mmc0:0001/block/mmcblk0/mmcblk0p1", "mmc 0001 block mmcblk p1", "0001-p1"),
        ("virtio2/block/vdb/vdb1", "virtio block vd p1", "p1"),
        ("sound/card2/pcmC2D1p", "sound card pcmCD1p", "pcmCD1p"),
        ("sound/card2/controlC2", "sound card controlC", "controlC"),
        (
            "1-2:1.1/0003:046D:C52B.0005/0003:046D:4082.0006/input/input9/event5",
            "0003:046D:C52B. 0003:046D:4082. input input event",
            "event",
        ),
        ("1-2:1.0/ttyUSB3/tty/ttyUSB3", "ttyUSB tty ttyUSB", "ttyUSB"),
        ("drm/renderD129", "drm renderD", "renderD"),
        ("", "", ""),
    ],
)
def test_only_what_stays_over_a_replug_tells_parts_apart(
    below: str, position: str, label: str
) -> None:
    """A unit of a card reader and a partition stay what they are; a kernel name does not."""
    steps = position_of(f"/{below}")
    assert " ".join(steps) == position
    assert label_of(steps) == label
