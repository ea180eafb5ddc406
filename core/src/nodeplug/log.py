"""Log lines: one JSON object each, or one readable line on a terminal.

A message is a constant phrase; facts come as `extra={"nodeplug": {...}}`. JSON quoting keeps
text from devices and files from forging lines.
"""

import json
import logging
import sys
import time


class JsonFormatter(logging.Formatter):
    """Formats a record as a JSON object; times are UTC with milliseconds."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, object] = {
            "time": f"{seconds}.{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **_facts(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class TerminalFormatter(logging.Formatter):
    """Formats a record for people: local time, level, event, facts."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line, with a traceback below it if there is one."""
        facts = " ".join(f"{k}={json.dumps(v, default=str)}" for k, v in _facts(record).items())
        now = time.strftime("%H:%M:%S", time.localtime(record.created))
        line = f"{now} {record.levelname:<7} {record.getMessage()} {facts}".rstrip()
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def set_up(level: str, style: str) -> None:
    """Send nodeplug's log to standard error: style "json", "console", or "auto" for either."""
    console = style == "console" or (style == "auto" and sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(TerminalFormatter() if console else JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def _facts(record: logging.LogRecord) -> dict[str, object]:
    return dict(getattr(record, "nodeplug", {}))
