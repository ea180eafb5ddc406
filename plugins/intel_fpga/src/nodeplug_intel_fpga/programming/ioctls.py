"""The request that programs a port, in the terms of either driver."""

import ctypes
import fcntl
import struct
from typing import Final, NamedTuple


class Request(NamedTuple):
    """An ioctl: its number, the form of its argument, and whether a status comes last in it.

    The form begins with its own size, flags, the port's number, the image's size and address.
    """

    number: int
    form: struct.Struct
    has_status: bool


# Linux, include/uapi/linux/fpga-dfl.h: DFL_FPGA_FME_PORT_PR, struct dfl_fpga_fme_port_pr.
# OPAE's driver has the same with another magic number, and a status behind.
PROGRAM: Final = {
    "dfl": Request(0xB680, struct.Struct("@IIIIQ"), has_status=False),
    "opae": Request(0xB580, struct.Struct("@IIIIQQ"), has_status=True),
}


def program(engine: int, driver: str, port: int, image: memoryview) -> int:
    """Let an open engine (FME) load an image into one of its ports; return the driver's status.

    The image is in memory that can be written, though nobody does: so its address can be had
    without a copy. Blocks for seconds; raises OSError when the driver refuses. The status is 0 for
    success.
    """
    request = PROGRAM[driver]
    size = len(image)
    buffer = (ctypes.c_char * size).from_buffer(image)
    values = [request.form.size, 0, port, size, ctypes.addressof(buffer)]
    argument = bytearray(request.form.pack(*values, *([0] if request.has_status else [])))
    fcntl.ioctl(engine, request.number, argument)
    status: int = request.form.unpack(argument)[-1] if request.has_status else 0
    return status
