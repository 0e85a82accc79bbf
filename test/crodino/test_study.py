"""The comparison: plan, statistics, resumable runs and the report."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from scipy import stats

from rgbd_seg_ros.errors import UserError
from rgbd_seg_training.config import TrainConfig
from rgbd_seg_training.optim import OptimizerConfig
from rgbd_seg_training.settings import DataConfig, ModelConfig
from rgbd_seg_training.study.plan import StudyConfig, plan
from rgbd_seg_training.study.probe import linear_probe
from rgbd_seg_training.study.statistics import summarise
from rgbd_seg_training.study.study import run_study

NARROW = {"encoder": {"channels": [8, 16, 24, 32]}, "decoder_options": {"width": 16}}


def study(root: Path, **changes: object) -> StudyConfig:
    settings: dict[str, object] = {
        "variants": {"single": {"approach": "single"}, "kd": {"approach": "kd"}, "crodino": {}},
        "modalities": ["depth"],
        "seeds": [0, 1],
        "panels": 2,
        "train": TrainConfig(
            epochs=1, batch_size=4, accelerator="cpu", devices=1, optimizer=OptimizerConfig(lr=1e-3, warmup=0.1)
        ),
        "data": DataConfig(root=str(root), size=(64, 64), scales=(1.0,)),
        "model": ModelConfig("lightfpn", "resnet10t", options=NARROW),
        "fusion": ModelConfig("cmx", "resnet10t", options=NARROW | {"decoder": "lightfpn"}),
    }
    return StudyConfig(**(settings | changes))  # type: ignore[arg-type]


def test_a_study_trains_all_runs_reports_them_and_trains_nothing_twice(striped_set: Path, tmp_path: Path) -> None:
    config = study(striped_set)
    run_study(config, tmp_path, report=print)
    text = (tmp_path / "report.md").read_text()
    for variant in config.variants:
        assert f"| {variant} |" in text
    for picture in ("curves", "differences", "panels_depth"):
        assert (tmp_path / "pictures" / f"{picture}.png").stat().st_size > 1000
    results = sorted(tmp_path.glob("runs/**/result.json"))
    assert len(results) == 2 * 4  # teacher, single, kd, crodino for each seed
    written = [r.stat().st_mtime_ns for r in results]
    run_study(config, tmp_path, report=print)
    assert [r.stat().st_mtime_ns for r in results] == written


def test_teachers_are_planned_only_where_a_variant_has_one(tmp_path: Path) -> None:
    assert len(plan(study(tmp_path), tmp_path)[0]) == 2
    without = study(tmp_path, variants={"single": {"approach": "single"}, "crodino": {}})
    teachers, runs = plan(without, tmp_path)
    assert teachers == []
    assert len({j.folder for j in runs}) == len(runs) == 4


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ({"crodino": {}}, "baseline"),
        ({"single": {"approach": "single"}, "x": {"crodino": {"w_magic": 1}}}, "w_magic"),
        ({"single": {"approach": "single"}, "x": {"colour": 1}}, "colour"),
        ({"single": {"approach": "single"}, "teacher": {}}, "teacher"),
    ],
)
def test_a_plan_with_mistakes_is_refused(tmp_path: Path, variants: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        plan(study(tmp_path, variants=variants), tmp_path)


def test_the_interval_is_that_of_a_paired_t_test() -> None:
    a = {0: 40.0, 1: 42.0, 2: 41.0, 3: 43.5}
    b = {0: 39.0, 1: 40.5, 2: 41.5, 3: 41.0, 9: 7.0}
    summary = summarise(a, b)
    expected = stats.ttest_rel([40.0, 42.0, 41.0, 43.5], [39.0, 40.5, 41.5, 41.0]).confidence_interval()
    assert summary.difference - summary.interval == pytest.approx(expected.low)
    assert summary.difference + summary.interval == pytest.approx(expected.high)
    assert summary.beats_chance == (expected.low > 0 or expected.high < 0)


def test_one_seed_has_neither_deviation_nor_interval() -> None:
    summary = summarise({0: 40.0}, {0: 39.0})
    assert summary.difference == 1.0
    assert math.isnan(summary.deviation)
    assert math.isnan(summary.interval)
    assert not summary.beats_chance


def test_the_probe_tells_separable_groups_apart_and_is_at_chance_for_equal_ones() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 200, 4, generator=generator)
    assert linear_probe(a, b + 5) == 1.0
    assert abs(linear_probe(a, b) - 0.5) < 0.15
