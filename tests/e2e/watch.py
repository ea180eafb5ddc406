"""Objects of the cluster as they change: the output of `kubectl get --watch --output json`."""

import codecs
import json
import os
import selectors
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Self

Object = dict[str, Any]


class Seen(NamedTuple):
    """An object, and when it was seen on the clock of `time.monotonic`."""

    at: float
    object: Object


class WatchError(AssertionError):
    """What was waited for did not come."""


class Objects:
    """JSON texts one after the other, cut anywhere."""

    def __init__(self) -> None:
        self._text = ""
        self._characters = codecs.getincrementaldecoder("utf-8")()
        self._decoder = json.JSONDecoder()

    def feed(self, data: bytes) -> Iterator[Object]:
        """Yield each object that is complete now."""
        self._text += self._characters.decode(data)
        while text := self._text.lstrip():
            try:
                found, end = self._decoder.raw_decode(text)
            except ValueError:
                return
            self._text = text[end:]
            yield from found["items"] if found.get("kind") == "List" else [found]


class Watch:
    """A running `kubectl get --watch`. Use it in a `with`."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = [*command, "--watch", "--output", "json"]

    def __enter__(self) -> Self:
        self._errors = tempfile.TemporaryFile()
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=self._errors)
        assert self._process.stdout is not None
        self._out = self._process.stdout
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._out, selectors.EVENT_READ)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._selector.close()
        self._out.close()
        self._errors.close()

    def seen(self, seconds: float) -> Iterator[Seen]:
        """Yield objects as they come, for so long; raise WatchError if kubectl ends before."""
        end = time.monotonic() + seconds
        objects = Objects()
        while (left := end - time.monotonic()) > 0:
            if self._selector.select(left):
                data = os.read(self._out.fileno(), 1 << 20)
                if not data:
                    raise WatchError(f"{' '.join(self._command)} ended: {self._said()}")
                at = time.monotonic()
                yield from (Seen(at, each) for each in objects.feed(data))

    def _said(self) -> str:
        self._process.wait()
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace").strip()
