"""Starts our agent where the judge says: `our_agent.py CONFIG BACKEND DIRECTORY [REGISTRY]`.

CONFIG is completed with the kubelet's directories; with REGISTRY a kubelet has to find the agent.
"""

import json
import os
import sys
from pathlib import Path


def main(config: Path, backend: str, directory: str, registry: str = "") -> None:
    content = json.loads(config.read_text())
    content["kubelet"] |= {"devicePluginDir": directory}
    if registry:
        content["kubelet"] |= {"registration": "watcher", "pluginRegistryDir": registry}
    whole = Path(directory).with_suffix(f".{os.getpid()}.json")
    whole.write_text(json.dumps(content))
    words = ("-m", "nodeplug", "run", "--backend", backend, "--config", str(whole))
    os.execv(sys.executable, (sys.executable, *words))  # noqa: S606 - there is no shell


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
