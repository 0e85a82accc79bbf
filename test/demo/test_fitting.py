"""A demo on a slow machine ends with networks that it can run, and says which."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgbd_seg_ros.cli._fitting import SMALLEST_SIDE, Size, play_until_it_fits, smaller
from rgbd_seg_ros.inference.manifest import DYNAMIC_STEP, Manifest

SIDES = st.integers(2, 64).map(lambda n: n * DYNAMIC_STEP)


class Machine:
    """Plays on a machine that keeps up with networks of so many pixels."""

    def __init__(self, pixels: int, own: Size = (192, 256), other_failure: bool = False) -> None:
        self.pixels, self.own, self.other_failure = pixels, own, other_failure
        self.played: list[Size | None] = []

    def play(self, size: Size | None) -> dict[str, Any]:
        self.played.append(size)
        height, width = size or self.own
        lost = 0 if height * width <= self.pixels else 7
        dropped = {"rgb": {"overload": lost} if lost else {}, "depth": {"overload": lost} if lost else {"stale": 1}}
        return {"dropped": dropped, "passed": not lost and not self.other_failure}


def manifest(dynamic: bool = True) -> Manifest:
    return Manifest("rooms", None, 192, 256, {}, dynamic=dynamic)  # type: ignore[arg-type]


def test_a_machine_that_keeps_up_plays_once_with_the_size_of_the_bundle() -> None:
    machine, said = Machine(10**6), []
    report = play_until_it_fits(machine.play, manifest(), said.append)
    assert machine.played == [None]
    assert report["network_size"] == "192x256"
    assert report["too_large"] == []
    assert said == []


def test_a_slow_machine_plays_again_with_half_of_the_pixels_until_it_keeps_up() -> None:
    machine, said = Machine(10_000), []
    report = play_until_it_fits(machine.play, manifest(), said.append)
    assert machine.played == [None, (128, 160), (64, 96)]
    assert report["passed"]
    assert report["network_size"] == "64x96"
    assert report["too_large"] == [
        {"network_size": "192x256", "overload": 14},
        {"network_size": "128x160", "overload": 14},
    ]
    assert "192x256" in said[0]
    assert "again with 128x160" in said[0]


def test_a_machine_too_slow_for_the_smallest_networks_fails_in_the_end() -> None:
    machine = Machine(0)
    report = play_until_it_fits(machine.play, manifest(), lambda _: None)
    assert not report["passed"]
    assert machine.played[-1] == (64, 96)


def test_a_bundle_of_fixed_size_plays_once() -> None:
    machine = Machine(0)
    assert not play_until_it_fits(machine.play, manifest(dynamic=False), lambda _: None)["passed"]
    assert machine.played == [None]


def test_other_failures_are_no_reason_to_play_again() -> None:
    machine = Machine(10**6, other_failure=True)
    assert not play_until_it_fits(machine.play, manifest(), lambda _: None)["passed"]
    assert machine.played == [None]


@given(SIDES, SIDES)
def test_a_smaller_size_is_one_that_a_bundle_takes_with_at_most_half_of_the_pixels(height: int, width: int) -> None:
    size = smaller((height, width), (height, width))
    if size is None:
        return
    assert 2 * size[0] * size[1] <= height * width
    assert all(side % DYNAMIC_STEP == 0 and side >= SMALLEST_SIDE for side in size)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((192, 256), (128, 160)), ((128, 160), (64, 96)), ((480, 640), (320, 416)), ((64, 96), None)],
)
def test_smaller_sizes_keep_about_the_shape_of_the_bundle(size: Size, expected: Size | None) -> None:
    assert smaller(size, (192, 256)) == expected
