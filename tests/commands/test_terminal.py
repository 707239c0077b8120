"""What a model wrote, printed."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from qcrd.commands.terminal import plain


def test_what_a_terminal_would_obey_is_written_out():
    assert plain("\x1b[2Jgone\x07") == "\\x1b[2Jgone\\x07"
    assert plain("title\x9d0;x") == "title\\x9d0;x"
    assert plain("a\r\nb\tc\n") == "a\\r\nb\tc\n"
    assert plain("price \u202e 001") == "price \\u202e 001"


def test_other_texts_stay_as_they_are():
    for text in ("", "3 × 4 ÷ 2 = 6", "Größe, 数, e\u0301", "👩\u200d🔬", "a\u00a0b"):
        assert plain(text) == text


@given(st.text(st.characters()))
def test_nothing_that_controls_is_left_and_everything_can_be_printed(text):
    found = plain(text)
    assert all(c in "\n\t" or unicodedata.category(c) != "Cc" for c in found)
    found.encode("utf-8")
