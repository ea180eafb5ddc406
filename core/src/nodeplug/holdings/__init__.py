"""What containers may have: the one table that decides whether a device may be given."""

from nodeplug.holdings.holdings import Holdings, Names
from nodeplug.holdings.keys import Key, Listing, Record, physical_id, uses_of_id

__all__ = ["Holdings", "Key", "Listing", "Names", "Record", "physical_id", "uses_of_id"]
