"""The command line: arguments in, exit codes out. Commands are imported when they run."""

import os
import signal
import sys


def main() -> None:
    """Run the command line."""
    _end_at_sigterm()
    from nodeplug.cli.group import main as run  # noqa: PLC0415 - takes its time

    run()


def _end_at_sigterm() -> None:
    """End at SIGTERM from now on, where the kernel would drop it: it does so for process 1.

    Imports take longer than a pod may live. There is nothing yet to be left in order.
    """
    if os.getpid() == 1:
        code = 0 if sys.argv[1:2] == ["run"] else 128 + signal.SIGTERM
        signal.signal(signal.SIGTERM, lambda *_: os._exit(code))
