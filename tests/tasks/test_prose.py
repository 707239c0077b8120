"""The number that a sentence gives: read with what belongs to it, or not at all."""

import re
from fractions import Fraction

import pytest
from daily import examples
from hypothesis import given
from hypothesis import strategies as st

from qcrd.tasks import equations, prose

STEADY = examples(200)


def read(text: str) -> str | None:
    found = prose.answer(text)
    return None if found is None or found.value is None else str(found.value)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("5 because 3 + 5 = 8", "5"),
        ("5, as 5 * 2 = 10", "5"),
        ("5 dollars, where 1 dollar = 100 cents", "5"),
        ("n = 5, since n + 3 = 8", "5"),
        (r"\boxed{50}\%", "1/2"),
        (r"-\boxed{5}", "-5"),
        (r"x = -\boxed{3}", "-3"),
        (r"\boxed{5}/2", "5/2"),
        (r"\boxed{8-3=5}", "5"),
        ("20 ÷ ½", "40"),
        ("6 ÷ ⅔", "9"),
        ("5 cm^2", "5"),
        (r"\boxed{12\text{ cm}^2}", "12"),
        (r"5^\circ", "5"),
        ("5 (five)", "5"),
        (r"8 \* 3", "24"),
        ("5.", "5"),
        (" about 5.", "5"),
        ("~5", "5"),
        ("approximately 5 or so", "5"),
        ("equal to 5", "5"),
        ("that Tom has 5 apples.", "5"),
        ("a total of 5", "5"),
        ("x = 5", "5"),
        ("x = y = 5.", "5"),
        ("**5**.", "5"),
        ("*5*", "5"),
        ("`5`", "5"),
        ('"5"', "5"),
        ("$5$", "5"),
        (r"\(5\)", "5"),
        ("**$5** apples", "5"),
        ("5 kg", "5"),
        ("5kg", "5"),
        ("60 miles/hour", "60"),
        ("60 miles per hour", "60"),
        ("30km/h", "30"),
        ("5-foot", "5"),
        ("5°C", "5"),
        ("50¢", "50"),
        ("5 USD", "5"),
        ("USD 5", "5"),
        ("Rs. 50", "50"),
        ("-$5", "-5"),
        ("$-5", "-5"),
        ("minus 5", "-5"),
        ("negative $5", "-5"),
        ("−5", "-5"),
        ("-£7.50", "-15/2"),
        ("$1,234.50", "2469/2"),
        ("1 234", "1234"),
        ("12,34,567", "1234567"),
        ("$.50", "1/2"),
        ("2 3/4 hours", "11/4"),
        ("3½ pies", "7/2"),
        ("75 percent", "3/4"),
        ("50 %", "1/2"),
        (r"$5\%$", "1/20"),
        ("1.5 million dollars", "1500000"),
        ("10^3", "1000"),
        ("2**3", "8"),
        ("**8 ** 3**", "512"),
        (r"\boxed{42}", "42"),
        (r"$\boxed{20}$", "20"),
        (r"\boxed{5 \text{ apples}}", "5"),
        (r"\boxed{\frac{1}{2}}", "1/2"),
        (r"$\boxed{1{,}234}$", "1234"),
        ("2(3+4)", "14"),
        ("[10 - 5] * 2", "10"),
        ("9 minus 4", "5"),
        ("8-3 apples", "5"),
        ("30 - 23 = 7", "7"),
        ("6 shirts / 3 shirts per minute = 2 minutes", "2"),
        ("$5 + $3 = $8", "8"),
        ("20% of 50 = 10", "10"),
        ("5 = 8 - 3", "5"),
        ("5, since 8 - 3 = 5", "5"),
        ("5 because 8 - 3 is 5", "5"),
        ("5 apples, which is 3 less than 8", "5"),
        ("5!", "5"),
        ("5. 6 more", "5"),
        ("5\n6", "5"),
        ("5 - 6", "-1"),
        ("10-5", "5"),
        ("(5-6)", "-1"),
    ],
)
def test_a_number_is_read_with_its_sign_unit_and_notation(said, expected):
    assert read(said) == expected


@pytest.mark.parametrize(
    "said",
    [
        "5 if x = 3",
        "5 if he sells, otherwise 6",
        "In 3 hours, they make 15 toys",
        "Tom sold 3, so he has 5 left",
        "x = 5, y = 6",
        "x = 5 and y = 6",
        "Tom = 5, Ann = 6",
        "2x = 10",
        "x + 3 = 5",
        "5 = 6",
        "5 km = 5000 m",
        "3 + 4 = 7 + 2 = 9",
        "8 - 3 = 5 or 6",
        "8 - 3 = 5:30",
        r"\boxed{5} or 6",
        r"\boxed{5} million",
        r"\boxed{5}6",
        r"\boxed{5} feet 6 inches",
        r"not \boxed{5}",
        r"\boxed{\pm 5}",
        "½%",
        "1/2 million",
        "5½½",
        r"0.\overline{3}",
        "0.3(3)",
        "5.½",
        "5. × 2",
        "1,\n234",
        "5 ft. 6 in.",
        "5 p.m. to 6 p.m.",
        "≥ 5",
        r"\leq 5",
        "log 5",
        "5 times x",
        "5 plus tax",
        "5 percent more",
        "3–4%",
        "1/2-3/4",
        "3 - 5 days",
        "\n1. 5",
        "1.234,50",
        "12,34",
        "1,23",
        "1,2345",
        "5.5.5",
        "5_000",
        "5'000",
        "0x10",
        "5e",
        "0.333...",
        "5…",
        "5 or 6",
        "5 apples or 6",
        "5 or more",
        "5, 6",
        "5 ,6",
        "5; 6",
        "5 & 6",
        "5|6",
        "5 to 6",
        "from 5 to 6",
        "between 5 and 6",
        "5-6",
        "5–6",
        "5 – 6",
        "2024-01-02",
        "1/2/2024",
        "3-1/2",
        "3:4",
        "5:30",
        "3 : 4",
        "10 : 4",
        "5 feet 6 inches",
        "5 dollars and 50 cents",
        "5 hours and 30 minutes",
        "5 apples and 3 pears",
        "5 apples, 3 pears",
        "5 and a half",
        "5 and six",
        "5 remainder 2",
        "5 R2",
        "5 6",
        "5 (2 + 3)",
        "5 (8 - 3)",
        "8 / 2(2+2)",
        "5k",
        "$5m",
        "5th",
        "5pm",
        "5x",
        "5x more",
        "5+",
        "<5",
        "> 5",
        "±5",
        "#5",
        "√16",
        r"\sqrt{16}",
        r"2\pi",
        "at least 5",
        "at most 5",
        "more than 5",
        "less than 5",
        "over 5",
        "up to 5",
        "not 5",
        "*not* 5",
        "either 5",
        "twice 5",
        "half of 10",
        "10 percent of 50",
        "one of 5",
        "5 of 6",
        "5 out of 6",
        "2 dozen",
        "3 quarters",
        "5 degrees below zero",
        "5 squared",
        "8 less 3",
        "five hundred and 5",
        "option 5",
        "step 5",
        "8 -",
        "8 - apples",
        "8 - x",
        "x + 5",
        "3 + x + 10",
        "8 — 3",
        "(some - 8)",
        "((28 - 13) and (28 - 15))",
        r"\boxed{5} or \boxed{6}",
        "five",
        "unknown",
        "",
        "8 / 0",
        "٥",
    ],
)
def test_what_is_several_numbers_another_or_not_understood_gives_none(said):
    assert read(said) is None


NUMBERS = st.integers(-(10**6), 10**6) | st.fractions(-1000, 1000, max_denominator=100)
FRAMES = st.sampled_from(
    ["{}", "{}.", " about {} apples.", "**{}**", "${}$", r"\boxed{{{}}}", "x = {}", "{} because"]
)


@STEADY
@given(NUMBERS, FRAMES)
def test_what_is_read_and_written_out_is_read_the_same_again(number, frame):
    first = prose.answer(frame.format(f"({number})"))
    assert first.value == number
    again = prose.answer(frame.format(first.text))
    assert (again.text, again.value) == (first.text, first.value)
    assert equations.value(first.text) == number


WRITTEN = st.from_regex(r"\A[0-9][0-9.,'_:/ ]{0,8}[0-9]\Z")


@STEADY
@given(WRITTEN, st.sampled_from(["{}", "{}.", "{} apples.", "{}, since it is so."]))
def test_no_label_is_a_proper_prefix_of_a_longer_number(written, frame):
    """Whatever digits a text has, either all of them are in the label or there is none."""
    found = prose.answer(frame.format(written))
    if found is None or found.value is None or ". " in written or "_" in written:  # a sentence; emphasis
        return
    kept = re.sub(r"[^0-9]", "", written)
    if "/" in written:  # a quotient, possibly of a mixed number
        above, _, below = written.rpartition("/")
        assert (
            Fraction(re.sub(r"[, ]", "", below)) * found.value == equations.value(above.strip())
            or " " in above
        )
    else:
        assert found.value == Fraction(re.sub(r"[, ]", "", written))
        assert re.sub(r"[^0-9]", "", found.text).strip("0") == kept.strip("0")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("84 / 2 = 42. So, Luke scored 42 points.", "42"),
        ("It is 5, then 7 kg", "7"),
        ("It begins at 5:30", None),
        ("That is 12,34", None),
        ("He is the 5th", None),
        ("no number", None),
    ],
)
def test_the_last_number_counts_where_all_that_touches_it_is_understood(text, expected):
    found = prose.last(text)
    assert (None if found is None else str(found.value)) == expected
