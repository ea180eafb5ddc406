"""What containers may have: the one table that decides whether a device may be given."""

from nodeplug.holdings.holdings import Derived, Holdings, Known
from nodeplug.holdings.keys import Key, Listing, Named, Record, physical_id, uses_of_id

__all__ = [
    "Derived",
    "Holdings",
    "Key",
    "Known",
    "Listing",
    "Named",
    "Record",
    "physical_id",
    "uses_of_id",
]
