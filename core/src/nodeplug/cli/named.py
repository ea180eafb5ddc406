"""Which backends a file is for."""

from collections.abc import Sequence

from nodeplug.config.document import read_document
from nodeplug.config.load import Source
from nodeplug.config.merge import overrides_in


def backends_of(source: Source) -> Sequence[str]:
    """Return the backends that a file names, overrides for nodes included; each once."""
    if source.backend:
        return [source.backend]
    document = read_document(source.path)
    overrides = [each.get("config") for each in overrides_in(document) if isinstance(each, dict)]
    parts = [each for each in (document, *overrides) if isinstance(each, dict)]
    sections = [each["backends"] for each in parts if isinstance(each.get("backends"), dict)]
    return list(dict.fromkeys(name for section in sections for name in section))
