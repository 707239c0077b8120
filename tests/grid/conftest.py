import pytest
import ray


@pytest.fixture
def local_ray():
    """A Ray of two CPUs, and one GPU that nobody has; it stays for the next test, of whatever file."""
    if not ray.is_initialized():
        ray.init(
            address="local",
            num_cpus=2,
            num_gpus=1,
            include_dashboard=False,
            log_to_driver=False,
            _node_ip_address="127.0.0.1",
        )


@pytest.fixture(scope="module")
def no_ray():
    """This process as if it had joined no Ray; the one of `local_ray` ends."""
    ray.shutdown()
    yield
    ray.shutdown()
