import pytest
import ray


@pytest.fixture(scope="module")
def local_ray():
    """A Ray of two CPUs, and one GPU that nobody has."""
    ray.init(
        address="local",
        num_cpus=2,
        num_gpus=1,
        include_dashboard=False,
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
    )
    yield
    ray.shutdown()
