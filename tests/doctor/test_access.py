"""Files that others should not read, folders that they should not write."""

import pytest

from qcrd.doctor.access import SECRETS, access
from qcrd.storage.home import Home


@pytest.fixture
def home(tmp_path):
    """One with its secrets, as `cluster/local.sh` leaves it."""
    (tmp_path / "local").mkdir()
    for name in SECRETS:
        (tmp_path / name).write_text("f00")
        (tmp_path / name).chmod(0o600)
    tmp_path.chmod(0o770)
    return Home(tmp_path)


def test_a_home_of_a_user_or_a_group_has_nothing_to_tell(home, tmp_path):
    assert list(access(home)) == [] and list(access(Home(tmp_path / "absent"))) == []


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_secret_that_others_may_read_is_an_error(home, name, mode):
    path = home.root / name
    path.chmod(mode)
    (found,) = access(home)
    assert found.state == "error" and found.remedy == f"chmod 600 {path}" and "f00" not in found.found


def test_a_home_that_all_may_write_is_a_warning(home):
    home.root.chmod(0o777)
    (found,) = access(home)
    assert found.state == "warning" and found.remedy == f"chmod o-w {home.root}"
