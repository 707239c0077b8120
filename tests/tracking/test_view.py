"""The view that MLflow's page opens with, unpacked as the page does it."""

import base64
import json
import zlib

from hypothesis import given
from hypothesis import strategies as st

from qcrd.tracking.mlflow.view import saved_view


def state(tag):
    kind, _, packed = json.loads(tag)["state"].partition(";")
    assert kind == "deflate"
    return json.loads(zlib.decompress(base64.b64decode(packed)))


def test_accuracy_is_drawn_against_each_varied_setting_first():
    charts = state(saved_view("mine embedded", "abc", ["beta", "scheme"], 1))["compareRunCharts"]
    assert [chart["xaxis"]["key"] for chart in charts[:2]] == ["beta", "scheme"]
    assert {chart["yaxis"]["key"] for chart in charts[:2]} == {"final/test"}
    assert [chart["type"] for chart in charts[2:]] == ["BAR", "PARALLEL", "LINE", "LINE"]
    assert len({chart["uuid"] for chart in charts}) == len(charts)


def test_the_best_comes_first_and_the_columns_are_accuracy_and_what_varies():
    view = state(saved_view("mine", "abc", ["m"], 1))
    assert (view["orderByKey"], view["orderByAsc"]) == ("metrics.`final/test`", False)
    assert view["selectedColumns"][:3] == ["metrics.`final/test`", "metrics.`final/validation`", "params.`m`"]
    assert view["searchFilter"] == "tags.`qcrd.grid_id` = 'abc'"


@given(st.lists(st.text(st.characters(codec="ascii"), max_size=60), unique=True, max_size=30))
def test_a_view_is_no_longer_than_a_tag_may_be(varied):
    assert len(saved_view("mine", "abc", varied, 1)) <= 20_000
