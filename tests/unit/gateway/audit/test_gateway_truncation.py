import orjson
from hypothesis import given
from hypothesis import strategies as st

from signal_gateway.gateway.audit.events import cut_mapping, cut_text

TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]))


@given(TEXT, st.integers(0, 50))
def test_cut_text_is_the_longest_beginning_that_fits(text, limit):
    cut = cut_text(text, limit)

    assert text.startswith(cut)
    assert len(cut.encode()) <= limit
    assert cut == text or len(text[: len(cut) + 1].encode()) > limit


@given(st.dictionaries(TEXT, TEXT), st.integers(2, 100))
def test_cut_mapping_fits_and_keeps_entries_whole(mapping, limit):
    cut = cut_mapping(mapping, limit)

    assert len(orjson.dumps(cut)) <= limit
    assert cut.items() <= mapping.items()
    assert list(mapping.items())[: len(cut)] == list(cut.items())


def test_mapping_that_fits_is_whole():
    assert cut_mapping({"a": "b"}, 100) == {"a": "b"}
