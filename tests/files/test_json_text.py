"""Our JSON is JSON, whatever the values; and short."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiking_lmu.files.json_text import json_text

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(VALUES)
def test_it_reads_back_as_what_it_was(value):
    assert json.loads(json_text(value)) == value


def test_numbers_share_a_line_and_long_texts_do_not():
    text = json_text({"decisions": list(range(1000)), "method": ["a" * 50, "b" * 50]})
    assert len(text.splitlines()) == 7


def test_each_sample_of_an_array_has_a_line():
    outputs = [[[0.5, None]] * 100] * 3
    assert len(json_text({"outputs": outputs, "confusion": [[1, 2], [3, 4]]}).splitlines()) == 11
    assert json.loads(json_text(outputs)) == outputs


def test_what_json_cannot_say_is_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_text({"a": [float("nan")]})
