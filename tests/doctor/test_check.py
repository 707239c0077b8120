"""Findings, and looks that fail."""

from qcrd.doctor.check import ok, run_checks
from qcrd.errors import DataError


def raising(error):
    def look():
        raise error

    return look


def test_a_look_that_fails_is_a_finding_and_the_others_go_on():
    found = list(
        run_checks(
            [
                ("data", raising(DataError("no file there; name another"))),
                ("odd", raising(KeyError("x"))),
                ("last", lambda: [ok("last", "well")]),
            ]
        )
    )
    assert [(c.name, c.state) for c in found] == [("data", "error"), ("odd", "error"), ("last", "ok")]
    assert (found[0].found, found[0].remedy) == ("no file there", "name another")
    assert "KeyError" in found[1].found


def test_errors_and_warnings_come_with_a_remedy_and_what_is_well_without():
    for check in run_checks([("a", raising(DataError("one\ntwo"))), ("b", raising(ValueError()))]):
        assert check.state == "error" and check.remedy
    assert ok("c", "fine").remedy == ""
