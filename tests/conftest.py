"""Fixtures that several test modules share."""

import os
from pathlib import Path

import pytest

# Read when Ray is imported: whatever Ray a test starts listens on loopback alone.
os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the real data (see its SOURCES.md); tests that want it skip where it is absent."""
    path = Path(os.environ.get("QCRD_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"real data not found: {path} (set QCRD_SHARED_DATA to a copy)")
    return path


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
        registry._of.clear()
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
