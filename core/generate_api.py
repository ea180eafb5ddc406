"""Generate the Python code and type stubs of the kubelet API from its .proto files.

`python core/generate_api.py [FOLDER]`: below FOLDER, which is core/src unless named.
"""

import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parent / "src"
OUTPUTS = ("python_out", "grpc_python_out", "mypy_out", "mypy_grpc_out")
PLUGINS = ("protoc-gen-mypy", "protoc-gen-mypy_grpc")


def main(target: Path) -> None:
    """Generate below a folder."""
    plugins = (f"--plugin={Path(sys.executable).with_name(name)}" for name in PLUGINS)
    outputs = (f"--{name}={target}" for name in OUTPUTS)
    files = sorted(SOURCE.glob("nodeplug/kubelet/api/*.proto"))
    subprocess.run(
        (sys.executable, "-m", "grpc_tools.protoc", f"-I{SOURCE}", *plugins, *outputs, *files),
        check=True,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else SOURCE)
