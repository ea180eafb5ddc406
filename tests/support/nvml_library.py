"""Compiles the stand-in driver library."""

import shutil
import subprocess
from pathlib import Path

from support.needs import require

_SOURCE = Path(__file__).with_name("nvml") / "standin.c"


def compiled(folder: Path, *defines: str, stays: bool = False) -> Path:
    """Return the library, compiled into the folder if it is not there yet.

    One that `stays` cannot be unloaded.
    """
    compiler = shutil.which("cc")
    require(compiler is not None, "the stand-in for NVIDIA's library needs a C compiler")
    library = folder / f"{'-'.join(('nvml', *defines, *(['stays'] if stays else [])))}.so"
    if not library.exists():
        flags = ["-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-Wl,-soname,libnvidia-ml.so.1"]
        flags += ["-Wl,-z,nodelete"] if stays else []
        command = [str(compiler), *flags, *(f"-D{each}" for each in defines)]
        subprocess.run([*command, "-o", library, _SOURCE], check=True)
    return library
