"""The terms on embeddings and feature maps."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from rgbd_seg_training.baselines.guidance import PrototypeGuidance, Seen
from rgbd_seg_training.crodino.config import ramp
from rgbd_seg_training.crodino.correspondence import other_view_grid, sample_other_view
from rgbd_seg_training.crodino.losses import class_prototypes, info_nce, mutual_divergence, orthogonality
from rgbd_seg_training.data.geometry import Geometry, GeometryOptions

seeds = st.integers(0, 10_000)


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(2, 8), st.floats(0.05, 2.0))
def test_info_nce_is_the_cross_entropy_of_its_definition_and_symmetric(
    seed: int, count: int, temperature: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    a, b = torch.randn(2, count, 16, generator=generator)
    expected = 0.0
    for x, y in ((a, b), (b, a)):
        for i in range(count):
            cosines = [float(functional.cosine_similarity(x[i], y[j], dim=0)) / temperature for j in range(count)]
            expected += (math.log(sum(math.exp(c) for c in cosines)) - cosines[i]) / (2 * count)
    assert float(info_nce(a, b, temperature)) == pytest.approx(expected, rel=1e-3, abs=1e-4)
    assert float(info_nce(b, a, temperature)) == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_info_nce_of_one_pair_without_negatives_is_zero() -> None:
    assert float(info_nce(torch.randn(1, 4), torch.randn(1, 4), 0.1)) == pytest.approx(0, abs=1e-6)


def test_more_negatives_never_lower_info_nce() -> None:
    a, b, more = torch.randn(4, 8), torch.randn(4, 8), functional.normalize(torch.randn(16, 8), dim=1)
    assert info_nce(a, b, 0.1, (more, more)) > info_nce(a, b, 0.1)


def test_prototypes_are_the_means_of_the_cells_of_each_class() -> None:
    features = torch.randn(2, 6, 4, 4)
    label = torch.randint(0, 3, (2, 4, 4))
    means, present = class_prototypes(features, label.repeat_interleave(8, 1).repeat_interleave(8, 2), 4)
    assert present.tolist() == [True, True, True, False]
    for k in range(3):
        assert means[k] == pytest.approx(features.permute(0, 2, 3, 1)[label == k].mean(0), abs=1e-5)


def test_ignored_pixels_belong_to_no_prototype() -> None:
    _, present = class_prototypes(torch.randn(1, 4, 2, 2), torch.full((1, 16, 16), 255), 3)
    assert not present.any()


def test_orthogonality_is_one_for_parallel_or_opposite_and_zero_for_orthogonal_halves() -> None:
    x = torch.rand(2, 4, 3, 3) + 0.1
    assert float(orthogonality(x, 2 * x)) == pytest.approx(1)
    assert float(orthogonality(x, -x)) == pytest.approx(1)
    a, b = torch.zeros(1, 4, 2, 2), torch.zeros(1, 4, 2, 2)
    a[:, 0], b[:, 1] = 1, 1
    assert float(orthogonality(a, b)) == pytest.approx(0, abs=1e-6)


def test_mutual_divergence_is_zero_for_equal_scores_and_gives_the_teacher_no_gradient() -> None:
    scores = torch.randn(2, 3, 4, 4, requires_grad=True)
    teacher = torch.randn(2, 3, 4, 4, requires_grad=True)
    valid = torch.ones(2, 4, 4, dtype=torch.bool)
    assert float(mutual_divergence(scores, scores.softmax(1), valid).detach()) == pytest.approx(0, abs=1e-6)
    mutual_divergence(scores, teacher.softmax(1), valid).backward()
    assert teacher.grad is None
    assert scores.grad is not None


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_the_other_view_shows_the_same_source_place(seed: int) -> None:
    """A map of source coordinates, warped by both geometries, agrees wherever both views show the place."""
    rng = np.random.default_rng(seed)
    options = GeometryOptions((32, 48), scales=(0.8, 1.0, 1.5))
    source = (40, 60)
    own, other = options.draw(source, rng), options.draw(source, rng)

    def places(geometry: Geometry) -> torch.Tensor:
        matrix = torch.from_numpy(geometry.matrix())
        y, x = torch.meshgrid(torch.arange(32.0), torch.arange(48.0), indexing="ij")
        return torch.einsum("rc,chw->rhw", matrix, torch.stack([x, y, torch.ones_like(x)]))[None]

    matrices = [torch.from_numpy(g.matrix())[None] for g in (own, other)]
    grid = other_view_grid(matrices[0], matrices[1], (32, 48), (32, 48))
    seen, valid = sample_other_view(places(other), grid)
    # Away from the border, where interpolation has all its neighbours.
    inner = (grid.abs() < 0.9).all(-1) & valid
    difference = (seen - places(own)).abs().amax(1)
    assert not inner.any() or float(difference[inner].max()) < 1e-2


def test_the_ramp_rises_from_zero_to_one() -> None:
    assert [ramp(p, (0.2, 0.6)) for p in (0.0, 0.2, 0.4, 0.6, 1.0)] == pytest.approx([0, 0, 0.5, 1, 1])
    assert ramp(0.0, (0.0, 0.0)) == 1.0


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_the_other_view_is_found_to_a_thousandth_of_a_pixel_under_autocast(seed: int) -> None:
    rng = np.random.default_rng(seed)
    options = GeometryOptions((480, 640), scales=(0.75, 2.0), between=True)
    own, other = (torch.from_numpy(options.draw((480, 640), rng).matrix())[None] for _ in range(2))
    plain = other_view_grid(own.double(), other.double(), (480, 640), (15, 20))
    with torch.autocast("cpu", torch.bfloat16):
        mixed = other_view_grid(own, other, (480, 640), (15, 20))
    assert mixed.dtype == torch.float32
    assert float((mixed - plain).abs().max()) * 320 < 1e-3 * max(1.0, float(plain.abs().max()))


def test_contrast_and_prototypes_are_as_exact_under_autocast_as_without() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b, more = (torch.randn(n, 64, generator=generator) for n in (32, 32, 100))
    more = functional.normalize(more, dim=1)
    features = torch.randn(2, 16, 8, 8, generator=generator) + 3
    label = torch.randint(0, 5, (2, 64, 64), generator=generator)
    student, teacher = (Seen(f, f) for f in (features, features.flip(1).square()))
    with torch.autocast("cpu", torch.bfloat16):
        mixed = [info_nce(a, b, 0.07, (more, more)), class_prototypes(features, label, 5)[0]]
        mixed.append(PrototypeGuidance(5)(student, teacher, label))
    plain = [info_nce(a, b, 0.07, (more, more)), class_prototypes(features, label, 5)[0]]
    plain.append(PrototypeGuidance(5)(student, teacher, label))
    for ours, expected in zip(mixed, plain, strict=True):
        assert torch.equal(ours, expected)
