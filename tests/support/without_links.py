"""Runs a command that may make no hard links, as on a file system without them.

Usage: without_links.py COMMAND ARGUMENT...
"""

import ctypes
import errno
import os
import platform
import struct
import sys

# From the kernel's headers for prctl, seccomp and filters.
_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 38, 22, 2
_LOAD_NUMBER, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000
# link and linkat
_NUMBERS = {"x86_64": (86, 265), "aarch64": (37,)}


def main() -> None:
    numbers = _NUMBERS[platform.machine()]
    steps = [
        (_LOAD_NUMBER, 0, 0, 0),
        *((_JUMP_IF_EQUAL, len(numbers) - n, 0, number) for n, number in enumerate(numbers)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _FAIL | errno.EPERM),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    for call in ((_NO_NEW_PRIVILEGES, 1, 0, 0, 0), (_SECCOMP, _FILTER, program, 0, 0)):
        if libc.prctl(*call) != 0:
            raise OSError(ctypes.get_errno(), "prctl")
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - there is no shell


if __name__ == "__main__":
    main()
