"""From torch networks to a bundle: same labels, contract of the graph, refusals, lower precision."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from small_networks import LABELS, SIZE

from rgbd_seg_ros.core.frames import Mode
from rgbd_seg_ros.core.label_sets import LabelSet
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.inference.bundle import Bundle, load_bundle
from rgbd_seg_ros.inference.segmenter import Segmenter

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from rgbd_seg_training.export import export_bundle as export_module  # noqa: E402 - needs torch
from rgbd_seg_training.export.export_bundle import ExportOptions, export_bundle  # noqa: E402
from rgbd_seg_training.export.frames import ExportFrame, pattern_frames  # noqa: E402
from rgbd_seg_training.export.graph import MOST_CHANNELS, LabellingGraph, choose_class, interpolation_groups  # noqa: E402
from rgbd_seg_training.export.onnx_file import to_onnx  # noqa: E402
from rgbd_seg_training.export.precision import quantize  # noqa: E402
from rgbd_seg_training.export.renew import renew_bundle  # noqa: E402
from rgbd_seg_training.export.verify import TorchReference, _score_planes, verify  # noqa: E402


def test_the_class_choice_is_argmax_and_softmax() -> None:
    scores = 4 * torch.randn(1, 7, 20, 30, generator=torch.Generator().manual_seed(1))
    scores[0, 3:5, 2, 2] = scores.max() + 1  # two equal best classes: the lower one wins
    label, confidence = choose_class(scores)
    probability, expected = torch.softmax(scores, 1).max(1)
    assert label.dtype == confidence.dtype == torch.uint8
    assert torch.equal(label[0, 2, 2], torch.tensor(3, dtype=torch.uint8))
    assert torch.equal(label, scores.argmax(1).to(torch.uint8))
    assert (confidence.int() - torch.round(255 * probability).int()).abs().max() <= 1
    assert expected.shape == label.shape


def test_scores_that_are_not_numbers_give_no_label() -> None:
    scores = torch.zeros(1, 3, 2, 2)
    scores[0, :, 0, 0] = float("nan")
    label, _ = choose_class(scores)
    assert label[0, 0, 0] == 255
    assert label[0, 1, 1] == 0


def test_the_bundle_labels_like_torch(exported: Bundle, networks: dict[str, Any]) -> None:
    segmenter = Segmenter(exported, "onnxruntime", threads=1)
    for frame in pattern_frames(2, *SIZE, seed=9):
        for mode in exported.modes:
            result = segmenter.segment(mode, frame.rgb, frame.depth, 1.0)
            images = {"rgb": torch.from_numpy(frame.rgb)[None], "depth": torch.from_numpy(frame.depth)[None]}
            with torch.inference_mode():
                scores = networks[mode.value](**{s.value: images[s.value] for s in mode.sensors})
            assert (result.label == scores.argmax(1)[0].numpy()).mean() > 0.999
            np.testing.assert_allclose(result.confidence, 255 * scores.softmax(1).amax(1)[0].numpy(), atol=1.01)
            assert len(np.unique(result.label)) > 1, "a constant label would agree with anything"


def test_the_graph_keeps_the_contract_of_the_bundle(exported: Bundle) -> None:
    types = {onnx.TensorProto.UINT8: "uint8", onnx.TensorProto.FLOAT: "float32"}
    shapes = {"rgb": ("uint8", [1, *SIZE, 3]), "depth": ("float32", [1, *SIZE])}
    plane = ("uint8", [1, *SIZE])
    for mode in exported.modes:
        graph = onnx.load_model_from_string(exported.model_bytes(mode)).graph
        seen = {
            v.name: (types[v.type.tensor_type.elem_type], [d.dim_value for d in v.type.tensor_type.shape.dim])
            for v in (*graph.input, *graph.output)
        }
        inputs = {sensor.value: shapes[sensor.value] for sensor in mode.sensors}
        assert seen == {**inputs, "label": plane, "confidence": plane}
        assert [v.name for v in graph.input] == list(inputs)


def test_an_exported_file_tells_nothing_about_the_machine(exported: Bundle) -> None:
    for mode in exported.modes:
        data = exported.model_bytes(mode)
        for trace in (b".py", b"stack_trace", str(Path(__file__).parents[2]).encode(), b"/home", b"site-packages"):
            assert trace not in data


def test_the_manifest_says_what_was_measured(exported: Bundle, networks: dict[str, Any]) -> None:
    assert exported.manifest.label_set == LABELS
    for mode, entry in exported.manifest.modes.items():
        assert entry.parameters == sum(p.numel() for p in networks[mode.value].parameters())
        assert entry.macs > 1e6
        assert entry.verification["agreement"] >= 0.999
        assert entry.verification["frames"] == 2
        assert entry.verification["max_score_error"] < 1e-3
        assert re.match(r"\d+\.\d+", entry.verification["onnxruntime"])


def test_fast_upsampling_labels_at_a_quarter_and_fills_the_image(tiny: dict[str, Any], tmp_path: Path) -> None:
    options = ExportOptions(*SIZE, upsampling="fast", patterns=1)
    bundle = export_bundle({"rgb": tiny["rgb"]}, tmp_path / "fast", LABELS, options)
    frame = pattern_frames(1, *SIZE)[0]
    label = Segmenter(bundle, "onnxruntime", 1).segment(Mode.RGB, frame.rgb, None).label
    assert label.shape == SIZE
    np.testing.assert_array_equal(label, label[::4, ::4].repeat(4, 0).repeat(4, 1))
    assert len(np.unique(label)) > 1


def test_a_dynamic_bundle_runs_at_other_sizes_and_refuses_wrong_ones(tiny: dict[str, Any], tmp_path: Path) -> None:
    options = ExportOptions(*SIZE, dynamic=True, patterns=1)
    bundle = export_bundle({"depth": tiny["depth"]}, tmp_path / "dynamic", LABELS, options)
    assert bundle.manifest.modes[Mode.DEPTH].verification["agreement_at_other_size"] > 0.999
    frame = pattern_frames(1, 128, 160)[0]
    segmenter = Segmenter(bundle, "onnxruntime", 1, size=(128, 160))
    with torch.inference_mode():
        expected = tiny["depth"](depth=torch.from_numpy(frame.depth)[None]).argmax(1)[0].numpy()
    assert (segmenter.segment(Mode.DEPTH, None, frame.depth, 1.0).label == expected).mean() > 0.999
    with pytest.raises(UserError, match="multiples of 32"):
        Segmenter(bundle, "onnxruntime", 1, size=(100, 160))
    with pytest.raises(UserError, match="multiple of 32"):
        export_bundle({"depth": tiny["depth"]}, tmp_path / "odd", LABELS, ExportOptions(60, 96, dynamic=True))


def test_a_wrong_export_is_refused_and_leaves_the_old_bundle(
    tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = export_module.to_onnx

    def with_other_weights(graph: LabellingGraph, *args: Any, **options: Any) -> Any:
        model = real(graph, *args, **options)
        largest = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
        largest.raw_data = np.roll(np.frombuffer(largest.raw_data, np.float32), 7).tobytes()
        return model

    options = ExportOptions(*SIZE, patterns=1)
    old = export_bundle({"rgb": tiny["rgb"]}, tmp_path / "bundle", LABELS, options).manifest
    monkeypatch.setattr(export_module, "to_onnx", with_other_weights)
    with pytest.raises(UserError, match=r"rgb model is refused: [\d.]+ % of its labels agree"):
        export_bundle({"rgb": tiny["rgb"]}, tmp_path / "bundle", LABELS, options)
    assert load_bundle(tmp_path / "bundle").manifest == old
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_refuses_networks_that_do_not_fit(networks: dict[str, Any], tmp_path: Path) -> None:
    options = ExportOptions(*SIZE)
    four = LabelSet("four", LABELS.classes[:4], LABELS.colors[:4])
    for models, labels, words in (
        ({"rgb": networks["depth"]}, LABELS, "reads depth"),
        ({"rgb": networks["rgb"]}, four, "5 classes"),
        ({"thermal": networks["rgb"]}, LABELS, "thermal"),
        ({}, LABELS, "at least one"),
        ({"rgb": tmp_path / "nothing"}, LABELS, "nothing"),
    ):
        with pytest.raises(UserError, match=words):
            export_bundle(models, tmp_path / "bundle", labels, options)
    with pytest.raises(UserError, match="real frames"):
        export_bundle({"rgb": networks["rgb"]}, tmp_path / "bundle", LABELS, ExportOptions(*SIZE, precision="int8"))
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(("precision", "element"), [("fp16", "FLOAT16"), ("int8", "INT8")])
def test_lower_precision_is_measured_and_really_lower(
    tiny: dict[str, Any], tmp_path: Path, precision: str, element: str
) -> None:
    frames = pattern_frames(3, *SIZE, seed=4)
    labelled = [ExportFrame(f.rgb, f.depth, (f.rgb[..., 0] // 52).astype(np.uint8)) for f in frames]
    options = ExportOptions(*SIZE, precision=precision, frames=labelled, patterns=1, min_agreement=0.5)
    bundle = export_bundle({"rgb": tiny["rgb"]}, tmp_path / precision, LABELS, options)
    measured = bundle.manifest.modes[Mode.RGB].verification
    assert 0.5 <= measured["agreement"] <= 1.0
    assert measured["max_score_error"] > 1e-6
    assert 0 <= measured["miou"] <= 1
    assert measured["real_frames"] == 3
    weights = onnx.load_model_from_string(bundle.model_bytes(Mode.RGB)).graph.initializer
    wanted = sum(w.data_type == getattr(onnx.TensorProto, element) for w in weights)
    assert wanted >= 3
    with pytest.raises(UserError, match="refused"):
        strict = ExportOptions(*SIZE, precision=precision, frames=labelled, patterns=1, min_agreement=1.01)
        export_bundle({"rgb": tiny["rgb"]}, tmp_path / "strict", LABELS, strict)


def test_8_bit_models_label_alike_in_both_runtimes_and_read_their_images_in_full_precision(
    networks: dict[str, Any], tmp_path: Path
) -> None:
    pytest.importorskip("openvino")
    options = ExportOptions(*SIZE, precision="int8", frames=pattern_frames(3, *SIZE, seed=4), min_agreement=0.5)
    bundle = export_bundle({"depth": networks["depth"]}, tmp_path / "int8", LABELS, options)
    runtimes = [Segmenter(bundle, name, threads=1) for name in ("onnxruntime", "openvino")]
    for mode in bundle.modes:
        facts = bundle.manifest.modes[mode].verification
        assert facts["openvino_agreement"] == pytest.approx(facts["agreement"], abs=0.02)
        for frame in pattern_frames(2, *SIZE, seed=9):
            one, other = (runtime.segment(mode, frame.rgb, frame.depth, 1.0).label for runtime in runtimes)
            assert (one == other).mean() > 0.98
        graph = onnx.load_model_from_string(bundle.model_bytes(mode)).graph
        layers = [node for node in graph.node if node.op_type == "Conv"]
        dequantized = {name for node in graph.node if node.op_type == "DequantizeLinear" for name in node.output}
        in_full = [layer for layer in layers if layer.input[0] not in dequantized]
        assert layers[0] in in_full
        assert len(in_full) < len(layers) / 2


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_scores_are_compared_class_by_class_even_where_a_tool_has_reordered_the_graph(
    tiny: dict[str, Any], precision: str
) -> None:
    graph = LabellingGraph(tiny["rgb"]).eval()
    model = to_onnx(graph, *SIZE)
    if precision == "int8":
        model = quantize(model, ("rgb",), pattern_frames(2, *SIZE), SIZE)
    classes = len(LABELS.classes)
    (split,) = (list(n.output) for n in model.graph.node if n.op_type == "Split" and len(n.output) == classes)
    assert _score_planes(model.graph, classes) == split
    measured = verify(TorchReference(graph), model, pattern_frames(2, *SIZE, seed=7), SIZE)
    assert 0 < measured.max_score_error < 0.2 * measured.score_range


@pytest.mark.shared
def test_real_frames_are_labelled_like_torch(shared: Path, exported: Bundle, networks: dict[str, Any]) -> None:
    frames = []
    for index in (0, 75, 149):
        stem = shared / "data" / "kinect_stream" / f"frame-{index:06d}"
        rgb = cv2.cvtColor(cv2.imread(f"{stem}.color.jpg"), cv2.COLOR_BGR2RGB)
        depth = cv2.imread(f"{stem}.depth.png", cv2.IMREAD_UNCHANGED).astype(np.float32) / 1000
        depth[depth > 65] = 0
        frames.append(ExportFrame(np.asarray(rgb, np.uint8), depth))
    model = onnx.load_model_from_string(exported.model_bytes(Mode.FUSION))
    measured = verify(TorchReference(LabellingGraph(networks["fusion"]).eval()), model, frames, SIZE)
    assert measured.agreement > 0.999
    assert measured.frames == 3


def test_a_finished_bundle_gets_the_class_choice_of_today_and_labels_as_before(
    tiny: dict[str, Any], tmp_path: Path
) -> None:
    old = export_bundle({"rgb": tiny["rgb"]}, tmp_path / "old", LABELS, ExportOptions(*SIZE, patterns=1))
    new = renew_bundle(old, tmp_path / "new", pattern_frames(1, *SIZE, seed=3))
    entry = new.manifest.modes[Mode.RGB]
    assert entry.verification["class_choice_renewed"]["agreement_with_before"] >= 0.999
    assert entry.verification["agreement"] == old.manifest.modes[Mode.RGB].verification["agreement"]
    frame = pattern_frames(1, *SIZE, seed=8)[0]
    results = [Segmenter(bundle, "onnxruntime", 1).segment(Mode.RGB, frame.rgb, None) for bundle in (old, new)]
    np.testing.assert_array_equal(results[0].label, results[1].label)
    np.testing.assert_allclose(results[0].confidence.astype(int), results[1].confidence, atol=1)
    before, after = (onnx.load_model_from_string(bundle.model_bytes(Mode.RGB)) for bundle in (old, new))
    assert [v.name for v in after.graph.output] == ["label", "confidence"]
    assert after.opset_import == before.opset_import


def test_a_bundle_that_can_be_exported_again_is_not_renewed(exported: Bundle, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="export them again"):
        renew_bundle(exported, tmp_path / "new")
    assert not any(tmp_path.iterdir())


def test_many_classes_are_interpolated_in_groups_and_chosen_as_one(tmp_path: Path) -> None:
    scores = 4 * torch.randn(1, 40, 6, 8, generator=torch.Generator().manual_seed(2))
    groups = interpolation_groups(scores)
    assert max(group.shape[1] for group in groups) <= MOST_CHANNELS
    for got, wanted in zip(choose_class(*groups), choose_class(scores), strict=True):
        assert torch.equal(got, wanted)
