"""Miniature official downloads: the real file formats and quirks, a few pixels in size."""

from __future__ import annotations

from pathlib import Path

import cv2
import h5py
import numpy as np
import tifffile
from scipy.io import savemat


def _png(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    assert cv2.imwrite(str(path), pixels)


def write_nyu(folder: Path, count: int = 5, seed: int = 0) -> dict[str, np.ndarray]:
    """HDF5 v7.3 as MATLAB writes it: axes reversed, strings as references to uint16 characters, 1-based splits."""
    rng = np.random.default_rng(seed)
    truth = {
        "images": rng.integers(0, 256, (count, 480, 640, 3), dtype=np.uint8),
        "depths": rng.uniform(0.8, 9.9, (count, 480, 640)).astype(np.float32),
        "labels": rng.integers(0, 895, (count, 480, 640)).astype(np.uint16),
    }
    truth["rawDepths"] = np.where(rng.random(truth["depths"].shape) < 0.2, 0, truth["depths"]).astype(np.float32)
    folder.mkdir(parents=True, exist_ok=True)
    # MATLAB puts 512 bytes of its own before the HDF5 signature.
    with h5py.File(folder / "nyu_depth_v2_labeled.mat", "w", userblock_size=512) as file:
        file["images"] = truth["images"].transpose(0, 3, 2, 1)
        for key in ("depths", "rawDepths", "labels"):
            file[key] = truth[key].transpose(0, 2, 1)
        names = [
            file.create_dataset(f"#refs#/{i}", data=np.array([[ord(c)] for c in "kitchen"], np.uint16)) for i in (0, 1)
        ]
        file["sceneTypes"] = np.array([[n.ref for n in names]], dtype=h5py.ref_dtype)
    truth["mapClass"] = rng.integers(1, 41, (1, 894)).astype(np.uint8)
    savemat(folder / "classMapping40.mat", {"mapClass": truth["mapClass"]})
    savemat(folder / "splits.mat", {"trainNdxs": np.array([[1], [2], [4]]), "testNdxs": np.array([[3], [5]])})
    return truth


def write_sunrgbd(folder: Path) -> dict[str, np.ndarray]:
    """Two cameras of different size, server paths in the records, rotated depth bits, labels behind references."""
    rng = np.random.default_rng(1)
    server = "/n/fs/sun3d/data/SUNRGBD"
    samples = {
        "kv2/kinect2data/000002_2014": (24, 33),
        "xtion/sun3ddata/mit_76_4/0001": (20, 28),
        "kv1/b3do/img_0063": (24, 32),
    }
    truth: dict[str, np.ndarray] = {}
    records, labels = [], []
    for i, (name, size) in enumerate(samples.items()):
        root = folder / "SUNRGBD" / name
        millimetres = rng.integers(500, 7900, size).astype(np.uint16)
        millimetres[:3] = 0
        millimetres[-1] = 9000
        rotated = (millimetres << np.uint16(3)) | (millimetres >> np.uint16(13))
        for kind in ("depth", "depth_bfx"):
            _png(root / kind / "d.png", rotated)
        _png(root / "image" / "c.jpg", rng.integers(0, 256, (*size, 3)).astype(np.uint8))
        (root / "intrinsics.txt").write_text("529.5 0 365.0\n0 529.5 265.0\n0 0 1\n")
        labels.append(rng.integers(0, 38, size).astype(np.uint8))
        truth[f"depth{i}"], truth[f"label{i}"] = millimetres, labels[-1]
        records.append(
            {
                "rgbpath": f"{server}/{name}/image/c.jpg",
                "depthpath": f"{server}/{name}/depth_bfx/d.png",
                "rgbname": "c.jpg",
                "depthname": "d.png",
                "sequenceName": f"SUNRGBD/{name}",
            }
        )
    toolbox = folder / "SUNRGBDtoolbox"
    (toolbox / "Metadata").mkdir(parents=True)
    (toolbox / "traintestSUNRGBD").mkdir()
    kinds = [(key, object) for key in records[0]]
    savemat(
        toolbox / "Metadata" / "SUNRGBDMeta.mat",
        {"SUNRGBDMeta": np.array([[tuple(r.values()) for r in records]], dtype=kinds)},
    )
    with h5py.File(toolbox / "Metadata" / "SUNRGBD2Dseg.mat", "w", userblock_size=512) as file:
        data = [file.create_dataset(f"#refs#/{i}", data=label.T) for i, label in enumerate(labels)]
        file["SUNRGBD2Dseg/seglabel"] = np.array([[d.ref] for d in data], dtype=h5py.ref_dtype)
    train = np.array([[f"{server}/{name}/" for name in list(samples)[:2]]], dtype=object)
    savemat(toolbox / "traintestSUNRGBD" / "allsplit.mat", {"alltrain": train, "alltest": train[:, :0]})
    return truth


POTSDAM_COLORS = np.array(
    [(255, 255, 255), (0, 0, 255), (0, 255, 255), (0, 255, 0), (255, 255, 0), (255, 0, 0), (0, 0, 0)], np.uint8
)


def write_potsdam(folder: Path, tiles: dict[str, str], side: int = 80) -> dict[str, np.ndarray]:
    """Tiles with unpadded names for images and padded ones for heights; `tiles` says ndsm, dsm or both."""
    rng = np.random.default_rng(2)
    truth: dict[str, np.ndarray] = {}
    for tile, kinds in tiles.items():
        padded = "_".join(f"{int(n):02d}" for n in tile.split("_"))
        classes = rng.integers(0, 7, (side, side))
        heights = np.round(rng.uniform(0, 25, (side, side)), 1)
        truth[f"label{tile}"], truth[f"height{tile}"] = classes, heights
        truth[f"rgb{tile}"] = rng.integers(0, 256, (side, side, 3)).astype(np.uint8)
        for name in ("2_Ortho_RGB", "5_Labels_all_noBoundary", "5_Labels_all", "1_DSM", "1_DSM_normalisation"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(folder / "2_Ortho_RGB" / f"top_potsdam_{tile}_RGB.tif", truth[f"rgb{tile}"])
        colors = POTSDAM_COLORS[classes]
        tifffile.imwrite(folder / "5_Labels_all_noBoundary" / f"top_potsdam_{tile}_label_noBoundary.tif", colors)
        full = POTSDAM_COLORS[np.where(classes == 6, 0, classes)]
        tifffile.imwrite(folder / "5_Labels_all" / f"top_potsdam_{tile}_label.tif", full)
        if "ndsm" in kinds:
            # Official files are JPEG; a flat image keeps its value through the compression.
            flat = np.full((side, side), 123, np.uint8)
            cv2.imwrite(str(folder / "1_DSM_normalisation" / f"dsm_potsdam_{padded}_normalized_lastools.jpg"), flat)
        if "dsm" in kinds:
            surface = (35.0 + heights).astype(np.float32)
            tifffile.imwrite(folder / "1_DSM" / f"dsm_potsdam_{padded}.tif", surface)
    return truth


def write_midair(folder: Path, trajectories: int = 3, frames: int = 5) -> dict[str, np.ndarray]:
    """Two climates; depth PNG whose 16 bits are half floats, with an infinite sky."""
    rng = np.random.default_rng(3)
    truth: dict[str, np.ndarray] = {}
    for climate in ("Kite_training/sunny", "PLE_training/fall"):
        root = folder / "MidAir" / climate
        for t in range(trajectories):
            for f in range(frames):
                where = f"trajectory_{t:04d}/{f:06d}"
                label = rng.integers(0, 14, (32, 32)).astype(np.uint8)
                metres = rng.uniform(1, 900, (32, 32)).astype(np.float16)
                metres[label == 0] = np.inf
                color = np.full((32, 32, 3), (200, 100, 50), np.uint8)
                for sensor, suffix in (("color_left", ".JPEG"), ("depth", ".PNG"), ("segmentation", ".PNG")):
                    (root / sensor / where).parent.mkdir(parents=True, exist_ok=True)
                    image = {"color_left": color[..., ::-1], "depth": metres.view(np.uint16), "segmentation": label}[
                        sensor
                    ]
                    done, data = cv2.imencode(suffix.lower(), image)
                    assert done
                    data.tofile(root / sensor / f"{where}{suffix}")
                truth[f"{climate}/{where}/label"], truth[f"{climate}/{where}/depth"] = label, metres
        with h5py.File(root / "sensor_records.hdf5", "w") as file:
            file["trajectory_0000/timestamps"] = np.arange(frames) / 25.0
    return truth
