"""Programs in namespaces of their own (Linux): `ray stop` ends there what was started there, all ports are
free, and nothing outlives the program."""

import shutil
import subprocess

import pytest

_UNSHARE = (
    "unshare",
    "--user",
    "--map-root-user",
    "--net",
    "--pid",
    "--fork",
    "--mount-proc",
    "--kill-child",
)


def apart(*command: str) -> list[str]:
    """The command line of `command` with processes, ports and a loopback interface of its own."""
    return [*_UNSHARE, "bash", "-c", 'ip link set lo up && "$@"; exit $?', "apart", *map(str, command)]


def _possible() -> bool:
    return (
        shutil.which("unshare") is not None
        and subprocess.run(apart("true"), capture_output=True).returncode == 0
    )


only_where_possible = pytest.mark.skipif(
    not _possible(),
    reason="it ends every Ray of the account it runs in, and the kernel gives no namespaces to be apart in",
)
