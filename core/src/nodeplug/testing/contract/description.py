"""What a backend says of itself."""

from pathlib import Path
from typing import Any

import msgspec

from nodeplug.backend import HostFiles, Labels, Preparer, Telemetry
from nodeplug.config.load import schema
from nodeplug.host.root import HostRoot
from nodeplug.testing.contract.staged import Staged


class DescriptionPromises(Staged):
    """What a backend says of itself is complete and true."""

    def test_the_description_is_complete(self) -> None:
        """Operators read the summary; the schema documents every key."""
        assert self.spec.summary
        assert self.spec.name.isidentifier()
        assert issubclass(self.spec.settings, msgspec.Struct)
        _check_described(schema({self.spec.name: self.spec}))

    def test_the_probe_answers_on_an_emptyhost_in(self, tmp_path: Path) -> None:
        """`nodeplug backends` runs on machines without the hardware."""
        presence = self.spec.probe(HostRoot(tmp_path))
        assert presence.detail

    def test_what_is_built_has_the_declared_capabilities(self, tmp_path: Path) -> None:
        """Core calls what the spec declares, and nothing else."""
        backend, _ = self.backend(tmp_path)
        known = (Preparer, HostFiles, Labels, Telemetry)
        has = {kind for kind in known if isinstance(backend, kind)}
        assert has == set(self.spec.capabilities)


def _check_described(document: dict[str, Any]) -> None:
    for name, definition in document["$defs"].items():
        for key, value in definition.get("properties", {}).items():
            described = "description" in value or "$ref" in value
            assert described, f"{name}.{key} has no description"
