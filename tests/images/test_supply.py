"""Where images come from: nothing that could become something else from one day to the next."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from support.images import each_target, stages
from support.repository import PLUGINS, ROOT

DIGEST = re.compile(r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}")
LOCKS = ["build.lock", "requirements.lock"]
# The one file that says which images of others we take.
NAMING = "images/Containerfile"
MEMBERS = {"nodeplug", *(f"nodeplug-{folder.name}".replace("_", "-") for folder in PLUGINS)}


def locked(name: str) -> dict[str, list[str]]:
    """Return the pins of a lock file, as `name==version`, with their hashes."""
    text = (ROOT / "images" / name).read_text().replace("\\\n", " ")
    lines = [line.split() for line in text.splitlines() if not line.startswith("#")]
    return {line[0]: [word for word in line if word.startswith("--hash")] for line in lines}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def needed(names: set[str]) -> Iterator[str]:
    """Yield what distributions of this environment need, and what that needs."""
    for name in names:
        for line in requires(name) or ():
            wanted = Requirement(line)
            if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
                yield normal(wanted.name)
                yield from needed({wanted.name})


@pytest.mark.parametrize("name", LOCKS)
def test_everything_that_is_fetched_has_its_hash(name: str) -> None:
    """Of files that one index has, and another may have too."""
    pins = locked(name)
    assert pins
    assert [pin for pin, hashes in pins.items() if not hashes] == []
    (fetch,) = (line for line in stages()["wheels"].of("RUN") if name in line)
    (part,) = (part for part in fetch.split("&&") if f"-r {name}" in part)
    assert "--require-hashes" in part.split()
    assert "--only-binary :all:" in part


def test_no_stage_fetches_anything_else() -> None:
    """What is not from a lock file is from the first stage."""
    commands = [line for stage in stages().values() for line in stage.of("RUN")]
    calls = [part for line in commands for part in line.split("&&") if re.search(r"\bpip\b", part)]
    fetching = [part for part in calls if re.search(r" (install|wheel|download) ", part)]
    assert [part for part in fetching if "--no-index" not in part.split()] == [
        part for part in fetching if "--require-hashes" in part.split()
    ]


def test_images_have_the_versions_that_were_tested() -> None:
    """Each is a pin of the repository, and all that core and backends need is there."""
    pins = {normal(pin) for pin in (ROOT / "constraints.txt").read_text().split()}
    found = {normal(pin) for pin in locked("requirements.lock")}
    alone = {pin for pin in found if pin.startswith("win-")}
    assert found - alone - pins == set()
    assert {*needed(MEMBERS)} - MEMBERS == {pin.split("==")[0] for pin in found - alone}


def test_images_of_others_are_named_by_digest() -> None:
    """A tag may be another image tomorrow."""
    (base,) = re.findall(r"^ARG BASE=(.*)$", read(NAMING), re.MULTILINE)
    assert DIGEST.fullmatch(base)
    used = re.findall(r"image: (.*)$", read("helm/clean-up.yaml"), re.MULTILINE)
    assert [image for image in used if not image.startswith("nodeplug/")] == []


def test_the_base_is_named_once() -> None:
    """What is compiled and what runs have the same Python."""
    assert {stages()["wheels"].base, stages()["runtime"].base} == {"${BASE}"}
    assert [f for f in ("build.sh", "docker-bake.hcl") if "python:" in read(f"images/{f}")] == []


def test_one_command_raises_all_digests(tmp_path: Path) -> None:
    """To those that a registry has; here one of two programs that ask it stands in."""
    for file in ("images/raise.sh", NAMING):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)
    skopeo = tmp_path / "skopeo"
    skopeo.write_text("#!/bin/sh\nprintf 'sha256:%064d\\n' 7\n")
    skopeo.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    subprocess.run((tmp_path / "images/raise.sh",), check=True, env=environment)
    raised = [image.partition("@") for image in DIGEST.findall((tmp_path / NAMING).read_text())]
    assert {digest for _, _, digest in raised} == {f"sha256:{7:064d}"}
    names = [image.partition("@")[0] for image in DIGEST.findall(read(NAMING))]
    assert [name for name, _, _ in raised] == names


DOCKER = r"""#!/bin/sh
# Ids of images are numbers in $STATE/ids, by name in $STATE/names/.
case "$*" in
    info) ;;
    "buildx build "*)
        number=$(($(wc -l <$STATE/ids) + 1)); echo $number >>$STATE/ids
        name=$(echo "$*" | sed 's/.* --tag \([^ ]*\) .*/\1/')
        echo $number >$STATE/names/${name##*/} ;;
    "image inspect --format {{.Id}} "*) cat $STATE/names/${5##*/} ;;
    "image inspect "*) echo 1 ;;
    "rmi "*) echo $2 >>$STATE/removed ;;
    *" backends") printf 'NAME\ncustom\n' ;;
    "run "*) ;;
    *) echo "what is $*" >&2; exit 1 ;;
esac
"""


def test_no_image_is_left_without_a_name(tmp_path: Path) -> None:
    """That of the build before has lost it; a program that keeps numbers stands in for docker."""
    for file in ("images/build.sh", "core/src/nodeplug/_version.py"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)
    (tmp_path / "names").mkdir()
    (tmp_path / "ids").touch()
    (tmp_path / "docker").write_text(DOCKER)
    (tmp_path / "docker").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "STATE": str(tmp_path)}
    for _ in range(3):
        command = (tmp_path / "images/build.sh", "custom")
        subprocess.run(command, check=True, env=environment, capture_output=True)
    assert (tmp_path / "ids").read_text().split() == ["1", "2", "3"]
    assert (tmp_path / "removed").read_text().split() == ["1", "2"]


@each_target
def test_an_image_has_a_bill_of_its_materials(target: str) -> None:
    """Of what is installed for it; `make images` copies it out."""
    (install,) = stages()[f"install-{target}"].of("RUN")
    words = install.split("&&")[-1].split()
    assert words[:2] == ["/opt/pip/bin/cyclonedx-py", "environment"]
    assert words[-2:] == ["/opt/nodeplug/sbom.cdx.json", "/opt/nodeplug/bin/python3"]
    assert "/opt/nodeplug/sbom.cdx.json" in read("images/build.sh")


def read(file: str) -> str:
    return (ROOT / file).read_text()
