"""Backends are found by entry-point name; a broken package stops only itself."""

from pathlib import Path

import pytest

from nodeplug.loader import installed, load, load_each
from nodeplug.values.errors import LoadError
from support.packages import install

AWKWARD = "from support.awkward.backend import nodeplug_backend\n"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_an_installed_backend_is_found_by_name(site: Path) -> None:
    """No list of backends exists anywhere in core."""
    install(site, "awkward", AWKWARD)
    assert load("awkward").summary == "Simulated hardware with every difficulty"


def test_finding_backends_imports_none_of_them(site: Path) -> None:
    """A container with four backends pays for the one it runs."""
    install(site, "loud", "raise SystemExit('imported')")
    assert "loud" in installed()


def test_an_unknown_name_lists_those_installed(site: Path) -> None:
    """The remedy is in the message."""
    install(site, "awkward", AWKWARD)
    with pytest.raises(LoadError, match=r"'nvidai' is not installed; installed are: .*awkward"):
        load("nvidai")


@pytest.mark.parametrize(
    ("module", "problem"),
    [
        ("import no_such_library", "needs something that is missing: No module named"),
        ("1 / 0", "fails on import: ZeroDivisionError"),
        ("", "has no hook nodeplug_backend"),
        (
            "from nodeplug.backend import hookimpl\n@hookimpl\ndef nodeplug_backend(): return 1\n",
            "has no hook nodeplug_backend that returns one BackendSpec",
        ),
        (
            "from nodeplug.backend import hookimpl\n@hookimpl\ndef nodeplug_backnd(): return 1\n",
            "breaks the hook: unknown hook 'nodeplug_backnd'",
        ),
        (
            "from nodeplug.backend import hookimpl\n@hookimpl\ndef nodeplug_backend(x): return 1\n",
            "breaks the hook:",
        ),
        (AWKWARD, "calls itself 'awkward'"),
    ],
)
def test_a_broken_package_is_named_with_its_fault(site: Path, module: str, problem: str) -> None:
    """Distribution, entry point and cause stand in one line."""
    name = f"broken{abs(hash(module))}"
    install(site, name, module, distribution=f"dist-{name}")
    with pytest.raises(LoadError) as caught:
        load(name)
    assert f"backend '{name}' from dist-{name} 1.0 {problem}" in str(caught.value)


def test_a_broken_package_does_not_disturb_the_others(site: Path) -> None:
    """Each is loaded on its own."""
    install(site, "awkward", AWKWARD)
    install(site, "bad", "import no_such_library")
    loaded = load_each(["bad", "awkward"])
    assert (type(loaded["bad"]), loaded["awkward"]) == (LoadError, load("awkward"))


def test_one_name_from_two_packages_is_refused_with_both_named(site: Path) -> None:
    """Which one would run must not depend on the order of a path."""
    install(site, "awkward", AWKWARD, distribution="one")
    install(site, "awkward", AWKWARD, distribution="two")
    with pytest.raises(LoadError, match=r"comes from one 1\.0 and two 1\.0; keep only one"):
        load("awkward")
