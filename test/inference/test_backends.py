"""Every runtime that this machine has labels alike; every one that it has not is refused with a reason."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rgbd_seg_ros.core.frames import Mode
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.inference.backends.base import BackendError
from rgbd_seg_ros.inference.backends.cuda_device import find_gpu
from rgbd_seg_ros.inference.backends.registry import AUTO_ORDER, backend_names, make_backend, parse_settings
from rgbd_seg_ros.inference.bundle import Bundle
from rgbd_seg_ros.inference.segmenter import Segmenter
from rgbd_seg_ros.inference.testing import write_test_bundle


def has_gpu() -> bool:
    try:
        find_gpu()
    except BackendError:
        return False
    return True


def usable(name: str, bundle: Bundle) -> str:
    """What the backend runs on; skips the test with the backend's own reason where it cannot be used."""
    try:
        return make_backend(name).check(bundle)
    except BackendError as error:
        pytest.skip(f"{name}: {error}")


@pytest.fixture(scope="module")
def reference(exported: Bundle) -> Iterator[Segmenter]:
    segmenter = Segmenter(exported, "onnxruntime", threads=1)
    yield segmenter
    segmenter.close()


@pytest.mark.parametrize("name", backend_names())
def test_every_backend_labels_like_onnxruntime(
    name: str, exported: Bundle, reference: Segmenter, tmp_path: Path
) -> None:
    from rgbd_seg_training.export.frames import pattern_frames

    assert usable(name, exported)
    segmenter = Segmenter(exported, name, threads=1, settings={"tensorrt.cache": str(tmp_path)})
    segmenter.warm_up()
    frame = pattern_frames(1, 100, 130, seed=5)[0]
    for mode in exported.modes:
        expected = reference.segment(mode, frame.rgb, frame.depth, 1.0)
        result = segmenter.segment(mode, frame.rgb, frame.depth, 1.0)
        assert (result.label == expected.label).mean() > 0.999
        difference = np.abs(result.confidence.astype(int) - expected.confidence)[result.label == expected.label]
        assert difference.max() <= 1
    segmenter.close()


@pytest.mark.skipif(has_gpu(), reason="there is a GPU")
@pytest.mark.parametrize("name", ["tensorrt", "onnxruntime_cuda", "torch_cuda"])
def test_gpu_backends_are_refused_without_a_gpu(name: str, tmp_path: Path) -> None:
    bundle = write_test_bundle(tmp_path / "bundle", 8, 8)
    with pytest.raises(BackendError, match="NVIDIA driver"):
        make_backend(name).check(bundle)
    with pytest.raises(UserError, match=f"backend {name} cannot be used"):
        Segmenter(bundle, name)


def test_auto_explains_every_backend_that_it_passes_over(tmp_path: Path) -> None:
    segmenter = Segmenter(write_test_bundle(tmp_path / "bundle", 8, 8))
    passed_over = AUTO_ORDER[: AUTO_ORDER.index(segmenter.backend)]
    assert [text.partition(":")[0] for text in segmenter.diagnostics] == list(passed_over)


@pytest.mark.parametrize(
    ("facts", "accepted"),
    [
        ({}, False),
        ({"openvino_agreement": None, "min_agreement": 0.95}, False),
        ({"openvino_agreement": None, "min_agreement": 0.0}, False),
        ({"openvino_agreement": 0.94, "min_agreement": 0.95}, False),
        ({"openvino_agreement": 0.96, "min_agreement": 0.95}, True),
    ],
)
def test_openvino_takes_8_bit_bundles_only_if_they_were_verified_there(
    facts: dict[str, Any], accepted: bool, tmp_path: Path
) -> None:
    pytest.importorskip("openvino")
    bundle = write_test_bundle(tmp_path / "bundle", 8, 8)
    modes = {mode: dataclasses.replace(entry, verification=facts) for mode, entry in bundle.manifest.modes.items()}
    manifest = dataclasses.replace(bundle.manifest, precision="int8", modes=modes)
    eight_bit = dataclasses.replace(bundle, manifest=manifest)
    assert Segmenter(eight_bit).backend == ("openvino" if accepted else "onnxruntime")
    if not accepted:
        with pytest.raises(BackendError, match="8-bit models were not found right"):
            make_backend("openvino").check(eight_bit)


def test_torch_needs_the_checkpoints_in_the_bundle(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    with pytest.raises(UserError, match="--checkpoint"):
        Segmenter(write_test_bundle(tmp_path / "bundle", 8, 8), "torch")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"openvino.precison": "f32"}, "openvino.precison"),
        ({"abacus.beads": 3}, "abacus.beads"),
        ({"threads": 3}, "threads"),
        ({"torch.compile": "yes"}, "bool"),
        ({"onnxruntime.spin_us": -1}, "from 0 on"),
        ({"tensorrt.timeout_s": float("nan")}, "from 0 on"),
        ({"openvino.precision": "f64"}, "f32, bf16, f16"),
    ],
)
def test_unknown_settings_are_refused(settings: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=words):
        Segmenter(write_test_bundle(tmp_path / "bundle", 8, 8), settings=settings)


def test_settings_are_read_from_texts_by_the_type_of_their_default() -> None:
    texts = ["openvino.precision=bf16", "torch.compile = True", "tensorrt.timeout_s=90", "tensorrt.cache=/a=b"]
    assert parse_settings(texts) == {
        "openvino.precision": "bf16",
        "torch.compile": True,
        "tensorrt.timeout_s": 90.0,
        "tensorrt.cache": "/a=b",
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("openvino.precision", "openvino.precision=|backend.setting=value"),
        ("openvino.precison=f32", "no backend setting 'openvino.precison'; known are .*openvino.precision"),
        ("openvino.precision=f64", "choose one of f32, bf16, f16"),
        ("torch.compile=yes", "true or false"),
        ("tensorrt.timeout_s=long", "not a number"),
    ],
)
def test_settings_that_cannot_be_read_are_refused_in_one_sentence(text: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        parse_settings([text])


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_file_that_is_no_model_is_refused_by_the_runtime(name: str, tmp_path: Path) -> None:
    from rgbd_seg_ros.inference.bundle import load_bundle, write_bundle

    good = write_test_bundle(tmp_path / "bundle", 8, 8, modes=[Mode.RGB])
    usable(name, good)
    write_bundle(tmp_path / "bad", good.manifest, {Mode.RGB: b"not a model"})
    with pytest.raises(UserError, match="refuses the model of mode rgb"):
        Segmenter(load_bundle(tmp_path / "bad"), name)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_model_with_other_outputs_is_refused_when_it_runs(name: str, tmp_path: Path) -> None:
    import onnx

    from rgbd_seg_ros.inference.bundle import write_bundle

    good = write_test_bundle(tmp_path / "bundle", 8, 8, modes=[Mode.RGB])
    usable(name, good)
    model = onnx.load_model_from_string(good.model_bytes(Mode.RGB))
    model.graph.node[-1].attribute[0].i = onnx.TensorProto.INT32  # the cast of the confidence
    model.graph.output[1].type.tensor_type.elem_type = onnx.TensorProto.INT32
    shutil.rmtree(good.folder)
    other = write_bundle(tmp_path / "other", good.manifest, {Mode.RGB: model.SerializeToString()})
    segmenter = Segmenter(other, name)
    with pytest.raises(BackendError, match="int32"):
        segmenter.segment(Mode.RGB, np.zeros((8, 8, 3), np.uint8), None)
