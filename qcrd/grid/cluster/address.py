"""Checks the address of a Ray cluster, without importing Ray."""

from __future__ import annotations

import socket

from qcrd.errors import ConfigError

CONNECT_SECONDS = 5.0  # maximum wait for an answer of Ray's head


def refuse_dead(address: str | None) -> None:
    """Check that something answers at a RAY_ADDRESS; Ray itself would try for minutes.

    Raises:
        ConfigError: if nothing does, or if it is the address of the cluster's dashboard.
    """
    if (address or "").startswith(("http://", "https://")):
        raise ConfigError(
            f"RAY_ADDRESS is {address}, a dashboard's address, which is for `ray job submit`. Submit the "
            "grid as a job, or set RAY_ADDRESS to the cluster's own address (HOST:6379, auto on its head)"
        )
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():  # such as auto
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except OSError as error:
        raise ConfigError(
            f"RAY_ADDRESS is {address}, and nothing answers there ({error.strerror or error}). Start the "
            'cluster (`cluster/local.sh up`, then eval "$(cluster/local.sh env)"), or `unset RAY_ADDRESS`: '
            "a run then starts a Ray of its own"
        ) from error
