"""The networks of the shipped bundle: small enough, and exportable with unchanged scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.models import ModelSpec, build_model
from rgbd_seg_ros.models.counting import count_parameters
from rgbd_seg_training.network_file import read_networks

CONFIG = Path(__file__).resolve().parents[2] / "training" / "configs" / "bundle" / "models.yaml"


def shipped() -> dict[str, ModelSpec]:
    return {name: network.spec for name, network in read_networks(CONFIG).items()}


def test_three_modes_fit_into_twenty_five_megabytes_of_half_floats() -> None:
    specs = shipped()
    parameters = sum(count_parameters(build_model(specs[mode])) for mode in ("fusion", "rgb", "depth"))
    assert 2 * parameters < 25_000_000


def test_shipped_networks_read_what_their_mode_offers() -> None:
    specs = shipped()
    assert specs["fusion"].architecture == "cmx"
    assert {name: spec.inputs for name, spec in specs.items()} == {
        "fusion": ("rgb", "depth"),
        "teacher": ("rgb",),
        "rgb": ("rgb",),
        "depth": ("depth",),
    }
    assert len({spec.num_classes for spec in specs.values()}) == 1


@pytest.mark.slow
def test_the_exported_network_of_one_sensor_gives_the_scores_of_torch(tmp_path: Path) -> None:
    """Encoder and decoder are those of fusion too; what joins its two streams is exported in test/inference."""
    torch.manual_seed(0)
    model = build_model(shipped()["depth"]).eval()
    inputs = {"depth": (torch.rand(1, 64, 96) * 6 - 1).clamp(min=0)}
    with torch.no_grad():
        expected = model(**inputs)
    program = torch.onnx.export(
        model, (), kwargs=inputs, input_names=list(inputs), dynamo=True, verbose=False, external_data=False
    )
    program.save(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    (scores,) = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    np.testing.assert_allclose(scores, expected.numpy(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n- b\n", "does not describe networks by name"),
        ("rgb: [1]\n", "does not describe networks by name"),
        ("rgb: {architecture: lightfpn, pretrained: perhaps}\n", "pretrained of rgb is 'perhaps'"),
        ("rgb: {\n", "cannot be read"),
    ],
)
def test_a_file_that_does_not_describe_networks_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "networks.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_networks(path)
