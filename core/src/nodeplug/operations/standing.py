"""How devices stand, in words for operators: what is sick, apart from what is merely held."""

from typing import Final

from nodeplug.values.device import Health

HELD: Final = "Held"
"""Unhealthy for the kubelet, because of what containers have, and well for all we know."""

STANDINGS: Final = (*(health.value for health in Health), HELD)


def standing(health: str, *, held: bool) -> str:
    """Return how a device stands that is listed with this health."""
    return HELD if held and health != Health.HEALTHY.value else health
