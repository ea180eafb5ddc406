"""Of pynvml only what is used is loaded, and that is what pynvml itself would do."""

import inspect
from pathlib import Path

import pynvml
import pytest

from nodeplug_nvidia_gpu import lean, nvml

ALWAYS = r"KEPT_\w+"
SOURCE = '''
"""A module."""
import functools

KEPT_ONE = 1
_SIZE    = 8  # of a buffer

def decorated(function):
    return functools.wraps(function)(lambda: function() + _SIZE)

@decorated
# A note between the two.

def wanted():
    return helper()

def helper():
    return 1

class Unwanted:
    pass
'''


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the source of a module that can be found by its name."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path / "some_large_module.py"


def test_what_is_wanted_comes_with_all_it_needs(library: Path) -> None:
    """Helpers, decorators and constants; nothing else."""
    library.write_text(SOURCE)
    module = lean.load(library.stem, ["wanted"], ALWAYS)
    assert module.wanted() == 9
    assert module.KEPT_ONE == 1
    assert not hasattr(module, "Unwanted")


def test_a_name_that_there_is_not_yet_is_left_out(library: Path) -> None:
    """Older versions lack functions."""
    library.write_text(SOURCE)
    assert not hasattr(lean.load(library.stem, ["wanted", "future"], ALWAYS), "future")


@pytest.mark.parametrize(
    "source",
    ["def wanted(:\n", "def other():\n    pass\n", "raise OSError\n", ""],
)
def test_a_source_that_cannot_be_taken_apart_is_refused(library: Path, source: str) -> None:
    """The caller then imports it whole."""
    library.write_text(source)
    with pytest.raises(lean.NotLeanError):
        lean.load(library.stem, ["wanted"], ALWAYS)


def test_a_module_that_is_not_there_is_refused() -> None:
    """Likewise."""
    with pytest.raises(lean.NotLeanError):
        lean.load("no_such_module", ["wanted"], ALWAYS)


def test_what_cannot_be_loaded_in_part_is_loaded_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the price of memory."""

    def refuse(*_: object) -> None:
        raise lean.NotLeanError

    monkeypatch.setattr(nvml, "load", refuse)
    assert nvml._pynvml() is pynvml


def test_every_function_is_pynvmls_own() -> None:
    """Of the version that is installed."""
    loaded = nvml._pynvml()
    for name in nvml._FUNCTIONS:
        ours, theirs = getattr(loaded, name), getattr(pynvml, name)
        assert inspect.unwrap(ours).__qualname__ == inspect.unwrap(theirs).__qualname__
    assert len(vars(loaded)) < len(vars(pynvml)) / 5
