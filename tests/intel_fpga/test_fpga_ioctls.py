"""The requests to the drivers, compared with the kernel's own header files."""

import shutil
import subprocess
from pathlib import Path

import pytest

from nodeplug_intel_fpga.programming.ioctls import PROGRAM
from support.needs import require

HEADER = Path("/usr/include/linux/fpga-dfl.h")
FIELDS = ("argsz", "flags", "port_id", "buffer_size", "buffer_address")

SOURCE = """
#include <linux/fpga-dfl.h>
#include <stddef.h>
#include <stdio.h>
#define FIELD(name) printf(#name " %zu %zu\\n", \\
    offsetof(struct dfl_fpga_fme_port_pr, name), sizeof(((struct dfl_fpga_fme_port_pr *)0)->name))
int main(void)
{
    printf("request %u\\n", (unsigned)DFL_FPGA_FME_PORT_PR);
    printf("size %zu\\n", sizeof(struct dfl_fpga_fme_port_pr));
    FIELD(argsz);
    FIELD(flags);
    FIELD(port_id);
    FIELD(buffer_size);
    FIELD(buffer_address);
}
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[int]]:
    """Let the compiler say what the kernel's header means on this machine."""
    compiler = shutil.which("cc")
    require(compiler is not None and HEADER.exists(), "cc or linux-libc-dev is missing")
    folder = tmp_path_factory.mktemp("kernel")
    (folder / "a.c").write_text(SOURCE)
    subprocess.run([str(compiler), "-o", folder / "a", folder / "a.c"], check=True)
    said = subprocess.run([folder / "a"], check=True, capture_output=True, text=True).stdout
    return {line.split()[0]: [*map(int, line.split()[1:])] for line in said.splitlines()}


def layout(form: str) -> list[list[int]]:
    """Return offset and size of each field of a form."""
    found, offset = [], 0
    for letter in form.lstrip("@"):
        size = {"I": 4, "Q": 8}[letter]
        offset += -offset % size
        found.append([offset, size])
        offset += size
    return found


def test_the_request_has_the_kernels_number(kernel: dict[str, list[int]]) -> None:
    """With another, the driver would do something else."""
    assert PROGRAM["dfl"].number == kernel["request"][0]


def test_the_argument_has_the_kernels_size(kernel: dict[str, list[int]]) -> None:
    """The driver refuses a shorter one."""
    assert PROGRAM["dfl"].form.size == kernel["size"][0]


def test_the_argument_has_the_kernels_fields(kernel: dict[str, list[int]]) -> None:
    """Each at its place, of its size."""
    assert layout(PROGRAM["dfl"].form.format) == [kernel[name] for name in FIELDS]


def test_the_other_driver_differs_in_magic_and_status(kernel: dict[str, list[int]]) -> None:
    """OPAE's driver is older; the kernel's was made from it."""
    assert PROGRAM["opae"].number == kernel["request"][0] - 0x100
    assert layout(PROGRAM["opae"].form.format)[:5] == layout(PROGRAM["dfl"].form.format)
    assert layout(PROGRAM["opae"].form.format)[5:] == [[24, 8]]
