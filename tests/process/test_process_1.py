"""The agent as the first process of its container: no default of the kernel's helps it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from support.namespaces import in_own_processes

# SigCgt of proc(5): signals for which there is a handler, the lowest bit is signal 1.
_SIGTERM_BIT = 1 << (signal.SIGTERM - 1)


def catches_sigterm(pid: int) -> bool:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    mask = next(line.split()[1] for line in lines if line.startswith("SigCgt:"))
    return bool(int(mask, 16) & _SIGTERM_BIT)


def test_sigterm_ends_an_agent_that_has_not_begun(tmp_path: Path) -> None:
    """The kernel drops a signal for which process 1 has no handler; here imports take for ever."""
    (tmp_path / "click.py").write_text("import time\ntime.sleep(1000)\n")
    command = [*in_own_processes(), sys.executable, "-m", "nodeplug", "run"]
    with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(tmp_path)}) as outside:
        try:
            while not (children := psutil.Process(outside.pid).children()):
                time.sleep(0.001)
            while not catches_sigterm(children[0].pid):
                time.sleep(0.001)
            children[0].terminate()
            assert outside.wait() == 0
        finally:
            outside.kill()


ORPHANS = """
import asyncio, os, subprocess
from pathlib import Path
from nodeplug.host.orphans import reap_orphans

def states():
    files = [Path(each.path) / "stat" for each in os.scandir("/proc") if each.name.isdigit()]
    return [file.read_text().rpartition(")")[2].split()[0] for file in files]

async def main():
    own = await asyncio.create_subprocess_exec("sleep", "1000")
    subprocess.run(["sh", "-c", "for i in 1 2 3; do setsid sleep 0 & done; exit 0"])
    while states().count("Z") < 3:
        await asyncio.sleep(0.001)
    reaping = asyncio.create_task(reap_orphans(pause=0.01))
    while "Z" in states():
        await asyncio.sleep(0.001)
    own.kill()
    print(await own.wait())
    reaping.cancel()

asyncio.run(main())
"""


def test_process_1_reaps_what_it_inherits_and_waits_for_its_own() -> None:
    """Whoever started them; the exit code of a child is told to who has started that."""
    command = [*in_own_processes(), sys.executable, "-c", ORPHANS]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"{-signal.SIGKILL}\n"


NO_DESCRIPTORS = """
listdir, failures = os.listdir, iter([OSError(24, "Too many open files")] * 3)

def few(path):
    for failure in failures:
        raise failure
    return listdir(path)

os.listdir = few
asyncio.run(main())
"""


def test_process_1_reaps_when_it_has_descriptors_again() -> None:
    """Until then it does without, and lives."""
    script = ORPHANS.replace("asyncio.run(main())", NO_DESCRIPTORS)
    command = [*in_own_processes(), sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"{-signal.SIGKILL}\n"


def test_other_processes_reap_nothing() -> None:
    """Theirs is the init of the machine."""
    script = "import asyncio\nfrom nodeplug.host.orphans import reap_orphans\n"
    script += "asyncio.run(reap_orphans())"
    subprocess.run([sys.executable, "-c", script], check=True)
