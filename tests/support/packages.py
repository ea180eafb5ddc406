"""Backend packages made by tests, installed as pip would leave them."""

from pathlib import Path


def install(site: Path, name: str, module: str, *, distribution: str = "") -> None:
    """Put a module and the metadata of its entry point into a folder for PYTHONPATH."""
    distribution = distribution or f"test-{name}"
    (site / f"{distribution.replace('-', '_')}_module.py").write_text(module)
    info = site / f"{distribution.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    target = f"{distribution.replace('-', '_')}_module"
    (info / "entry_points.txt").write_text(f"[nodeplug.backends]\n{name} = {target}\n")
