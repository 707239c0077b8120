import pathlib

import pytest
from daily import examples
from hypothesis import given
from hypothesis import strategies as st

from qcrd.fingerprint import LENGTH, canonical, fingerprint, fingerprint_each, fingerprint_file

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@examples(40)
@given(st.dictionaries(st.text(), values, max_size=6), st.randoms())
def test_the_order_of_keys_does_not_matter(value, random):
    items = list(value.items())
    random.shuffle(items)
    assert fingerprint(dict(items)) == fingerprint(value)


@examples(40)
@given(values, values)
def test_different_values_have_different_canonical_forms(a, b):
    if canonical(a) == canonical(b):
        assert a == b


def test_an_id_is_twelve_hex_digits_and_stays_the_same_between_versions():
    assert fingerprint({"b": [1, 2.5], "a": None}) == "e57f5d378654"
    assert len(fingerprint("x")) == LENGTH


@pytest.mark.parametrize("value", [{1, 2}, pathlib.Path("x"), object(), {1: "a"}, b"x"])
def test_what_has_no_canonical_form_is_refused_with_its_place(value):
    with pytest.raises(TypeError, match=r"\$\.deep\[0\]"):
        fingerprint({"deep": [value]})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_without_a_canonical_form_are_refused(value):
    with pytest.raises(ValueError, match=r"\$\.x"):
        canonical({"x": value})


def test_a_files_fingerprint_depends_on_its_bytes_alone(tmp_path):
    (tmp_path / "a").write_bytes(b"same")
    (tmp_path / "b").write_bytes(b"same")
    (tmp_path / "c").write_bytes(b"other")
    a, b, c = (fingerprint_file(tmp_path / name) for name in "abc")
    assert a == b != c


@examples(40)
@given(st.lists(values, max_size=6))
def test_values_one_by_one_have_the_fingerprint_of_their_list(found):
    assert fingerprint_each(iter(found)) == fingerprint(found)
