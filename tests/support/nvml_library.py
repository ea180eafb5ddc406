"""Compiles the stand-in driver library."""

import shutil
import subprocess
from pathlib import Path

from support.needs import require

_SOURCE = Path(__file__).with_name("nvml") / "standin.c"


def compiled(folder: Path, *defines: str) -> Path:
    """Return the library, compiled into the folder if it is not there yet."""
    compiler = shutil.which("cc")
    require(compiler is not None, "the stand-in for NVIDIA's library needs a C compiler")
    library = folder / f"{'-'.join(('nvml', *defines))}.so"
    if not library.exists():
        flags = ["-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-Wl,-soname,libnvidia-ml.so.1"]
        command = [str(compiler), *flags, *(f"-D{each}" for each in defines)]
        subprocess.run([*command, "-o", library, _SOURCE], check=True)
    return library
