"""Nodes and stations of this room's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from node_harness import PATIENT, NodeProcess, Station, private_ros

from rgbd_seg_ros.inference.testing import write_test_bundle


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose labels are known."""
    return write_test_bundle(tmp_path_factory.mktemp("bundle") / "test4").folder


@pytest.fixture(scope="session")
def ros_env() -> Iterator[dict[str, str]]:
    with private_ros() as env:
        yield env


@pytest.fixture(scope="session")
def running_node(ros_env: dict[str, str], bundle: Path, tmp_path_factory: pytest.TempPathFactory):
    """One node process for all tests that do not need parameters of their own; it starts unconfigured."""
    log = tmp_path_factory.mktemp("node") / "node.log"
    process = NodeProcess(ros_env, log, {"bundle": str(bundle), "autostart": False, **PATIENT})
    yield process
    assert process.stop() == 0, log.read_text()


@pytest.fixture(scope="session")
def session_station(ros_env: dict[str, str]) -> Iterator[Station]:
    station = Station(int(ros_env["ROS_DOMAIN_ID"]))
    yield station
    station.close()


@pytest.fixture
def idle(running_node: NodeProcess, session_station: Station) -> Iterator[Station]:
    """A station beside the shared node, which is unconfigured before and after."""
    session_station.forget()
    assert session_station.state() == "unconfigured"
    yield session_station
    state = session_station.state()
    if state == "active":
        assert session_station.change_state("deactivate")
    if state != "unconfigured":
        assert session_station.change_state("cleanup")


@pytest.fixture
def station(idle: Station) -> Station:
    """A station beside the shared node, which is active and has seen nothing yet."""
    assert idle.change_state("configure", "activate")
    return idle
