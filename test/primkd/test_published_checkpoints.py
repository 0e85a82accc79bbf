"""Checkpoints in the authors' key names and channel order become model folders with the same scores."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import segmentation_models_pytorch as smp
import torch
from torch import Tensor

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.models import DepthEncoding, ModelSpec, SegmentationModel, build_model, load_model, read_facts
from rgbd_seg_ros.models.pretrained import load_mit_weights
from rgbd_seg_ros.models.spec import IMAGENET_MEAN
from rgbd_seg_training.primkd.published import import_published

HHA = DepthEncoding("hha", mask_channel=False)
WIDTH = {"decoder_options": {"width": 16}}
CMX = ModelSpec("cmx", "mit_tiny", 6, depth=HHA, options=WIDTH)
SINGLE = ModelSpec("segformer", "mit_tiny", 6, ("rgb",), options=WIDTH)


def public_state(model: SegmentationModel) -> dict[str, Tensor]:
    """The weights of a network under the public key names."""
    table = {
        "encoders.rgb.": "backbone.",
        "encoders.depth.": "backbone.extra_",
        "encoder.": "backbone.",
        "FRMs.": "backbone.FRMs.",
        "FFMs.": "backbone.FFMs.",
        "decoder.": "decode_head.",
    }
    state = {}
    for key, value in model.state_dict().items():
        prefix = next(p for p in table if key.startswith(p))
        state[table[prefix] + key.removeprefix(prefix)] = value.clone()
    return state


def authors_scores(model: SegmentationModel, rgb: Tensor, hha: Tensor | None = None) -> Tensor:
    """Scores as the authors' loaders produce them: channels blue-green-red, means of red-green-blue."""
    model = model.eval()
    return model(rgb=rgb.flip(-1), depth=None if hha is None else hha.flip(-1))


def saved(state: Any, path: Path) -> Path:
    torch.save(state, path)
    return path


def randomised(spec: ModelSpec) -> SegmentationModel:
    torch.manual_seed(5)
    model = build_model(spec)
    for name, buffer in model.named_buffers():
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 2.0)
        elif name.endswith("running_mean"):
            buffer.normal_()
    return model


@torch.no_grad()
def test_imported_student_scores_as_the_authors_code_does(tmp_path: Path) -> None:
    model = randomised(CMX)
    state = public_state(model) | {
        "decode_head.align_loss1.weight": torch.zeros(16, 16, 1, 1),
        "decode_head.conv_loss1.0.weight": torch.zeros(16, 16, 3, 3),
    }
    path = saved({"model": {f"module.{k}": v for k, v in state.items()}, "epoch": 3}, tmp_path / "x.pth")
    report = import_published(path, tmp_path / "out")
    assert report.dropped == ("decode_head.align_loss1.weight", "decode_head.conv_loss1.0.weight")
    assert report.loaded + len(report.dropped) == len(state)
    imported = load_model(tmp_path / "out")
    rgb, hha = (torch.randint(0, 256, (1, 37, 50, 3), dtype=torch.uint8) for _ in range(2))
    torch.testing.assert_close(imported(rgb, hha), authors_scores(model, rgb, hha), rtol=1e-5, atol=1e-5)
    assert imported.spec.rgb_mean == IMAGENET_MEAN[::-1]
    assert read_facts(tmp_path / "out")["dropped"] == list(report.dropped)


@torch.no_grad()
def test_imported_segformer_in_mmsegmentation_names_keeps_its_rgb_order(tmp_path: Path) -> None:
    model = randomised(SINGLE)
    model.get_parameter("decoder.linear_fuse.0.bias").zero_()
    state = {
        k.replace("linear_fuse.0.", "linear_fuse.conv.").replace("linear_fuse.1.", "linear_fuse.bn."): v
        for k, v in public_state(model).items()
    } | {"decode_head.conv_seg.weight": torch.zeros(6, 16, 1, 1)}
    del state["decode_head.linear_fuse.conv.bias"]  # a convolution before a batch norm has none there
    report = import_published(saved({"state_dict": state}, tmp_path / "x.pth"), tmp_path / "out")
    assert report.spec.inputs == ("rgb",)
    assert report.dropped == ("decode_head.conv_seg.weight",)
    rgb = torch.randint(0, 256, (1, 32, 32, 3), dtype=torch.uint8)
    torch.testing.assert_close(load_model(tmp_path / "out")(rgb), model.eval()(rgb), rtol=1e-5, atol=1e-5)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "architecture", "dropped"),
    [("student_hint_mit_b0", "cmx", 8), ("student_mask_mit_b2", "cmx", 24), ("teacher_single_mit_b2", "segformer", 0)],
)
def test_every_key_of_the_published_lists_is_accounted_for(
    shared: Path, tmp_path: Path, name: str, architecture: str, dropped: int
) -> None:
    shapes = json.loads((shared / "reference" / "primkd" / f"keys_{name}.json").read_text())
    state = {
        key: torch.zeros(shape, dtype=torch.int64 if key.endswith("num_batches_tracked") else torch.float32)
        for key, shape in shapes.items()
    }
    report = import_published(saved(state, tmp_path / "x.pth"), tmp_path / "out")
    assert (report.spec.architecture, report.spec.encoder) == (architecture, name[-6:])
    assert report.spec.num_classes == 40
    assert len(report.dropped) == dropped
    assert report.loaded + dropped == len(shapes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("decode_head.linear_c1.proj.bias"), "missing decoder.linear_c1.proj.bias"),
        (lambda s: s.update({"decode_head.extra": torch.zeros(1)}), "unknown decoder.extra"),
        (lambda s: s.update({"backbone.norm1.weight": torch.zeros(3)}), "has shape"),
        (lambda s: s.pop("backbone.patch_embed1.proj.weight"), "is not a CMX"),
    ],
)
def test_checkpoint_that_does_not_fit_is_refused_and_leaves_nothing(tmp_path: Path, change: Any, message: str) -> None:
    state = public_state(build_model(CMX))
    change(state)
    with pytest.raises(UserError, match=message):
        import_published(saved(state, tmp_path / "x.pth"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


class Malicious:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return Path.touch, (Path("must_not_exist"),)


def test_pickled_code_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.pth").write_bytes(pickle.dumps(Malicious()))
    with pytest.raises(UserError, match="cannot be loaded as plain tensors"):
        import_published(tmp_path / "x.pth", tmp_path / "out")
    torch.save({"state_dict": Malicious()}, tmp_path / "y.pth")
    with pytest.raises(UserError, match="cannot be loaded as plain tensors"):
        import_published(tmp_path / "y.pth", tmp_path / "out")
    assert not (tmp_path / "must_not_exist").exists()


def test_imagenet_weights_start_both_streams(tmp_path: Path) -> None:
    source = public_state(randomised(SINGLE))
    state = {k.removeprefix("backbone."): v for k, v in source.items() if k.startswith("backbone.")}
    path = saved(state | {"head.weight": torch.zeros(10, 128)}, tmp_path / "mit_tiny.pth")
    model = build_model(ModelSpec("cmx", "mit_tiny", 6, options=WIDTH))
    assert load_mit_weights(model, path) == ("head.weight",)
    loaded = model.state_dict()
    for key, value in state.items():
        assert torch.equal(loaded[f"encoders.rgb.{key}"], value)
        if key != "patch_embed1.proj.weight":
            assert torch.equal(loaded[f"encoders.depth.{key}"], value)
    stem = loaded["encoders.depth.patch_embed1.proj.weight"]
    torch.testing.assert_close(stem.sum(1), state["patch_embed1.proj.weight"].sum(1))


def test_imagenet_weights_of_another_size_are_refused(tmp_path: Path) -> None:
    state = build_model(ModelSpec("segformer", "mit_b0", 6, ("rgb",))).state_dict()
    path = saved({k.removeprefix("encoder."): v for k, v in state.items() if "encoder" in k}, tmp_path / "b0.pth")
    with pytest.raises(UserError, match="does not fit mit_tiny"):
        load_mit_weights(build_model(SINGLE), path)


def test_imagenet_weights_by_name_start_both_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's encoder stands for the download: key names and shapes are the library's own."""
    offline = smp.encoders.get_encoder("mit_b0", weights=None)
    monkeypatch.setattr(smp.encoders, "get_encoder", lambda name, weights: offline)
    loaded = build_model(ModelSpec("cmx", "mit_b0", 6), pretrained=True).state_dict()
    for key, value in offline.state_dict().items():
        assert torch.equal(loaded[f"encoders.rgb.{key}"], value)
    stem = loaded["encoders.depth.patch_embed1.proj.weight"]
    assert stem.shape[1] == 2
    torch.testing.assert_close(stem.sum(1), offline.state_dict()["patch_embed1.proj.weight"].sum(1))


def test_without_a_network_the_message_says_how_else_to_get_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(name: str, weights: str) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(smp.encoders, "get_encoder", unreachable)
    with pytest.raises(UserError, match=r"mit_b0 cannot be fetched .*no route to host.* --encoder_weights"):
        build_model(ModelSpec("cmx", "mit_b0", 6), pretrained=True)


def test_the_tiny_mit_has_no_weights_by_name() -> None:
    with pytest.raises(UserError, match="mit_tiny has no ImageNet weights"):
        build_model(SINGLE, pretrained=True)
