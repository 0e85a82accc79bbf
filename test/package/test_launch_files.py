"""The launch files, run by the real `launch` and `launch_ros`, start real nodes that do as their arguments say.

These tests need a ROS 2 with launch (apt, or its sources on PYTHONPATH); there are no wheels of it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from rgbd_seg_ros.inference.testing import write_test_bundle

pytest.importorskip("launch_ros", reason="launch_ros is not importable: it comes with apt ROS, not with wheels")
from node_harness import Station, private_ros

pytestmark = pytest.mark.ros
ROOT = Path(__file__).resolve().parents[2]
PROFILE = "FASTDDS_DEFAULT_PROFILES_FILE"
LAUNCHER = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

path, *arguments = sys.argv[1:]
source = PythonLaunchDescriptionSource(path)
included = IncludeLaunchDescription(source, launch_arguments=[tuple(a.split(":=", 1)) for a in arguments])
service = LaunchService()
service.include_launch_description(LaunchDescription([included]))
sys.exit(service.run())
"""


def ament_prefix(folder: Path) -> Path:
    """An installation of this checkout: what colcon makes, with links instead of copies."""
    marker = folder / "share/ament_index/resource_index/packages/rgbd_seg_ros"
    marker.parent.mkdir(parents=True)
    marker.touch()
    (folder / "share/rgbd_seg_ros").symlink_to(ROOT)
    executables = folder / "lib/rgbd_seg_ros"
    executables.mkdir(parents=True)
    for name, module in (("rgbd_segmenter", "segmenter_node"), ("fault_injector", "fault_injector")):
        program = f"#!{sys.executable}\nfrom rgbd_seg_ros.nodes.{module} import main\nmain()\n"
        (executables / name).write_text(program, encoding="utf-8")
        (executables / name).chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    write_test_bundle(folder)
    return folder


@pytest.fixture
def launched(tmp_path: Path) -> Iterator[Callable[..., Station]]:
    """Starts a launch file with arguments; answers a station in the same ROS domain. Ends the launch as ^C does."""
    with private_ros() as private:
        prefix = ament_prefix(tmp_path / "prefix")
        (tmp_path / "bin").mkdir()
        env = private | {
            "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "AMENT_PREFIX_PATH": f"{prefix}{os.pathsep}{os.environ.get('AMENT_PREFIX_PATH', '')}",
            "ROS_LOG_DIR": str(tmp_path / "log"),
        }
        started: list[tuple[subprocess.Popen[bytes], Station]] = []

        def start(file: str, *arguments: str, without: str = "") -> Station:
            command = [sys.executable, "-c", LAUNCHER, str(ROOT / "launch" / file), *arguments]
            kept = {name: value for name, value in env.items() if name != without}
            with (tmp_path / "launch.txt").open("wb") as log:
                process = subprocess.Popen(
                    command, env=kept, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
                )
            started.append((process, Station(int(env["ROS_DOMAIN_ID"]))))
            return started[-1][1]

        yield start
        for process, station in started:
            station.close()
            end_as_ctrl_c_does(process)
        print((tmp_path / "launch.txt").read_text(encoding="utf-8"))  # noqa: T201 - pytest shows it with a failure


def end_as_ctrl_c_does(process: subprocess.Popen[bytes]) -> None:
    """SIGINT to the whole group: launch relies on the terminal to interrupt its children too."""
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise


def own_processes(*executables: str) -> list[psutil.Process]:
    """Those of this test's launch that run one of the package's executables."""
    paths = [f"lib/rgbd_seg_ros/{name}" for name in executables]
    running = [p for p in psutil.Process().children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE]
    return [p for p in running if any(path in word for path in paths for word in p.cmdline())]


def node_process(station: Station) -> psutil.Process:
    """The process of the segmenter, once it is there."""
    found = station.wait("segmenter process", lambda: own_processes("rgbd_segmenter"))
    assert isinstance(found, list)
    return found[0]


def test_the_node_comes_up_active_and_stays_inactive_after_a_manual_deactivate(
    launched: Callable[..., Station], bundle: Path
) -> None:
    station = launched("segment.launch.py", f"bundle:={bundle}")
    station.wait("active", lambda: station.state() == "active", 20.0)
    assert station.change_state("deactivate")
    time.sleep(3.0)  # long enough for a transition that some handler would request
    assert station.state() == "inactive"


def test_without_autostart_the_node_waits_unconfigured(launched: Callable[..., Station], bundle: Path) -> None:
    station = launched("segment.launch.py", f"bundle:={bundle}", "autostart:=false")
    assert station.state() == "unconfigured"
    time.sleep(1.0)
    assert station.state() == "unconfigured"


@pytest.mark.parametrize(("argument", "state"), [((), "unconfigured"), (("autostart:=true",), "active")])
def test_a_parameters_file_holds_unless_an_argument_says_otherwise(
    launched: Callable[..., Station], bundle: Path, tmp_path: Path, argument: tuple[str, ...], state: str
) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(f"/**:\n  ros__parameters:\n    autostart: false\n    bundle: {bundle}\n", encoding="utf-8")
    station = launched("segment.launch.py", f"params_file:={mine}", *argument)
    station.wait(state, lambda: station.state() == state, 20.0)
    time.sleep(1.0)
    assert station.state() == state


def test_topics_and_transports_are_those_of_the_arguments(launched: Callable[..., Station], bundle: Path) -> None:
    station = launched(
        "segment.launch.py",
        f"bundle:={bundle}",
        "rgb_topic:=/camera/color/image_raw",
        "depth_topic:=/camera/depth/image_raw",
        "camera_info_topic:=/camera/color/camera_info",
        "rgb_transport:=compressed",
        "depth_transport:=compressedDepth",
    )
    for topic in (
        "/camera/color/image_raw/compressed",
        "/camera/depth/image_raw/compressedDepth",
        "/camera/color/camera_info",
    ):
        station.wait(f"subscription to {topic}", lambda topic=topic: station.node.count_subscribers(topic) == 1, 20.0)


def test_with_respawn_a_killed_node_comes_back_and_labels_again(launched: Callable[..., Station], bundle: Path) -> None:
    station = launched("segment.launch.py", f"bundle:={bundle}", "respawn:=true")
    station.wait("active", lambda: station.state() == "active", 20.0)
    first = node_process(station)
    first.kill()
    first.wait(5)
    station.wait("another process", lambda: node_process(station).pid != first.pid, 20.0)
    station.forget()
    station.wait("labels again", lambda: station.play(5, settle=False) and station.labels, 20.0)


def test_the_dds_profile_of_the_user_reaches_the_node(launched: Callable[..., Station], bundle: Path) -> None:
    station = launched("segment.launch.py", f"bundle:={bundle}")
    environment = node_process(station).environ()
    assert environment[PROFILE].endswith("fastdds_shm_localhost.xml")


def test_the_launched_node_asks_for_huge_pages(launched: Callable[..., Station], bundle: Path) -> None:
    station = launched("segment.launch.py", f"bundle:={bundle}", without="GLIBC_TUNABLES")
    assert node_process(station).environ()["GLIBC_TUNABLES"] == "glibc.malloc.hugetlb=1"


def test_every_node_of_a_replay_has_the_dds_profile_of_the_package(
    launched: Callable[..., Station], bundle: Path
) -> None:
    launched("replay.launch.py", f"bundle:={bundle}", without=PROFILE)
    deadline = time.monotonic() + 20.0
    while len(found := own_processes("rgbd_segmenter", "fault_injector")) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [Path(p.environ().get(PROFILE, "none")).name for p in found] == ["fastdds_shm.xml"] * 2


def test_a_replay_reaches_the_node_through_the_fault_injector(launched: Callable[..., Station], bundle: Path) -> None:
    station = launched(
        "replay.launch.py",
        f"bundle:={bundle}",
        "rgb_topic:=rgb/image_raw",
        "depth_topic:=depth/image_raw",
        "camera_info_topic:=rgb/camera_info",
        "scenario:=depth_drop",
        "use_sim_time:=false",
    )
    station.wait("the injector", lambda: station.node.count_publishers("/faulty/rgb/image_raw") == 1, 20.0)
    station.wait("its inputs", lambda: station.node.count_subscribers("/depth/image_raw") == 1)
    station.wait("labels", lambda: station.play(5, settle=False) and station.labels, 20.0)


def test_a_replay_plays_the_bag_with_a_clock_and_ends_after_it(
    launched: Callable[..., Station], bundle: Path, tmp_path: Path
) -> None:
    station = launched("replay.launch.py", f"bundle:={bundle}", "bag:=/data/run1", "speed:=2.0", "start_delay:=3.0")
    stand_in = tmp_path / "bin" / "ros2"
    stand_in.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/played.txt\n', encoding="utf-8")
    stand_in.chmod(0o755)
    station.wait("the player", (tmp_path / "played.txt").exists, 20.0)
    station.wait("the end", lambda: not own_processes("rgbd_segmenter", "fault_injector"), 20.0)
    assert (tmp_path / "played.txt").read_text() == "bag play /data/run1 --clock 100 --rate 2.0\n"
