"""Writing a prepared data set so that a killed run leaves nothing that looks finished.

Everything is written below `<out>.partial`, file by file and each under a temporary name first. `finish` adds the
splits and the manifest and renames the folder to `<out>`. A second run with the same plan goes on where the first
one stopped; a run with another plan is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.core.intrinsics import Intrinsics
from rgbd_seg_ros.datasets.images import write_png
from rgbd_seg_ros.datasets.manifest import MANIFEST_NAME, FileFacts, Manifest, write_json
from rgbd_seg_ros.datasets.prepared_set import CAMERAS_NAME, PreparedSet, Sample
from rgbd_seg_ros.errors import UserError
from rgbd_seg_training.data.statistics import measure_set

PLAN_NAME = "plan.json"


class SetWriter:
    """Writer of one prepared set.

    It can be pickled, so that worker processes write samples while the parent waits for them to finish the set.
    """

    def __init__(self, out: Path, plan: Mapping[str, Any], hha: bool = False) -> None:
        """Begin or resume the set `out`.

        Args:
            out: folder of the finished set; must not exist yet.
            plan: everything that decides the content (source, options); a resumed run must have the same.
            hha: whether samples carry HHA images.

        Raises:
            UserError: `out` exists, or an unfinished run had another plan.
        """
        self.out = out
        self.partial = out.with_name(out.name + ".partial")
        self.kinds = ("rgb", "depth", "label", "hha") if hha else ("rgb", "depth", "label")
        if out.exists():
            raise UserError(f"{out} exists already: choose another --out or delete it.")
        wanted = json.loads(json.dumps(dict(plan), default=str))
        plan_path = self.partial / PLAN_NAME
        if plan_path.is_file() and json.loads(plan_path.read_text(encoding="utf-8")) != wanted:
            raise UserError(f"{self.partial} is an unfinished run with other options: delete it or repeat its options.")
        for kind in self.kinds:
            (self.partial / kind).mkdir(parents=True, exist_ok=True)
        write_json(plan_path, wanted)

    def _path(self, kind: str, name: str) -> Path:
        return self.partial / kind / f"{name}.png"

    def has(self, name: str) -> bool:
        """Whether an earlier run wrote this sample completely."""
        return all(self._path(kind, name).is_file() for kind in self.kinds)

    def write(self, sample: Sample) -> None:
        """Write the images of one sample; they must agree in size."""
        images: dict[str, npt.NDArray[np.generic] | None] = {
            "rgb": sample.rgb,
            "depth": sample.depth,
            "label": sample.label,
            "hha": sample.hha,
        }
        for kind in self.kinds:
            image = images[kind]
            if image is None or image.shape[:2] != sample.label.shape[:2]:
                raise UserError(f"Sample {sample.name}: its {kind} image is absent or of another size than its label.")
            write_png(self._path(kind, sample.name), image)

    def finish(
        self,
        manifest: Manifest,
        splits: Mapping[str, Sequence[str]],
        cameras: Mapping[str, Intrinsics] | None = None,
        workers: int = 1,
    ) -> PreparedSet:
        """Write splits, cameras, statistics and manifest; give the folder its final name.

        Args:
            manifest: facts; files, splits and statistics are filled in here.
            splits: sample names of each split.
            cameras: intrinsics per sample where they differ.
            workers: processes that measure the statistics.

        Raises:
            UserError: a sample of a split was not written.
        """
        absent = [name for names in splits.values() for name in names if not self.has(name)]
        if absent:
            raise UserError(f"{len(absent)} samples of {self.partial} are missing, first {absent[0]}: run again.")
        (self.partial / "splits").mkdir(exist_ok=True)
        for split, names in splits.items():
            (self.partial / "splits" / f"{split}.txt").write_text("".join(f"{n}\n" for n in names), encoding="utf-8")
        if cameras:
            write_json(self.partial / CAMERAS_NAME, {name: asdict(camera) for name, camera in cameras.items()})
        facts = replace(
            manifest,
            files={kind: FileFacts(kind, ".png") for kind in self.kinds},
            splits={split: len(names) for split, names in splits.items()},
        )
        facts = measure_set(PreparedSet(self.partial, facts), workers=workers)
        (self.partial / PLAN_NAME).unlink()
        write_json(self.partial / MANIFEST_NAME, facts.to_dict())
        self.partial.replace(self.out)
        return PreparedSet.open(self.out)
