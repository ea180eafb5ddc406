"""What is lacked is told as a whole, and not beyond its owner's end."""

from nodeplug.host.fallbacks import Fallbacks, fallbacks

_HANGS = ("no answer", "it hangs")


def test_what_is_no_longer_lacked_has_recovered() -> None:
    """The last telling is what holds."""
    own = Fallbacks()
    own.tell({"one": _HANGS, "two": _HANGS})
    own.tell({"two": _HANGS})
    try:
        assert fallbacks() == {"two": "no answer: it hangs"}
    finally:
        own.close()


def test_whoever_has_ended_lacks_nothing() -> None:
    """Nobody would take it back later."""
    own = Fallbacks()
    own.tell({"one": _HANGS})
    own.close()
    assert fallbacks() == {}
