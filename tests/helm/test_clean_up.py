"""The clean-up removes what is left on a node, nothing else, and the page tells it."""

import json
import re
import shlex
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import kubernetes_validate
import pytest
import pytest_asyncio
import yaml

from nodeplug._version import __version__
from nodeplug.backend import HostFile
from nodeplug.config.settings import CDI_DIR, FEATURE_DIR, LEDGER_DIR, PLUGIN_DIR, PLUGIN_REGISTRY
from nodeplug.host.root import HostRoot
from nodeplug.host_files import HostFileStore
from nodeplug.loader import load
from nodeplug.operations.cleaning import LEFT
from nodeplug.operations.privileges import CORE
from nodeplug.simulate.agent_process import AgentProcess
from nodeplug.testing import Kubelet, Pod
from nodeplug_nvidia_gpu.injection import OWN_VENDOR
from nodeplug_sriov_net.device_info import FOLDER
from support.awkward.backend import AwkwardSimulator
from support.bundle import in_container
from support.charts import program
from support.command import Result, environment, nodeplug
from support.packages import install
from support.repository import PLUGINS, ROOT
from support.stage import BOARD

DOCUMENT = yaml.safe_load((ROOT / "helm/clean-up.yaml").read_text())
POD = DOCUMENT["spec"]["template"]["spec"]
(CONTAINER,) = POD["initContainers"]
PAGE = (ROOT / "docs/deployment.md").read_text().partition("## Uninstall")[2]
TOLD = re.findall(r"^\| `(/\S+)` \|", PAGE, re.MULTILINE)
# Those of backends are on record; the script knows no path of them.
RECORDED = (f"{FOLDER}/*-device.json", f"{CDI_DIR}/{OWN_VENDOR}-*.json")
BYSTANDERS = (
    f"{PLUGIN_DIR}/other.sock",
    f"{PLUGIN_REGISTRY}/other.sock",
    f"{CDI_DIR}/other.json",
    f"{FEATURE_DIR}/other",
    f"{FOLDER}/other-device.json",
    "/run/other/file",
    "/other/file",
)


def clean_up(root: Path) -> Result:
    """Run the container's command with a folder in the place of the host."""
    done = nodeplug(*(each.replace("=/host", f"={root}") for each in CONTAINER["args"]))
    assert done.code == 0, done.err
    return done


def touch(root: Path, *paths: str) -> None:
    for path in paths:
        file = root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


def files(root: Path) -> set[str]:
    return {f"/{file.relative_to(root)}" for file in root.rglob("*") if not file.is_dir()}


def test_it_is_valid() -> None:
    """By the schema of the newest Kubernetes."""
    kubernetes_validate.validate(DOCUMENT, kubernetes_validate.latest_version(), strict=True)


def test_what_the_page_tells_is_removed_and_nothing_else(tmp_path: Path) -> None:
    """Also what a writer that was killed left beside a file."""
    made = {path: f"{path}file" if path.endswith("/") else path.replace("*", "x") for path in TOLD}
    touch(tmp_path, *BYSTANDERS, *made.values())
    wanted = [HostFile(made[path], b"") for path in RECORDED]
    for number, file in enumerate(wanted):
        record = tmp_path / PLUGIN_DIR.lstrip("/") / f".nodeplug/host-files/{number}.json"
        HostFileStore(HostRoot(tmp_path), record).reconcile([file], None)
    names = [path.rpartition("/") for path in made.values() if not path.endswith("/file")]
    touch(tmp_path, *(f"{folder}/.{name}.0123456789ab" for folder, _, name in names))
    before = files(tmp_path)
    done = clean_up(tmp_path)
    assert files(tmp_path) == {*BYSTANDERS}
    told = [line.removeprefix("removed ") for line in done.out.splitlines()]
    assert {path for path in before if path.startswith(tuple(told))} == before - {*BYSTANDERS}
    assert done.err == ""


def test_what_its_container_may_suffices() -> None:
    """Without a capability, on a read-only root, with the folders that the manifest mounts."""
    security = CONTAINER["securityContext"]
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert security["readOnlyRootFilesystem"]
    with tempfile.TemporaryDirectory(prefix="npu", dir="/tmp") as name:
        host, bundle = Path(name) / "host", Path(name)
        made = {f"{path}file" if path.endswith("/") else path.replace("*", "x") for path in TOLD}
        touch(host, *BYSTANDERS, *made)
        folders = {each["name"]: host / each["hostPath"]["path"][1:] for each in POD["volumes"]}
        mounts = {each["mountPath"]: folders[each["name"]] for each in CONTAINER["volumeMounts"]}
        done = in_container(bundle, CONTAINER["args"], mounts=mounts)
        assert (done.returncode, done.stderr) == (0, "")
        recorded = {path.replace("*", "x") for path in RECORDED}
        assert files(host) == {*BYSTANDERS, *recorded}


def stem(path: str) -> str:
    """Return a path up to where it stands for several, hidden or not."""
    return path.partition("*")[0].rstrip("/").replace("/.", "/")


def test_the_page_tells_what_is_removed() -> None:
    """Nobody runs it without knowing."""
    assert {stem(path) for path in LEFT} == {stem(path) for path in {*TOLD} - {*RECORDED}}
    assert {*RECORDED} <= {*TOLD}


def writable() -> Iterator[str]:
    tables = [CORE, *(load(folder.name).privileges for folder in PLUGINS)]
    for line in (line for table in tables for line in table):
        yield from (mount.path for mount in line.mounts if not mount.read_only)


def test_every_folder_that_agents_write_to_is_on_the_page() -> None:
    """Of those that charts mount writable; nothing stays in /dev."""
    folders = {*writable()} - {"/dev"}
    assert folders >= {PLUGIN_DIR, PLUGIN_REGISTRY, LEDGER_DIR, CDI_DIR, FEATURE_DIR, FOLDER}
    assert [each for each in folders if not any(t.startswith(each) for t in TOLD)] == []


def test_every_folder_that_is_cleaned_is_the_hosts() -> None:
    """At the same place below /host."""
    paths = {volume["name"]: volume["hostPath"]["path"] for volume in POD["volumes"]}
    mounts = {mount["name"]: mount["mountPath"] for mount in CONTAINER["volumeMounts"]}
    assert mounts == {name: f"/host{path}" for name, path in paths.items()}
    assert [t for t in TOLD if not any(t.startswith(f"{p}/") for p in paths.values())] == []


def test_a_file_on_record_that_cannot_be_seen_is_told(tmp_path: Path) -> None:
    """A folder that was moved, or one that is not the host's."""
    record = tmp_path / PLUGIN_DIR.lstrip("/") / ".nodeplug/host-files/x.json"
    touch(tmp_path, str(record.relative_to(tmp_path)))
    record.write_text(json.dumps({"/moved/file": ["", ""]}))
    assert "/moved/file" in clean_up(tmp_path).err


def test_what_cannot_be_removed_fails_and_is_told(tmp_path: Path) -> None:
    """The record stays for another try: a folder in the place of a file of ours is not ours."""
    record = tmp_path / PLUGIN_DIR.lstrip("/") / ".nodeplug/host-files/x.json"
    touch(tmp_path, str(record.relative_to(tmp_path)), "/run/x.json/file")
    record.write_text(json.dumps({"/run/x.json": ["", ""]}))
    done = nodeplug("clean-up", f"--root={tmp_path}")
    assert (done.code, done.err) == (1, "nodeplug: /run/x.json: Is a directory\n")
    assert {"/run/x.json/file", f"{PLUGIN_DIR}/.nodeplug/host-files/x.json"} <= files(tmp_path)


def test_links_are_removed_and_not_followed(tmp_path: Path) -> None:
    """Whatever stands in the place of our folders."""
    touch(tmp_path, "/other/file", f"{CDI_DIR}/x", "/run/x")
    (tmp_path / CDI_DIR.lstrip("/") / "nodeplug-x.json").symlink_to("/other/file")
    (tmp_path / LEDGER_DIR.lstrip("/")).symlink_to("/other")
    clean_up(tmp_path)
    assert files(tmp_path) == {"/other/file", f"{CDI_DIR}/x", "/run/x"}


def test_images_are_ours() -> None:
    """Of this version; the page tells how to have those of another registry."""
    images = {each["image"] for each in (*POD["initContainers"], *POD["containers"])}
    assert images == {f"nodeplug/custom:{__version__}"}
    (told,) = re.findall(r"kubectl set image .*helm/clean-up\.yaml.*", PAGE)
    words = shlex.split(told.partition("|")[0])
    done = subprocess.run(
        (program("kubectl"), *words[1:]), capture_output=True, check=True, cwd=ROOT
    )
    pod = yaml.safe_load(done.stdout)["spec"]["template"]["spec"]
    images = {each["image"] for each in (*pod["initContainers"], *pod["containers"])}
    assert images == {words[-3].partition("=")[2]}


@pytest_asyncio.fixture(name="agent")
async def _agent(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[AgentProcess]:
    """Give an agent that uses all that leaves something, on a host that is a folder."""
    with tempfile.TemporaryDirectory(prefix="np", dir="/tmp") as name:
        folder = Path(name)
        (folder / "site").mkdir()
        install(
            folder / "site", "awkward", "from support.awkward.backend import nodeplug_backend\n"
        )
        monkeypatch.setenv("PYTHONPATH", environment(folder / "site")["PYTHONPATH"])
        agent = AgentProcess(folder, {"awkward": {}})
        AwkwardSimulator(agent.host_root)
        at = {path: agent.host_root / path.lstrip("/") for path in (PLUGIN_DIR, PLUGIN_REGISTRY)}
        for path in at.values():
            path.mkdir(parents=True)
        agent.plugin_dir = at[PLUGIN_DIR]
        agent.offer([{"resource": BOARD, "inject": "cdi"}])
        config = json.loads(agent.config.read_text())
        config["kubelet"] |= {
            "registration": "watcher",
            "pluginRegistryDir": str(at[PLUGIN_REGISTRY]),
        }
        config["host"]["ledgerDir"] = str(agent.host_root / LEDGER_DIR.lstrip("/"))
        config["cdi"]["specDir"] = str(agent.host_root / CDI_DIR.lstrip("/"))
        config["labels"] = {"enabled": True, "featureDir": FEATURE_DIR}
        agent.config.write_text(json.dumps(config))
        yield agent
        await agent.kill()


async def test_nothing_is_left_of_an_agent_that_was_killed(agent: AgentProcess) -> None:
    """While a pod had a device of it; what the host had before is there."""
    touch(agent.host_root, *BYSTANDERS)
    before = files(agent.host_root)
    registry = agent.host_root / PLUGIN_REGISTRY.lstrip("/")
    async with Kubelet(
        agent.plugin_dir, pod_resources=agent.pod_resources, plugin_registry=registry
    ) as kubelet:
        await agent.start()
        await kubelet.until(lambda: bool((c := kubelet.capacity(BOARD)) and c.allocatable))
        await kubelet.admit(Pod.of({BOARD: 1}))
        await agent.kill()
        left = files(agent.host_root) - before
    for folder in (PLUGIN_DIR, PLUGIN_REGISTRY, LEDGER_DIR, CDI_DIR, FEATURE_DIR):
        assert any(path.startswith(f"{folder}/") for path in left), folder
    clean_up(agent.host_root)
    assert {
        path for path in files(agent.host_root) - before if "kubelet" not in Path(path).name
    } == set()
