"""Names that may stand in a path of the API server."""

import logging
import re

_NODE_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")

_log = logging.getLogger("nodeplug.cluster")


def is_node_name(text: str) -> bool:
    """Whether this can be the name of a node; if not, it is logged."""
    if _NODE_NAME.fullmatch(text):
        return True
    _log.error("NODE_NAME is not the name of a node", extra={"nodeplug": {"node": text}})
    return False
