"""The shipped files are found from every home of the package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rgbd_seg_ros import paths
from rgbd_seg_ros.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


def share_seen_by(code: Path, environment: dict[str, str], python: str = sys.executable) -> str:
    """What share_dir() answers, or its error, in a process whose package lies at `code`."""
    program = (
        "from rgbd_seg_ros import paths\n"
        "from rgbd_seg_ros.errors import UserError\n"
        "try: print(paths.share_dir())\n"
        "except UserError as error: print(error)\n"
    )
    done = subprocess.run(
        [python, "-P", "-c", program] if sys.version_info >= (3, 11) else [python, "-c", program],
        env={**os.environ, "PYTHONPATH": str(code), **environment},
        cwd=code,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def copied_code(tmp_path: Path) -> Path:
    """The two modules alone, as in site-packages: no package.xml above them."""
    package = tmp_path / "site" / "rgbd_seg_ros"
    package.mkdir(parents=True)
    for name in ("__init__.py", "paths.py", "errors.py"):
        shutil.copy(ROOT / "rgbd_seg_ros" / name, package)
    return package.parent


def ament_prefix(folder: Path) -> Path:
    """An installation prefix that the ament index knows the package of."""
    marker = folder / "share/ament_index/resource_index/packages/rgbd_seg_ros"
    marker.parent.mkdir(parents=True)
    marker.touch()
    (folder / "share/rgbd_seg_ros/config").mkdir(parents=True)
    return folder


def test_a_checkout_uses_its_own_files_even_when_another_version_is_sourced(tmp_path: Path) -> None:
    sourced = ament_prefix(tmp_path / "sourced")
    assert share_seen_by(ROOT, {"AMENT_PREFIX_PATH": str(sourced)}) == str(ROOT)


def test_installed_code_uses_the_ament_index(tmp_path: Path, copied_code: Path) -> None:
    pytest.importorskip("ament_index_python", reason="the ament index needs ROS 2 (apt or wheels)")
    sourced = ament_prefix(tmp_path / "sourced")
    seen = share_seen_by(copied_code, {"AMENT_PREFIX_PATH": str(sourced)})
    assert seen == str(sourced / "share/rgbd_seg_ros")


def test_installed_code_without_its_files_says_what_to_do(copied_code: Path) -> None:
    assert "install it again" in share_seen_by(copied_code, {"AMENT_PREFIX_PATH": ""})


def test_every_config_file_is_found_by_name() -> None:
    shipped = [p for p in (ROOT / "config").rglob("*") if p.is_file()]
    assert shipped
    for path in shipped:
        assert paths.config_file(str(path.relative_to(ROOT / "config"))) == path


def test_an_unknown_config_file_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"no_such\.yaml does not exist.*fastdds_shm\.xml"):
        paths.config_file("no_such.yaml")


@pytest.mark.parametrize(
    ("present", "chosen"),
    [(["indoor"], "indoor"), (["indoor", "default"], "default")],
)
def test_default_bundle_is_the_only_one_or_the_one_called_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, present: list[str], chosen: str
) -> None:
    add_bundles(tmp_path, monkeypatch, present)
    assert paths.default_bundle() == tmp_path / "bundles" / chosen


@pytest.mark.parametrize(("present", "remedy"), [([], "make bundle"), (["a", "b"], r"several model bundles \(a, b\)")])
def test_no_or_ambiguous_bundle_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, present: list[str], remedy: str
) -> None:
    add_bundles(tmp_path, monkeypatch, present)
    with pytest.raises(UserError, match=remedy):
        paths.default_bundle()


def add_bundles(root: Path, monkeypatch: pytest.MonkeyPatch, names: list[str]) -> None:
    monkeypatch.setattr(paths, "share_dir", lambda: root)
    for name in names:
        (root / "bundles" / name).mkdir(parents=True)
        (root / "bundles" / name / "manifest.json").write_text("{}", encoding="utf-8")


@pytest.mark.parametrize(
    ("distribution", "variable"),
    [
        ("humble", "FASTRTPS_DEFAULT_PROFILES_FILE"),
        ("jazzy", "FASTRTPS_DEFAULT_PROFILES_FILE"),
        ("kilted", "FASTDDS_DEFAULT_PROFILES_FILE"),
        ("", "FASTDDS_DEFAULT_PROFILES_FILE"),
    ],
)
def test_the_dds_profile_is_set_under_the_name_that_the_distribution_reads(distribution: str, variable: str) -> None:
    assert paths.dds_environment({"ROS_DISTRO": distribution}) == {variable: str(ROOT / "config/fastdds_shm.xml")}


@pytest.mark.parametrize("variable", paths.DDS_PROFILE_VARIABLES.values())
def test_a_dds_profile_of_the_user_stays(variable: str) -> None:
    assert paths.dds_environment({variable: "/home/me/mine.xml"}) == {}
