"""What is advertised under which public name: renamed, split, shared."""

from nodeplug.offers.advertising import advertise, make_offers
from nodeplug.offers.keys import contradictions
from nodeplug.offers.making import Advertised, Refusal
from nodeplug.offers.offer import Offer, OfferedDevice
from nodeplug.offers.rules import Injection, OfferRule, Policy
from nodeplug.offers.size import LIST_LIMIT

__all__ = [
    "LIST_LIMIT",
    "Advertised",
    "Injection",
    "Offer",
    "OfferRule",
    "OfferedDevice",
    "Policy",
    "Refusal",
    "advertise",
    "contradictions",
    "make_offers",
]
