"""In-graph preprocessing: ranges, missing depth, impossible values."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.models.preprocessing import (
    MISSING_WITHOUT_MASK,
    DepthNormalizer,
    RgbNormalizer,
    depth_normalizer,
)
from rgbd_seg_ros.models.spec import IMAGENET_MEAN, IMAGENET_STD, DepthEncoding

encodings = st.builds(
    DepthEncoding, st.sampled_from(["linear", "log", "inverse"]), st.just(0.3), st.just(10.0), st.booleans()
)


def encoded(encoding: DepthEncoding, *metres: float) -> torch.Tensor:
    """Channels x pixels."""
    return DepthNormalizer(encoding)(torch.tensor([[metres]]))[0, :, 0]


def test_colour_is_normalised_to_the_imagenet_statistics() -> None:
    image = torch.tensor([[[[0, 128, 255]]]], dtype=torch.uint8)
    expected = [(v / 255 - m) / s for v, m, s in zip((0, 128, 255), IMAGENET_MEAN, IMAGENET_STD, strict=True)]
    out = RgbNormalizer()(image)
    assert out.shape == (1, 3, 1, 1)
    torch.testing.assert_close(out.flatten(), torch.tensor(expected))


@settings(max_examples=60, deadline=None)
@given(encodings, st.lists(st.floats(0.3, 10.0), min_size=2, max_size=8))
def test_measured_depth_maps_monotonically_into_minus_two_to_two(encoding: DepthEncoding, metres: list[float]) -> None:
    ordered = sorted(metres, reverse=encoding.encoding == "inverse")
    values = encoded(encoding, *ordered)[0]
    assert values.min() >= -2.0001
    assert values.max() <= 2.0001
    assert (values.diff() >= -1e-5).all()


@settings(max_examples=60, deadline=None)
@given(encodings, st.floats(allow_nan=True, allow_infinity=True, width=32))
def test_any_depth_gives_finite_channels(encoding: DepthEncoding, metres: float) -> None:
    assert encoded(encoding, metres).isfinite().all()


@pytest.mark.parametrize("missing", [0.0, -1.0, math.nan])
def test_missing_depth_is_zero_in_every_channel_with_a_mask(missing: float) -> None:
    assert encoded(DepthEncoding("inverse"), missing)[:, 0].tolist() == [0.0, 0.0]
    assert encoded(DepthEncoding("inverse", mask_channel=False), missing)[:, 0].tolist() == [MISSING_WITHOUT_MASK]


def test_mask_channel_tells_measured_from_missing() -> None:
    assert encoded(DepthEncoding("linear"), 0.0, 0.1, 5.0, math.inf)[1].tolist() == [0.0, 1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("encoding", "near", "middle", "far"),
    [("linear", -2, 5.15, 2), ("log", -2, math.sqrt(3.0), 2), ("inverse", 2, 0, -2)],
)
def test_ends_of_the_range_are_minus_two_and_two(encoding: str, near: float, middle: float, far: float) -> None:
    middle = middle or 2 / (1 / 0.3 + 1 / 10)
    values = encoded(DepthEncoding(encoding), 0.1, 0.3, middle, 10.0, 50.0)[0]
    torch.testing.assert_close(values, torch.tensor([near, near, 0.0, far, far]), atol=1e-5, rtol=0)


def test_hha_images_are_normalised_as_colour() -> None:
    image = torch.randint(0, 256, (1, 4, 5, 3), dtype=torch.uint8)
    out = depth_normalizer(DepthEncoding("hha", mask_channel=False))(image)
    assert torch.equal(out, RgbNormalizer()(image))


@pytest.mark.parametrize(
    "values", [{"encoding": "cubic"}, {"min_m": 0.0}, {"min_m": 5.0, "max_m": 5.0}, {"encoding": "hha"}]
)
def test_senseless_encodings_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(UserError, match="depth"):
        DepthEncoding(**values)  # type: ignore[arg-type]
