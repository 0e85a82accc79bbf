"""Augmentation: what stays aligned, what is never invented, and what makes it reproducible."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_samples import random_sample
from torch.utils.data import DataLoader

from rgbd_seg_ros.datasets import PreparedSet, Sample
from rgbd_seg_ros.datasets.images import write_png
from rgbd_seg_ros.errors import UserError
from rgbd_seg_training.data.augmentation import PADDING_RGB, Augmentation, make_item
from rgbd_seg_training.data.dataset import SegmentationDataset
from rgbd_seg_training.data.geometry import Geometry, GeometryOptions, overlap
from rgbd_seg_training.data.photometry import ColorJitter, DepthJitter
from rgbd_seg_training.loading import EndlessOrder, validation_loader
from rgbd_seg_training.settings import DataConfig, open_data

SIZES = st.tuples(st.integers(1, 40), st.integers(1, 40))


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    between = draw(st.booleans())
    options = GeometryOptions(draw(SIZES), scales=(0.5, 1.0, 1.75), between=between)
    return options.draw(draw(SIZES), np.random.default_rng(draw(st.integers(0, 1 << 30))))


def ramp_sample(height: int, width: int) -> Sample:
    """All three images show the pixel's own place, so that a warp can be read off any of them."""
    rows, columns = np.mgrid[:height, :width]
    code = (rows * width + columns + 1).astype(np.uint16)
    rgb = np.stack([rows * 5, columns * 5, np.zeros_like(rows)], -1).astype(np.uint8)
    return Sample("ramp", rgb, code, (code % 200).astype(np.uint8))


@given(geometries())
def test_labels_and_depth_stay_aligned_and_invent_no_value(geometry: Geometry) -> None:
    sample = ramp_sample(*geometry.source)
    item = make_item(sample, 1.0, geometry, None)
    inside = item["depth"] > 0
    assert set(np.unique(item["depth"][inside])) <= set(sample.depth.ravel())
    np.testing.assert_array_equal(item["label"][inside], item["depth"][inside].astype(int) % 200)
    assert (item["label"][~inside] == 255).all()
    assert item["rgb"].shape == (*geometry.size, 3)


@given(geometries())
def test_padding_is_missing_ignored_and_of_the_mean_colour(geometry: Geometry) -> None:
    sample = Sample(
        "s", np.zeros((*geometry.source, 3), np.uint8), np.ones(geometry.source, np.uint16),
        np.zeros(geometry.source, np.uint8),
    )  # fmt: skip
    item = make_item(sample, 1.0, geometry, None)
    padded = item["label"] == 255
    np.testing.assert_array_equal(padded, item["depth"] == 0)
    np.testing.assert_array_equal(padded, (item["rgb"] == PADDING_RGB).all(-1))
    shown = [min(s, n) for s, n in zip(geometry.scaled, geometry.size, strict=True)]
    assert (~padded).sum() == shown[0] * shown[1]


@given(geometries())
def test_hha_is_padded_like_colour_since_both_are_normalised_alike(geometry: Geometry) -> None:
    hha = np.full((*geometry.source, 3), 7, np.uint8)
    sample = Sample("s", hha, np.ones(geometry.source, np.uint16), np.zeros(geometry.source, np.uint8), hha)
    item = make_item(sample, 1.0, geometry, None)
    padded = item["label"] == 255
    assert (item["depth"][padded] == PADDING_RGB).all()
    assert (item["depth"][~padded] == 7).all()


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("scale", [0.5, 1.0, 1.75])
def test_colour_and_depth_show_the_same_place(scale: float, flip: bool) -> None:
    sample = ramp_sample(40, 48)
    options = GeometryOptions((30, 36), scales=(scale,), flip=float(flip))
    item = make_item(sample, 1.0, options.draw((40, 48), np.random.default_rng(3)), None)
    inside = item["depth"] > 0
    code = item["depth"][inside].astype(int) - 1
    # Linear interpolation and the nearest pixel differ by at most a pixel of the source (5 grey values).
    assert np.abs(item["rgb"][inside][:, 0].astype(int) - code // 48 * 5).max() <= 5
    assert np.abs(item["rgb"][inside][:, 1].astype(int) - code % 48 * 5).max() <= 5


@given(geometries())
def test_the_matrix_names_the_source_pixel_of_every_output_pixel(geometry: Geometry) -> None:
    sample = ramp_sample(*geometry.source)
    item = make_item(sample, 1.0, geometry, geometry)
    rows, columns = np.nonzero(item["depth"] > 0)
    x, y = item["matrix_rgb"] @ np.stack([columns, rows, np.ones_like(rows)])
    code = item["depth"][rows, columns].astype(int) - 1
    assert np.abs(y - code // geometry.source[1]).max(initial=0) <= 0.5 + 1e-4
    assert np.abs(x - code % geometry.source[1]).max(initial=0) <= 0.5 + 1e-4


@pytest.mark.shared
def test_crop_and_padding_agree_with_the_reference(shared: Path) -> None:
    reference = np.load(shared / "reference" / "primkd" / "transforms.npz")
    image, label = reference["in.img"], reference["in.label"]
    source, size = image.shape[:2], tuple(int(v) for v in reference["meta.crop"])
    start = [int(v) for v in reference["meta.crop_pos"]]
    top, _, left, _ = (int(v) for v in reference["out.margin"])
    geometry = Geometry(source, source, (start[0] - top, start[1] - left), (size[0], size[1]), False)
    sample = Sample("s", image, np.ones(source, np.uint16), label)
    item = make_item(sample, 1.0, geometry, None)
    np.testing.assert_array_equal(item["label"], reference["out.label_crop_pad"])
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    normalised = (item["rgb"] / 255.0 - mean) / std
    inside = item["depth"] > 0
    np.testing.assert_allclose(normalised[inside], reference["out.crop_pad"][inside], atol=1e-6)
    np.testing.assert_allclose(normalised[~inside], 0, atol=0.02)


def test_decoupled_views_carry_their_own_labels() -> None:
    sample = ramp_sample(40, 48)
    augmentation = Augmentation(GeometryOptions((20, 20)), color=None, depth=None, decoupled=True)
    item = augmentation.apply(sample, 1.0, np.random.default_rng(1))
    inside = item["depth"] > 0
    np.testing.assert_array_equal(item["label_depth"][inside], item["depth"][inside].astype(int) % 200)
    assert "label" not in item
    assert (item["label_rgb"] != item["label_depth"]).any()


def test_overlap_aware_crops_show_more_of_the_same_scene() -> None:
    options = GeometryOptions((20, 20), scales=(1.0, 1.5))
    rng = np.random.default_rng(0)
    firsts = [options.draw((60, 60), rng) for _ in range(60)]
    free = np.mean([overlap(f, options.draw((60, 60), rng)) for f in firsts])
    aware = np.mean([overlap(f, options.draw_overlapping(f, 0.5, rng)) for f in firsts])
    assert aware > free + 0.2


@given(geometries())
def test_a_view_overlaps_itself_fully(geometry: Geometry) -> None:
    assert overlap(geometry, geometry) == pytest.approx(1.0)


@given(st.integers(0, 1 << 30))
def test_depth_jitter_fills_no_hole_and_stays_finite(seed: int) -> None:
    depth = random_sample("s", 1).depth.astype(np.float32) / 1000
    jittered = DepthJitter(scale=0.1, noise=0.01, holes=3).apply(depth, np.random.default_rng(seed))
    assert (jittered[depth == 0] == 0).all()
    assert np.isfinite(jittered).all() and (jittered >= 0).all()


def test_jitter_without_amounts_changes_nothing() -> None:
    sample = random_sample("s", 1)
    depth = sample.depth.astype(np.float32)
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(DepthJitter(0, 0, 0, 0).apply(depth, rng), depth)
    plain = ColorJitter(0, 0, 0, 0, 0, 0, 0).apply(sample.rgb, rng)
    assert np.abs(plain.astype(int) - sample.rgb).max() <= 1


def test_colour_jitter_can_take_all_colour_away() -> None:
    grey = ColorJitter(0, 0, 0, 0, 0, 0, grey=1.0).apply(random_sample("s", 1).rgb, np.random.default_rng(0))
    assert np.ptp(grey.astype(int), axis=-1).max() <= 1


@pytest.mark.parametrize("decoupled", [False, True])
def test_items_depend_on_seed_pass_and_index_alone(small_set: PreparedSet, decoupled: bool) -> None:
    augmentation = Augmentation(GeometryOptions((16, 16)), decoupled=decoupled)
    first = SegmentationDataset(small_set, "train", augmentation, seed=5)
    second = SegmentationDataset(small_set, "train", augmentation, seed=5, cache="memory")
    third_pass = 3 * len(first)
    wanted = [first[third_pass + i] for i in range(6)]
    for i in (4, 0, 5, 2):
        assert second[third_pass + i]["index"] == i
        for key in ("rgb", "depth"):
            np.testing.assert_array_equal(second[third_pass + i][key], wanted[i][key])


def test_every_pass_disturbs_a_sample_anew_however_short_or_long_epochs_are(small_set: PreparedSet) -> None:
    dataset = SegmentationDataset(small_set, "train", Augmentation(GeometryOptions((16, 16))), seed=5)
    passes = 6
    draws = sorted(EndlessOrder(len(dataset), passes * len(dataset), seed=5, epoch=0))
    views = [dataset[d]["rgb"].tobytes() for d in draws if d % len(dataset) == 0]
    assert len(set(views)) == passes


def test_worker_processes_make_the_same_batches(small_set: PreparedSet) -> None:
    dataset = SegmentationDataset(small_set, "train", Augmentation(GeometryOptions((16, 16))), cache="disk")
    alone, helped = (list(DataLoader(dataset, batch_size=3, num_workers=n)) for n in (0, 2))
    for one, other in zip(alone, helped, strict=True):
        assert one["name"] == other["name"]
        for key in ("rgb", "depth", "label"):
            np.testing.assert_array_equal(one[key].numpy(), other[key].numpy())


@pytest.mark.parametrize("cache", ["none", "memory", "disk"])
def test_every_cache_gives_the_images_as_they_are(small_set: PreparedSet, cache: str) -> None:
    item = SegmentationDataset(small_set, "val", cache=cache)[1]
    sample = small_set.read("v1")
    np.testing.assert_array_equal(item["rgb"], sample.rgb)
    np.testing.assert_array_equal(item["depth"], sample.depth.astype(np.float32) * np.float32(0.001))
    np.testing.assert_array_equal(item["label"], sample.label)


@pytest.fixture
def mixed(tmp_path: Path, small_set: PreparedSet) -> PreparedSet:
    """The small set with one smaller image in `train` and one in `val`."""
    shutil.copytree(small_set.root, tmp_path / "mixed", ignore=shutil.ignore_patterns(".packed"))
    for name in ("t1", "v1"):
        odd = random_sample(name, 9, 10, 12)
        for kind, image in (("rgb", odd.rgb), ("depth", odd.depth), ("label", odd.label)):
            write_png(tmp_path / "mixed" / kind / f"{name}.png", image)
    return PreparedSet.open(tmp_path / "mixed")


def test_images_of_several_sizes_are_validated_one_by_one(mixed: PreparedSet, small_set: PreparedSet) -> None:
    sizes = {}
    for prepared in (mixed, small_set):
        data, _ = open_data(DataConfig(str(prepared.root), size=(16, 16), validation_limit=2), decoupled=False)
        loader = validation_loader(data, batch=2, workers=0)
        assert loader is not None
        sizes[prepared.root.name] = [tuple(batch["label"].shape) for batch in loader]
    assert sizes == {"mixed": [(1, 24, 32), (1, 10, 12)], "small": [(2, 24, 32)]}


@pytest.mark.parametrize(
    "options",
    [
        {"cache": "memory", "size": (12, 16)},
        {"size": (12, 16)},
        {"augmentation": Augmentation(GeometryOptions((8, 8)))},
    ],
)
def test_images_brought_to_one_size_are_stacked(mixed: PreparedSet, options: dict) -> None:
    assert SegmentationDataset(mixed, "val", **options).has_one_size()
    assert not SegmentationDataset(mixed, "val").has_one_size()


def test_a_packed_set_notices_mixed_sizes(mixed: PreparedSet) -> None:
    with pytest.raises(UserError, match="name a common size"):
        SegmentationDataset(mixed, "train", cache="memory")
    assert SegmentationDataset(mixed, "train", cache="memory", size=(12, 16))[1]["rgb"].shape == (12, 16, 3)


@pytest.mark.parametrize("scales", [(), (0.0, 1.0), (-1.0,)])
def test_refuses_scales_that_are_no_scales(scales: tuple[float, ...]) -> None:
    with pytest.raises(UserError, match="scales must be positive"):
        GeometryOptions((8, 8), scales=scales)
