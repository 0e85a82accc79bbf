"""Evaluation protocols: averaged softmax, every pixel scored, heights never mistaken for widths."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rgbd_seg_ros.errors import UserError
from rgbd_seg_training.evaluation import Protocol, evaluate_model, predict_probabilities
from rgbd_seg_training.evaluation.predict import window_starts


class ByColour(torch.nn.Module):
    """Class 0 where red is large, 1 where green is, 2 else: resolution-free, so that every protocol must agree."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[tuple[int, int]] = []

    def forward(self, rgb: torch.Tensor | None = None, depth: torch.Tensor | None = None) -> torch.Tensor:
        given = rgb if rgb is not None else torch.stack([depth * 50, depth * 0, 128 - depth * 50], -1)  # type: ignore[operator]
        self.sizes.append((given.shape[1], given.shape[2]))
        return given.permute(0, 3, 1, 2).float() / 16


def stripes(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """An image with a tall red left third, a green middle, a blue bottom right, and its labels."""
    label = torch.zeros(1, height, width, dtype=torch.int64)
    label[:, :, width // 3 :] = 1
    label[:, height // 2 :, 2 * width // 3 :] = 2
    return torch.nn.functional.one_hot(label, 3).to(torch.uint8) * 255, label


@pytest.mark.parametrize(
    "protocol",
    [
        Protocol(),
        Protocol(flip=True),
        Protocol(scales=(0.75, 1.0, 1.25), flip=True),
        Protocol(scales=(0.5, 1.5), window=(20, 30)),
        Protocol(window=(200, 300)),
        Protocol(size=(24, 36), flip=True),
        Protocol(scales=(0.5, 1.0), size=(96, 144), window=(40, 40)),
        Protocol(window=(17, 13), stride=1.0, flip=True),
    ],
    ids=str,
)
def test_every_protocol_labels_a_plain_image_correctly(protocol: Protocol) -> None:
    rgb, label = stripes(48, 72)
    probabilities = predict_probabilities(ByColour(), rgb, None, protocol)
    assert probabilities.shape == (1, 3, 48, 72)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(1, 48, 72))
    wrong = probabilities.argmax(1) != label
    assert wrong.float().mean() < 0.05  # only along the borders of the stripes


@pytest.mark.parametrize("window", [None, (24, 24)], ids=["whole image", "sliding window"])
def test_non_square_images_keep_their_shape_and_are_scored_whole_above_scale_one(
    window: tuple[int, int] | None,
) -> None:
    rgb, label = stripes(30, 90)
    model = ByColour()
    protocol = Protocol(scales=(1.5, 2.0), flip=True, window=window)
    matrix = evaluate_model(model, [{"rgb": rgb, "label": label}], 3, ("rgb",), protocol)
    assert matrix.counts.sum() == label.numel()
    assert matrix.scores().miou > 0.9
    if window is None:
        assert set(model.sizes) == {(45, 135), (60, 180)}


def test_softmax_is_averaged_not_logits() -> None:
    """One very confident view must not outvote two: with summed logits or exp(logits) it would."""

    class ConfidentOnce(torch.nn.Module):
        def forward(self, rgb: torch.Tensor) -> torch.Tensor:
            strong = rgb.shape[1] == 8
            scores = torch.tensor([50.0, 0.0] if strong else [0.0, 3.0])
            return scores.view(1, 2, 1, 1).expand(1, 2, rgb.shape[1], rgb.shape[2])

    rgb = torch.zeros(1, 8, 12, 3, dtype=torch.uint8)
    probabilities = predict_probabilities(ConfidentOnce(), rgb, None, Protocol(scales=(1.0, 1.5, 2.0)))
    weak = float(torch.tensor([0.0, 3.0]).softmax(0)[1])
    torch.testing.assert_close(probabilities[0, 1], torch.full((8, 12), 2 * weak / 3))


@given(st.integers(1, 300), st.integers(1, 120), st.floats(0.1, 1.0))
def test_windows_cover_every_pixel_and_stay_inside(length: int, window: int, stride: float) -> None:
    starts = window_starts(length, window, stride)
    covered = {p for s in starts for p in range(s, s + window)}
    assert set(range(length)) <= covered
    assert starts[0] == 0 and (len(starts) == 1 or starts[-1] + window == length)


def test_depth_is_never_interpolated_across_an_edge() -> None:
    seen: list[torch.Tensor] = []

    class Recorder(torch.nn.Module):
        def forward(self, depth: torch.Tensor) -> torch.Tensor:
            seen.append(depth)
            return torch.zeros(1, 2, *depth.shape[1:])

    depth = torch.tensor([[[0.0, 1.0, 4.0], [0.0, 4.0, 1.0]]])
    predict_probabilities(Recorder(), None, depth, Protocol(scales=(0.7, 2.5)))
    assert all(set(d.unique().tolist()) <= {0.0, 1.0, 4.0} for d in seen)


def test_a_missing_sensor_is_fed_as_zeros() -> None:
    rgb, label = stripes(12, 18)
    depth = torch.full((1, 12, 18), 2.0)

    class UsesBoth(torch.nn.Module):
        def forward(self, rgb: torch.Tensor, depth: torch.Tensor) -> torch.Tensor:
            return torch.stack([depth, 1 - depth], 1) + rgb.float().mean()

    batch = {"rgb": rgb, "depth": depth, "label": label.clamp(max=1)}
    full = evaluate_model(UsesBoth(), [batch], 2)
    without = evaluate_model(UsesBoth(), [batch], 2, missing=frozenset({"depth"}))
    assert full.counts[:, 0].sum() == label.numel()
    assert without.counts[:, 1].sum() == label.numel()


def test_the_model_is_left_in_the_mode_it_had() -> None:
    rgb, label = stripes(6, 9)
    model = ByColour().train()
    evaluate_model(model, [{"rgb": rgb, "label": label}], 3, ("rgb",))
    assert model.training


def test_refuses_inputs_of_different_size() -> None:
    with pytest.raises(UserError, match="of one size"):
        predict_probabilities(ByColour(), torch.zeros(1, 4, 6, 3, dtype=torch.uint8), torch.zeros(1, 6, 4))
