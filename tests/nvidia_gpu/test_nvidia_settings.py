"""Wrong settings are refused with their place, and what is wrong with a driver is shown."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nodeplug_nvidia_gpu.settings import NvidiaGpuSettings
from support.command import nodeplug, write_config
from support.nvml_host import NvmlHost
from support.nvml_state import NOT_LOADED


@pytest.mark.parametrize(
    ("keys", "place"),
    [
        ({"migStrategy": "both"}, "$.migStrategy"),
        ({"deviceListStrategy": ["smoke"]}, "$.deviceListStrategy[0]"),
        ({"deviceListStrategy": []}, "$.deviceListStrategy"),
        ({"deviceListStrategy": "envvar"}, "$.deviceListStrategy"),
        ({"deviceIdStrategy": "name"}, "$.deviceIdStrategy"),
        ({"discovery": "guess"}, "$.discovery"),
        ({"driverRoot": "relative"}, "driverRoot: 'relative' must be absolute"),
        ({"driverRoot": "/a/../b"}, "driverRoot"),
        ({"simulation": "file"}, "simulation: 'file' must be absolute"),
        ({"imex": {"channelIds": [4000]}}, "$.imex.channelIds[0]"),
        ({"cdi": {"kind": "gpu"}}, "$.cdi.kind"),
        ({"cdi": {"specDirs": []}}, "specDirs: is empty"),
        ({"cdi": {"specDirs": ["x"]}}, "specDirs: 'x' must be absolute"),
        ({"health": {"ignore": ["fans"]}}, "$.health.ignore[0]"),
        ({"health": {"pollSeconds": 0}}, "$.health.pollSeconds"),
        ({"health": {"holdOffSeconds": -1}}, "$.health.holdOffSeconds"),
        ({"health": {"recovery": "never"}}, "$.health.recovery"),
        ({"migStrateggy": "none"}, "migStrateggy"),
    ],
    ids=str,
)
def test_a_wrong_setting_is_refused_with_its_place(keys: dict[str, Any], place: str) -> None:
    """The operator finds it."""
    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.convert(keys, NvidiaGpuSettings)
    assert place in str(refused.value)


def test_the_command_line_names_what_is_wrong_with_the_driver(
    eight: NvmlHost, tmp_path: Path
) -> None:
    """And does not fail over it."""
    eight.state.init_error = NOT_LOADED
    host = {"root": str(eight.folder), "uevents": str(eight.folder / "uevents.sock")}
    config = write_config(tmp_path, {"host": host})
    arguments = ("devices", "--backend", "nvidia_gpu", "--explain", "--output", "json")
    result = nodeplug(*arguments, "--config", str(config))
    assert result.code == 0
    assert "Driver Not Loaded" in json.dumps(json.loads(result.out))
