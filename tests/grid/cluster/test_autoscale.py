"""A grid on a cluster that starts its GPUs on demand: Ray's autoscaler, with made-up machines."""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml
from apart import apart, only_where_possible

from qcrd.errors import ConfigError
from qcrd.grid.cluster.autoscale import await_gpus

NOTHING = ("initialization", "setup", "head_setup", "worker_setup", "head_start_ray", "worker_start_ray")
CLUSTER = {
    "cluster_name": "made-up",
    "provider": {
        "type": "fake_multinode",
        "disable_node_updaters": True,
        "disable_launch_config_check": True,
    },
    "max_workers": 1,
    "idle_timeout_minutes": 0.02,
    "head_node_type": "head",
    "available_node_types": {
        "head": {"resources": {"CPU": 1}, "node_config": {}, "max_workers": 0},
        "gpu": {
            "resources": {"CPU": 1, "GPU": 1, "object_store_memory": 80_000_000},
            "node_config": {},
            "min_workers": 0,
            "max_workers": 1,
        },
    },
    **{f"{name}_commands": [] for name in NOTHING},
    **{"upscaling_speed": 1, "auth": {}, "docker": {}, "file_mounts": {}, "cluster_synced_files": []},
    **{"file_mounts_sync_continuously": False, "rsync_exclude": [], "rsync_filter": []},
}
PROGRAM = """
from ray.autoscaler._private.constants import AUTOSCALER_RESOURCE_REQUEST_CHANNEL as channel
from ray.experimental.internal_kv import _internal_kv_get
from qcrd.grid.cluster.connection import cluster
with cluster() as have:
    print("begins with", have.gpus, "GPUs on", len(have.nodes), "nodes")
    print("still asks for", _internal_kv_get(channel).decode())
"""
START = """
ray start --head --port=6379 --autoscaling-config="$1" --num-cpus=1 --object-store-memory=80000000 \
  --include-dashboard=false --disable-usage-stats >/dev/null && python -c "$2"
"""


@pytest.mark.slow
@only_where_possible
def test_a_grid_waits_for_gpus_that_are_started_for_it_and_lets_them_go(tmp_path: Path):
    config = tmp_path / "cluster.yaml"
    config.write_text(yaml.safe_dump(CLUSTER))
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "QCRD_"))}
    environment |= {
        "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "QCRD_WAIT_FOR_GPUS": "1",
        "RAY_ADDRESS": "127.0.0.1:6379",
        "RAY_AUTH_MODE": "disabled",
        "RAY_FAKE_CLUSTER": "1",
    }
    command = apart("bash", "-c", START, "start", str(config), PROGRAM)
    with TemporaryDirectory() as short:  # a socket's path has at most 107 bytes
        environment["RAY_TMPDIR"] = short
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=250)
    assert "waiting for 1 GPUs, 0 available" in ended.stdout, ended.stdout + ended.stderr
    assert "begins with 1.0 GPUs on 2 nodes" in ended.stdout
    assert "still asks for []" in ended.stdout  # so that an idle machine goes again


def test_a_number_of_gpus_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("QCRD_WAIT_FOR_GPUS", "all")
    with pytest.raises(ConfigError, match=r"QCRD_WAIT_FOR_GPUS: 'all'; allowed: whole numbers"):
        await_gpus(print)
