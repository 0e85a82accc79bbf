"""What a bundle must look like to be accepted, and what happens to a damaged one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rgbd_seg_ros.core.frames import Mode
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.inference.bundle import load_bundle, new_bundle_folder, write_bundle
from rgbd_seg_ros.inference.manifest import dump_manifest, parse_manifest
from rgbd_seg_ros.inference.testing import write_test_bundle


@pytest.fixture(scope="module")
def manifest_text(tmp_path_factory: pytest.TempPathFactory) -> str:
    return dump_manifest(write_test_bundle(tmp_path_factory.mktemp("b") / "bundle", 8, 12).manifest)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_test_bundle(tmp_path / "bundle", 8, 12).folder


def edit(folder: Path, change: Any) -> None:
    path = folder / "manifest.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def refuses(folder: Path, *words: str) -> None:
    with pytest.raises(UserError) as caught:
        load_bundle(folder)
    text = str(caught.value)
    assert all(word in text for word in words), text
    assert "\n" not in text


def test_a_written_bundle_is_read_back_equal(folder: Path) -> None:
    bundle = load_bundle(folder)
    assert bundle.modes == {Mode.FUSION, Mode.RGB, Mode.DEPTH}
    assert parse_manifest(dump_manifest(bundle.manifest), "again") == bundle.manifest
    assert (bundle.manifest.height, bundle.manifest.width) == (8, 12)


def test_refuses_a_folder_without_manifest_and_a_missing_folder(tmp_path: Path) -> None:
    refuses(tmp_path, str(tmp_path), "manifest.json")
    refuses(tmp_path / "nowhere", "nowhere", "not a folder")


def test_refuses_a_flipped_bit_in_a_model(folder: Path) -> None:
    data = bytearray((folder / "rgb.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "rgb.onnx").write_bytes(bytes(data))
    refuses(folder, "rgb.onnx", "damaged")


def test_refuses_a_truncated_or_missing_model(folder: Path) -> None:
    data = (folder / "depth.onnx").read_bytes()
    (folder / "depth.onnx").write_bytes(data[:-1])
    refuses(folder, "depth.onnx", str(len(data)), str(len(data) - 1))
    (folder / "depth.onnx").unlink()
    refuses(folder, "depth.onnx", "missing")


def test_refuses_a_model_that_changes_after_loading(folder: Path) -> None:
    bundle = load_bundle(folder)
    (folder / "rgb.onnx").write_bytes(b"something else")
    with pytest.raises(UserError, match=r"rgb\.onnx"):
        bundle.model_bytes(Mode.RGB)


@pytest.mark.parametrize(
    "name", ["../other.onnx", "/etc/passwd", "a/../../b", "", ".", "..", "a\\b", "C:x", "a//b", "é"]
)
def test_refuses_file_names_that_are_not_plain_paths(folder: Path, name: str) -> None:
    edit(folder, lambda d: d["modes"]["rgb"].update(file=name))
    refuses(folder, "modes.rgb", "plain path")


def test_refuses_a_link_that_leads_outside(folder: Path, tmp_path: Path) -> None:
    (folder / "rgb.onnx").rename(tmp_path / "outside.onnx")
    (folder / "rgb.onnx").symlink_to(tmp_path / "outside.onnx")
    refuses(folder, "rgb.onnx", "outside")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda d: d.update(format="zip"), "format"),
        (lambda d: d.update(version=2), "version 2"),
        (lambda d: d.update(version=True), "version"),
        (lambda d: d.update(surprise=1), "surprise"),
        (lambda d: d.pop("label_set"), "label_set"),
        (lambda d: d["label_set"]["colors"].pop(), "colours"),
        (lambda d: d["label_set"]["colors"].__setitem__(0, [0, 0, 256]), "colour"),
        (lambda d: d["label_set"].update(classes=[], colors=[]), "classes"),
        (lambda d: d["input"].update(height=0), "height"),
        (lambda d: d["input"].update(width=True), "width"),
        (lambda d: d["input"].update(width="160"), "width"),
        (lambda d: d.update(modes={}), "no mode"),
        (lambda d: d["modes"].update(none=d["modes"]["rgb"]), "none"),
        (lambda d: d["modes"]["rgb"].update(inputs=["depth"]), "inputs"),
        (lambda d: d["modes"]["rgb"].update(sha256="x"), "sha256"),
        (lambda d: d["modes"]["rgb"].update(bytes=0), "bytes"),
        (lambda d: d["modes"]["rgb"].update(checkpoint=[{"file": "../x", "sha256": "0" * 64, "bytes": 1}]), "../x"),
        (lambda d: d.update(precision="int4"), "precision"),
        (lambda d: d.update(upsampling="cubic"), "upsampling"),
    ],
)
def test_refuses_a_manifest_with_a_defect_and_names_it(folder: Path, change: Any, word: str) -> None:
    edit(folder, change)
    refuses(folder, word)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_damage_to_the_manifest_text_is_a_user_error_or_harmless(manifest_text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(manifest_text) - 1))
    end = data.draw(st.integers(start, min(len(manifest_text), start + 40)))
    filler = data.draw(st.sampled_from(["", "null", "[]", "{}", "1e400", '"', "-1", "[[", "true"]))
    try:
        parse_manifest(manifest_text[:start] + filler + manifest_text[end:], "manifest.json")
    except UserError as error:
        assert "\n" not in str(error)


def test_an_interrupted_write_leaves_the_old_bundle_and_nothing_else(folder: Path) -> None:
    before = (folder / "manifest.json").read_bytes()

    def write_half() -> None:
        with new_bundle_folder(folder) as work:
            (work / "rgb.onnx").write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert (folder / "manifest.json").read_bytes() == before
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_writing_again_replaces_the_whole_bundle(folder: Path) -> None:
    bundle = write_test_bundle(folder, 16, 16, modes=[Mode.RGB])
    assert bundle.modes == {Mode.RGB}
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "rgb.onnx"]
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_does_not_replace_a_folder_that_is_no_bundle(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"cat")
    bundle = load_bundle(folder)
    files = {mode: bundle.model_bytes(mode) for mode in bundle.modes}
    with pytest.raises(UserError, match="photos"):
        write_bundle(tmp_path / "photos", bundle.manifest, files)
    assert (tmp_path / "photos" / "cat.jpg").read_bytes() == b"cat"
