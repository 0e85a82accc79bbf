"""Where the shipped files are: config/, launch/ and bundles/ of a source checkout or of an installation.

The same three folders have three homes, tried in this order:

1. the source checkout that this code runs from (also `pip install -e .` and `colcon build --symlink-install`),
   so that a checkout never reads the files of another version that happens to be sourced;
2. the package's share folder in the ament index (colcon and apt installations);
3. `share/rgbd_seg_ros` under the Python prefix (plain `pip install`).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from rgbd_seg_ros.errors import UserError

PACKAGE = "rgbd_seg_ros"
DDS_PROFILE_VARIABLES = {2: "FASTRTPS_DEFAULT_PROFILES_FILE", 3: "FASTDDS_DEFAULT_PROFILES_FILE"}
"""By major version of Fast DDS. Version 2 does not know the new name, version 3 warns of the old one."""
FAST_DDS_2_DISTRIBUTIONS = frozenset({"humble", "iron", "jazzy"})


def _checkout() -> Path | None:
    root = Path(__file__).resolve().parents[1]
    return root if (root / "package.xml").is_file() else None


def _ament_share() -> Path | None:
    try:
        from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
    except ImportError:
        return None
    try:
        return Path(get_package_share_directory(PACKAGE))
    except (PackageNotFoundError, OSError):  # OSError: no ROS environment is sourced (AMENT_PREFIX_PATH is empty)
        return None


def share_dir() -> Path:
    """The folder that holds config/, launch/ and bundles/.

    Raises:
        UserError: the package's shared files are in none of their homes.
    """
    found = _checkout() or _ament_share() or Path(sys.prefix) / "share" / PACKAGE
    if found.is_dir():
        return found
    raise UserError(
        f"the shared files of {PACKAGE} (config, launch, bundles) were not found: source the workspace that holds "
        "the package, or install it again with colcon or pip."
    )


def config_file(name: str) -> Path:
    """Path of a file in config/, e.g. `segment.yaml` or `faults/depth_drop.yaml`.

    Raises:
        UserError: there is no such file; the sentence lists those that exist.
    """
    folder = share_dir() / "config"
    path = folder / name
    if path.is_file():
        return path
    known = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    raise UserError(f"config/{name} does not exist in {folder.parent}; known are: {', '.join(known) or 'none'}.")


def dds_environment(environ: Mapping[str, str], profile: str = "fastdds_shm.xml") -> dict[str, str]:
    """Variables that make Fast DDS use a profile of config/ (shared-memory segments that hold an image).

    Args:
        environ: the environment so far; a profile that the user has set there stays, and the answer is empty.
        profile: file in config/.
    """
    if any(environ.get(name) for name in DDS_PROFILE_VARIABLES.values()):
        return {}
    generation = 2 if environ.get("ROS_DISTRO") in FAST_DDS_2_DISTRIBUTIONS else 3
    return {DDS_PROFILE_VARIABLES[generation]: str(config_file(profile))}


def bundles_dir() -> Path:
    """The folder of the shipped model bundles (it may be empty or absent before `make bundle`)."""
    return share_dir() / "bundles"


def default_bundle() -> Path:
    """The shipped model bundle: the one folder with a manifest in bundles/, or `bundles/default` among several.

    Raises:
        UserError: no bundle is there, or several and none of them is called `default`.
    """
    folder = bundles_dir()
    bundles = sorted(p.parent for p in folder.glob("*/manifest.json"))
    if len(bundles) == 1:
        return bundles[0]
    if folder / "default" in bundles:
        return folder / "default"
    if not bundles:
        raise UserError(f"no model bundle is in {folder}: name one, e.g. runs/rooms/bundle after `make bundle`.")
    names = ", ".join(p.name for p in bundles)
    raise UserError(f"{folder} holds several model bundles ({names}): name the one to use, or call one `default`.")
