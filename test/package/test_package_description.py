"""package.xml and setup.py agree with each other and with the code."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import setuptools

ROOT = Path(__file__).resolve().parents[2]
# What the files of a place may import beside ROS and the install requirements: the projects of these extras.
EXTRAS_OF = {
    "rgbd_seg_ros/core": set(),
    "rgbd_seg_ros/nodes": {"cpu"},
    "rgbd_seg_ros/inference": {"cpu", "gpu", "openvino", "tensorrt-rtx", "training"},  # one backend file each
    "rgbd_seg_ros/scenes": {"demo"},
    "rgbd_seg_ros/datasets": {"demo"},
    "rgbd_seg_ros/replay": {"demo"},
    "rgbd_seg_ros/evaluation": {"demo"},
    "rgbd_seg_ros/cli": {"cpu", "demo"},
    "rgbd_seg_ros/models": {"training"},
    "training": {"training", "demo"},
}
# Modules whose project has another name.
PROJECT_OF = {
    "cuda": "cuda-python",
    "cv2": "opencv-python-headless",
    "yaml": "pyyaml",
    "tensorrt-rtx": "tensorrt-rtx-cu13",
}
UNPACKAGED = {"tensorrt"}  # from the vendor, never from an extra


@cache
def package_xml() -> ET.Element:
    return ET.parse(ROOT / "package.xml").getroot()


@cache
def setup_arguments() -> dict[str, Any]:
    """What setup.py hands to setuptools."""
    captured: dict[str, Any] = {}
    spec = importlib.util.spec_from_file_location("package_setup", ROOT / "setup.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    original, setuptools.setup = setuptools.setup, captured.update  # the file runs setup() when it is imported
    try:
        spec.loader.exec_module(module)
    finally:
        setuptools.setup = original
    return captured


def declared_in_xml() -> set[str]:
    return {e.text or "" for tag in ("depend", "exec_depend") for e in package_xml().iter(tag)}


def project_names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=!~; ]", r, maxsplit=1)[0].lower().replace("_", "-") for r in requirements}


def third_party(folder: Path) -> Iterator[tuple[str, str]]:
    """(top-level module, place) of every import that is neither ours nor the standard library's."""
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [a.name for a in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            for name in (n.split(".")[0] for n in names):
                if name not in sys.stdlib_module_names | {"rgbd_seg_ros", "rgbd_seg_training"}:
                    yield name, f"{path.relative_to(ROOT)}:{node.lineno}"


def test_name_version_licence_and_description_agree() -> None:
    arguments = setup_arguments()
    for field in ("name", "version", "license"):
        assert package_xml().findtext(field) == arguments[field]


def test_maintainer_address_is_one_that_colcon_accepts() -> None:
    """An address that catkin_pkg refuses turns the package, without a word, into a plain Python package."""
    address = package_xml().find("maintainer")
    assert address is not None
    assert re.fullmatch(r"[\w.+-]+@[\w-]+(\.[\w-]+)*\.[a-zA-Z]{2,}", address.attrib["email"])


def test_build_type_is_ament_python_of_format_3() -> None:
    assert package_xml().attrib["format"] == "3"
    assert package_xml().findtext("export/build_type") == "ament_python"


def test_every_ros_package_that_the_node_imports_is_declared() -> None:
    ros = {"rclpy", "cv_bridge", "sensor_msgs_py", "ament_index_python", "launch", "launch_ros", "tf2_ros"}
    used = {
        (name, place)
        for folder in ("rgbd_seg_ros", "launch")
        for name, place in third_party(ROOT / folder)
        if name in ros or name.endswith(("_msgs", "_interfaces", "_srvs"))
    }
    missing = sorted(f"{name} ({place})" for name, place in used if name not in declared_in_xml())
    assert used
    assert not missing


@pytest.mark.parametrize("place", EXTRAS_OF)
def test_what_a_place_imports_is_installed_by_its_extras(place: str) -> None:
    extras = setup_arguments()["extras_require"]
    requirements = sum((extras[extra] for extra in EXTRAS_OF[place]), list(setup_arguments()["install_requires"]))
    allowed = project_names(requirements) | {name.replace("_", "-") for name in declared_in_xml()}
    imports = {
        (PROJECT_OF.get(n := name.lower().replace("_", "-"), n), where) for name, where in third_party(ROOT / place)
    }
    assert not sorted(f"{name} ({where})" for name, where in imports if name not in allowed | UNPACKAGED)


def test_every_extra_that_the_makefile_names_exists() -> None:
    named = re.findall(r"EXTRAS := (\S+)", (ROOT / "Makefile").read_text(encoding="utf-8"))
    extras = set(setup_arguments()["extras_require"])
    assert named
    assert {extra for line in named for extra in line.split(",")} <= extras


def test_each_executable_is_a_main_function_of_the_package() -> None:
    for script in setup_arguments()["entry_points"]["console_scripts"]:
        module, function = script.split("=")[1].strip().split(":")
        path = ROOT / (module.replace(".", "/") + ".py")
        assert path.is_file(), f"{script}: no {path}"
        defined = {n.name for n in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(n, ast.FunctionDef)}
        assert function in defined, f"{script}: {path} defines no {function}"


def test_executables_land_where_ros2_run_looks() -> None:
    text = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    assert "install_scripts=$base/lib/rgbd_seg_ros" in text
    assert "script_dir=$base/lib/rgbd_seg_ros" in text


def test_every_launch_config_and_bundle_file_is_installed_beside_its_neighbours() -> None:
    installed = {
        f"{folder.removeprefix('share/rgbd_seg_ros')}/{Path(file).name}".lstrip("/")
        for folder, files in setup_arguments()["data_files"]
        for file in files
    }
    wanted = {
        p.relative_to(ROOT).as_posix()
        for folder in ("launch", "config", "bundles")
        for p in (ROOT / folder).rglob("*")
        if p.is_file() and "__pycache__" not in p.parts
    }
    assert wanted
    assert wanted <= installed
