"""Merging documents is what one expects of stacking them."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nodeplug.config.merge import merge

keys = st.sampled_from("abc")
documents = st.dictionaries(
    keys,
    st.recursive(
        st.integers(0, 3) | st.lists(st.integers(0, 3), max_size=2),
        lambda inner: st.dictionaries(keys, inner, max_size=3),
        max_leaves=6,
    ),
    max_size=3,
)


@given(documents)
def test_an_empty_document_changes_nothing(document: Any) -> None:
    """Above or below."""
    assert merge({}, document) == document
    assert merge(document, {}) == document


@given(documents, documents)
def test_what_is_above_is_there(base: Any, top: Any) -> None:
    """Every plain value of the upper document, and every key of both."""
    merged = merge(base, top)
    assert merged.keys() == base.keys() | top.keys()
    for key, value in top.items():
        if isinstance(value, int):
            assert merged[key] == value
        if isinstance(value, list):
            assert merged[key][: len(value)] == value


@given(documents, documents)
def test_merging_leaves_its_arguments_alone(base: Any, top: Any) -> None:
    """They may be merged again for another node."""
    before = repr((base, top))
    merge(base, top)
    assert repr((base, top)) == before
