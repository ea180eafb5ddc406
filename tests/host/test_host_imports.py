"""Claims about what importing the host layer costs."""

import pkgutil
import subprocess
import sys

import nodeplug.host


def test_importing_the_host_layer_loads_no_event_library() -> None:
    """Both event libraries come with the first source or watch, ssl never by us."""
    modules = [m.name for m in pkgutil.iter_modules(nodeplug.host.__path__, "nodeplug.host.")]
    script = (
        "import asyncio, sys; sys.modules.pop('ssl')\n"
        f"import {', '.join(modules)}\n"
        "print(*sorted({'pyudev', 'asyncinotify', 'ssl', 'ctypes'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []
