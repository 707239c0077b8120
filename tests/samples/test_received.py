from dataclasses import replace

import pytest
from echo_teacher import IDENTITY, LIMIT, asked, ignore, samples_of
from hypothesis import given
from hypothesis import strategies as st

from qcrd.samples.draw import draw
from qcrd.samples.received import Received, whole
from qcrd.samples.store import SampleStore

ANY = st.text(st.characters() | st.characters(categories=["Cs"]))


def drawn(tmp_path, *changes):
    """What the store has of answers that an engine hands over with these changes, and how many it lacks."""
    requests = asked(len(changes), 1)
    store = SampleStore(tmp_path, IDENTITY, LIMIT)
    changed = {r.key: change for r, change in zip(requests, changes, strict=True)}

    def answer(missing):
        yield [replace(s, **changed[r.key]) for r, s in zip(missing, samples_of(missing), strict=True)]

    short = draw(store, requests, answer, ignore)
    found = store.load()
    return [found.get(request.key) for request in requests], short


@given(ANY)
def test_a_whole_text_can_be_written_and_keeps_every_character_that_is_one(text):
    found = whole(text)
    found.encode()
    assert whole(found) == found
    characters = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    assert found.count("\ufffd") >= characters.count("\ufffd") >= 0
    assert found.replace("\ufffd", "") == characters.replace("\ufffd", "")


@pytest.mark.parametrize(
    ("broken", "mended"),
    [
        ("a \ud83d b", "a \ufffd b"),
        ("end \ud83d", "end \ufffd"),
        ("\ude00 begin", "\ufffd begin"),
        ("\ud83d\ude00", "\U0001f600"),
        ("\ude00\ud83d", "\ufffd\ufffd"),
        (b"caf\xc3", "caf\ufffd"),
        (b"\xf0\x9f\x98", "\ufffd"),
        ("whole \u20ac", "whole \u20ac"),
    ],
)
def test_half_a_character_ends_no_draw_and_is_stored_as_a_replacement(tmp_path, caplog, broken, mended):
    found, short = drawn(tmp_path, {"text": broken}, {})
    assert (found[0].text, short) == (mended, 0)
    assert found[1] == samples_of(asked(2, 1))[1]
    assert ("teacher: 1 answers hold a cut or broken character" in caplog.text) == ("\ufffd" in mended)


def test_finish_reasons_are_stored_as_stop_or_length_whatever_the_engine_calls_them(tmp_path, caplog):
    words = ["eos", "MAX_TOKENS", "tool_calls", "tool_calls", "odd", None]
    found, short = drawn(tmp_path, *({"finish_reason": word} for word in words))
    assert [s.finish_reason for s in found] == ["stop", "length", "length", "length", "length", "stop"]
    assert short == 0
    assert "3 answers ended for a reason that is not known ('tool_calls' 2, 'odd' 1)" in caplog.text


def test_a_refused_answer_is_an_empty_one_and_one_that_was_given_up_is_asked_again(tmp_path, caplog):
    found, short = drawn(
        tmp_path, {"finish_reason": "SAFETY", "text": "half"}, {"finish_reason": "abort"}, {}
    )
    assert (found[0].text, found[0].finish_reason) == ("", "stop")
    assert found[1] is None and short == 1
    assert "the engine gave up 1 answers" in caplog.text
    assert drawn(tmp_path, {}, {}, {})[0][1] is not None


def test_tokens_that_were_not_counted_are_none_and_what_is_no_text_is_refused_by_its_type(tmp_path):
    assert drawn(tmp_path, {"tokens": None})[0][0].tokens == 0
    for change in ({"text": None}, {"text": 3}, {"tokens": "3"}):
        with pytest.raises(ValueError, match="returned a sample with text"):
            Received(9)(replace(samples_of(asked(1, 1))[0], **change))


def test_a_draw_without_trouble_says_nothing(tmp_path, caplog):
    drawn(tmp_path, {}, {})
    assert caplog.text == ""
