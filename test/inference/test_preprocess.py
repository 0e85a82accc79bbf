"""Camera images to network inputs: every depth that means "nothing seen" becomes 0, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rgbd_seg_ros.inference.preprocess import InputBuffers, to_image_size

SIZES = st.tuples(st.integers(1, 40), st.integers(1, 40))


@settings(max_examples=60, deadline=None)
@given(
    image=hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=30), elements=st.floats(width=32)),
    size=SIZES,
    unit=st.sampled_from([1.0, 0.001]),
)
def test_float_depth_is_metres_of_one_of_its_pixels_or_zero(
    image: np.ndarray, size: tuple[int, int], unit: float
) -> None:
    out = InputBuffers(*size).depth(image, unit)
    assert out.shape == (1, *size)
    assert out.dtype == np.float32
    assert np.isfinite(out).all()
    allowed = image[np.isfinite(image) & (image > 0)] * np.float32(unit)
    assert np.isin(out, [*allowed[np.isfinite(allowed)], np.float32(0)]).all()


@settings(max_examples=60, deadline=None)
@given(
    image=hnp.arrays(np.uint16, hnp.array_shapes(min_dims=2, max_dims=2, max_side=30)),
    unit=st.sampled_from([1e-3, 2e-4]),
)
def test_integer_depth_of_network_size_is_scaled_pixel_by_pixel(image: np.ndarray, unit: float) -> None:
    out = InputBuffers(*image.shape).depth(image, unit)[0]
    expected = np.where(image == 65535, 0, image).astype(np.float32) * np.float32(unit)
    np.testing.assert_array_equal(out, expected)


def test_a_change_of_the_depth_unit_takes_effect_at_once() -> None:
    buffers = InputBuffers(2, 2)
    image = np.full((2, 2), 1000, np.uint16)
    assert buffers.depth(image, 0.001)[0, 0, 0] == np.float32(1.0)
    assert buffers.depth(image, 0.0002)[0, 0, 0] == pytest.approx(0.2)
    assert buffers.depth(image, 0.001)[0, 0, 0] == np.float32(1.0)


def test_old_depth_does_not_shine_through_new_holes() -> None:
    buffers = InputBuffers(4, 4)
    buffers.depth(np.ones((4, 4), np.float32), 1.0)
    assert not buffers.depth(np.full((4, 4), np.nan, np.float32), 1.0).any()


def test_colour_is_averaged_when_it_shrinks() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    image[::2] = 200
    assert (InputBuffers(2, 2).color(image) == 100).all()


def test_colour_of_network_size_is_not_copied() -> None:
    image = np.zeros((4, 6, 3), np.uint8)
    assert np.shares_memory(InputBuffers(4, 6).color(image), image)


def test_views_of_larger_images_are_read_right() -> None:
    large = np.arange(20 * 20 * 3, dtype=np.uint32).astype(np.uint8).reshape(20, 20, 3)
    view = large[2:10, 3:15, ::-1]
    for size in ((8, 12), (4, 6)):
        buffers = InputBuffers(*size)
        np.testing.assert_array_equal(buffers.color(view).copy(), buffers.color(view.copy()))
    depth = np.arange(400, dtype=np.uint16).reshape(20, 20)[::2, 1::3]
    np.testing.assert_array_equal(
        InputBuffers(5, 5).depth(depth, 1.0).copy(), InputBuffers(5, 5).depth(depth.copy(), 1.0)
    )


@settings(max_examples=40, deadline=None)
@given(plane=hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=20)), factor=st.integers(1, 4))
def test_labels_grow_by_repetition(plane: np.ndarray, factor: int) -> None:
    grown = to_image_size(plane, (plane.shape[0] * factor, plane.shape[1] * factor))
    np.testing.assert_array_equal(grown, plane.repeat(factor, 0).repeat(factor, 1))
    assert not np.shares_memory(grown, plane)
