"""Names that may stand in a path of the API server."""

import re

from nodeplug.host.fallbacks import fall_back

_NODE_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


def is_node_name(text: str) -> bool:
    """Whether this can be the name of a node; if not, it is told."""
    if _NODE_NAME.fullmatch(text):
        return True
    fall_back("API server", "NODE_NAME is not the name of a node", repr(text))
    return False
