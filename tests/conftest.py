"""Fixtures that several test modules share, and how tests are spread over processes (`pytest -n 2`)."""

import gc
import os
import sys
from pathlib import Path

import daily
import pytest
from hypothesis import settings

# A test meets the same examples in every run, however busy the machine is.
EXAMPLES = 50
# Read when Ray is imported: whatever Ray a test starts listens on loopback alone.
os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
# Read when torch is imported: models this small only wait for a second thread, and processes share the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Where it is set, every program that a test starts compiles torch anew: 25 s of CPU instead of 8.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
gc.disable()  # while tests are collected: what they import would be scanned again and again


# Files whose tests share a server that one process keeps, by the start of their paths.
SHARED = {
    "tests/grid/bench/": "mlflow",
    "tests/grid/cluster/test_engines": "ray",
    "tests/grid/cluster/test_gpu_sharing": "ray",
    "tests/grid/run/test_tune": "ray",
    "tests/tracking/": "mlflow",
}
# Long tests that share nothing, and so need not stay in one process.
APART = {"tests/grid/run/test_run_grid.py"}
# Folders of the longest tests.
LONG = ("tests/cluster/", "tests/faults/", "tests/grid/", "tests/teacher/", "tests/tracking/")
# What makes a test slow by itself.
COSTLY = {"chromium", "forked", "local_ray", "mlflow_server", "storage"}


def pytest_configure(config):
    daily.loop = config.option.markexpr == "not slow"
    settings.register_profile("qcrd", daily.examples(EXAMPLES))
    settings.load_profile("qcrd")


def pytest_collection_finish():
    """What is imported by now stays, and need not be scanned while tests run."""
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_unconfigure():
    gc.unfreeze()  # libraries complain of objects that are still there at the end


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Files with long tests go first: short files are left for the end, and all processes end together."""
    for item in items:
        if COSTLY & set(item.fixturenames):
            item.add_marker(pytest.mark.slow)
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (not item.nodeid.startswith(LONG), item.path not in slow))


def pytest_xdist_make_scheduler(config, log):
    """With several processes (`-n 2`), a file's tests stay in one, and so do those that share a server."""
    if config.getvalue("dist") != "load":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            file = nodeid.partition("::")[0]
            if file in APART:
                return nodeid
            return next((group for folder, group in SHARED.items() if file.startswith(folder)), file)

    config.option.loadscopereorder = False
    return ByFile(config, log)


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory):
    """One MLflow server for all tests that want a real one."""
    from qcrd.tracking.server import served

    with served(tmp_path_factory.mktemp("mlflow")) as server:
        yield server
    assert server.process.poll() is not None


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the real data (see its SOURCES.md); tests that want it skip where it is absent."""
    path = Path(os.environ.get("QCRD_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"real data not found: {path} (set QCRD_SHARED_DATA to a copy)")
    return path


@pytest.fixture(scope="session")
def forked():
    """A context of multiprocessing whose processes need no import."""
    from forked import context

    return context()


@pytest.fixture
def no_plugins():
    """This process as if it had loaded no plugin; those that the test loads are gone after it."""
    from qcrd import plugins, tasks
    from qcrd.losses import SCHEMES
    from qcrd.methods import METHODS
    from qcrd.rationales.select import SELECTIONS
    from qcrd.tasks.extensions import CUES, NORMALISERS
    from qcrd.teacher.engines import ENGINES

    registries = [tasks.TASKS, METHODS, SELECTIONS, SCHEMES, ENGINES, CUES, NORMALISERS]
    before = [dict(registry) for registry in registries]
    plugins.load_installed.cache_clear()
    yield
    for registry, built_in in zip(registries, before, strict=True):
        registry.clear()
        registry.update(built_in)
        registry._plugins.clear()
    plugins._loaded.clear()
    plugins.load_installed.cache_clear()


@pytest.fixture(scope="session")
def storage():
    """A server of object storage on loopback, with a bucket; its address and keys are in the environment."""
    from object_storage import make_bucket, served

    with served() as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        make_bucket()
        yield server


@pytest.fixture
def s3(storage, tmp_path) -> str:
    """URL of an empty folder there."""
    return f"s3://qcrd/{tmp_path.name}"
