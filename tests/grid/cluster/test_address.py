"""A Ray that is not there."""

import socket

import pytest

from qcrd.errors import ConfigError
from qcrd.grid.cluster.address import refuse_dead


@pytest.fixture
def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_where_nothing_answers_is_refused_with_the_remedy(scheme, port):
    with pytest.raises(ConfigError, match=r"nothing answers there \(Connection refused\).*unset RAY_ADDRESS"):
        refuse_dead(f"{scheme}127.0.0.1:{port}")


def test_the_dashboards_address_is_not_called_dead():
    with pytest.raises(ConfigError, match=r"Submit the grid as a job, or set RAY_ADDRESS"):
        refuse_dead("http://127.0.0.1:8265")


def test_one_that_answers_and_one_that_ray_has_to_look_up_are_not():
    with socket.create_server(("127.0.0.1", 0)) as server:
        refuse_dead(f"127.0.0.1:{server.getsockname()[1]}")
    for address in (None, "", "auto", "local"):
        refuse_dead(address)
