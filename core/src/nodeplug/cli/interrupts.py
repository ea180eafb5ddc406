"""SIGINT."""

import signal


def end_at_interrupt() -> None:
    """Let SIGINT end this command in order, also in the background of a script.

    Shells without job control have it ignored there, for commands that have another end.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
