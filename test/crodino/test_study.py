"""The comparison: plan, statistics, resumable runs and the report."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from scipy import stats

import compare
from rgbd_seg_ros.datasets import PreparedSet
from rgbd_seg_ros.errors import UserError
from rgbd_seg_training.config import TrainConfig
from rgbd_seg_training.optim import OptimizerConfig
from rgbd_seg_training.settings import DataConfig, ModelConfig
from rgbd_seg_training.study.plan import StudyConfig, plan
from rgbd_seg_training.study.probe import linear_probe
from rgbd_seg_training.study.records import RecordFile, learning_settings
from rgbd_seg_training.study.statistics import summarise
from rgbd_seg_training.study.study import run_study

ROOT = Path(__file__).resolve().parents[2]
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
    # The same runs may be scored on another split: scores of the one do not pass for those of the other.
    run_study(dataclasses.replace(config, split="val"), tmp_path, report=print)
    assert [r.stat().st_mtime_ns for r in results] == written
    pixels = {s: json.loads((results[0].parent / f"{s}.json").read_text())["modes"] for s in ("val", "test")}
    counts = {s: sum(m["pixels"] for m in modes.values()) for s, modes in pixels.items()}
    assert counts["test"] == 2 * counts["val"] > 0


def test_options_of_the_study_hold_for_every_variant_that_does_not_set_them(tmp_path: Path) -> None:
    variants = {"single": {"approach": "single"}, "plain": {}, "own": {"crodino": {"w_aux": 1.0, "temperature": 0.3}}}
    config = study(tmp_path, variants=variants, crodino={"w_aux": 0.5, "embedding": 32})
    chosen = {job.variant: job.method.crodino for job in plan(config, tmp_path)[1]}
    assert (chosen["plain"].w_aux, chosen["plain"].temperature, chosen["plain"].embedding) == (0.5, 0.1, 32)
    assert (chosen["own"].w_aux, chosen["own"].temperature, chosen["own"].embedding) == (1.0, 0.3, 32)


def test_primkd_variants_share_one_teacher_per_seed_and_modality(tmp_path: Path) -> None:
    variants = {
        "none": {"approach": "single"},
        "both": {"approach": "primkd"},
        "prediction": {"approach": "primkd", "guidance": {"beta": 0.0}},
        "depth": {"approach": "primkd", "teacher": "depth"},
    }
    config = study(tmp_path, variants=variants, baseline="none", modalities=["fusion"], teacher_train={"steps": 7})
    teachers, runs = plan(config, tmp_path)
    assert sorted((t.seed, t.method.modality, t.train.steps) for t in teachers) == [
        (seed, modality, 7) for seed in (0, 1) for modality in ("depth", "rgb")
    ]
    assert len(runs) == 8
    folders = {t.folder / "models" / t.method.modality for t in teachers}
    assert {Path(r.method.teacher) for r in runs if r.variant != "none"} == folders


def test_a_variant_can_take_the_teachers_of_another_study(striped_set: Path, tmp_path: Path) -> None:
    guided = {"approach": "primkd", "teacher": "depth"}
    variants = {"none": {"approach": "single"}, "elsewhere": {**guided, "teacher_runs": "runs/other"}}
    config = study(striped_set, variants=variants, baseline="none", modalities=["fusion"])
    teachers, runs = plan(config, tmp_path)
    taken = [job for job in runs if job.variant == "elsewhere"]
    assert teachers == []
    assert [job.method.teacher for job in taken] == [
        f"runs/other/runs/teacher/seed{seed}/depth/models/depth" for seed in (0, 1)
    ]
    own = study(striped_set, variants={**variants, "own": guided}, baseline="none", modalities=["fusion"])
    first = {job.variant: learning_settings(own, job) for job in plan(own, tmp_path)[1] if job.seed == 0}
    assert first["elsewhere"]["teacher_runs"] == "runs/other"
    assert "teacher_runs" not in first["own"]
    assert len(plan(own, tmp_path)[0]) == 2


def test_a_study_of_primkd_continues_from_its_records_without_the_runs(striped_set: Path, tmp_path: Path) -> None:
    variants = {"none": {"approach": "single"}, "both": {"approach": "primkd"}}
    config = study(striped_set, variants=variants, baseline="none", modalities=["fusion"])
    file = tmp_path / "records.jsonl"
    run_study(config, tmp_path / "a", print, RecordFile(file))
    kept = file.read_text()
    lines: list[str] = []
    more = dataclasses.replace(config, seeds=[0, 1, 2])
    run_study(more, tmp_path / "b", lines.append, RecordFile(file))
    assert [line.split(":")[0] for line in lines[:-1]] == ["teacher seed 2", "none seed 2", "both seed 2"]
    assert file.read_text().startswith(kept)
    assert len(file.read_text()) > len(kept)
    first, second = ((tmp_path / name / "report.md").read_text() for name in "ab")
    assert "2 seeds" in first
    assert "3 seeds" in second
    assert "| both |" in second


def test_a_teacher_without_its_weights_is_trained_again_for_a_new_variant(striped_set: Path, tmp_path: Path) -> None:
    variants: dict[str, object] = {"none": {"approach": "single"}, "both": {"approach": "primkd"}}
    config = study(striped_set, variants=variants, baseline="none", modalities=["fusion"], seeds=[0])
    file = tmp_path / "records.jsonl"
    run_study(config, tmp_path / "a", print, RecordFile(file))
    known = len(file.read_text().splitlines())
    more = dataclasses.replace(config, variants=variants | {"new": {"approach": "primkd", "guidance": {"beta": 0.0}}})
    run_study(more, tmp_path / "b", print, RecordFile(file))
    added = [json.loads(line) for line in file.read_text().splitlines()[known:]]
    assert [line.get("variant") for line in added] == [None, "new"]  # the settings of the new run, and the run


def test_a_study_can_train_some_variants_and_report_what_is_there(striped_set: Path, tmp_path: Path) -> None:
    config = study(striped_set, seeds=[0], only=["single"])
    lines: list[str] = []
    run_study(config, tmp_path, lines.append)
    assert [line.split(":")[0] for line in lines[:-1]] == ["single seed 0"]
    text = (tmp_path / "report.md").read_text()
    assert "| kd | – | – |" in text
    assert "step time against single" in text  # costs are compared with kd where that was trained


def test_variants_whose_teachers_another_study_has_yet_to_train_are_left_out_or_refused(
    striped_set: Path, tmp_path: Path
) -> None:
    borrowed = {"approach": "primkd", "teacher": "depth", "teacher_runs": str(tmp_path / "other")}
    variants = {"none": {"approach": "single"}, "borrowed": borrowed}
    config = study(striped_set, variants=variants, baseline="none", modalities=["fusion"], seeds=[0])
    lines: list[str] = []
    run_study(config, tmp_path / "out", lines.append)
    assert any(line.startswith("left out: borrowed takes teachers of") for line in lines)
    assert "| borrowed | – | – |" in (tmp_path / "out" / "report.md").read_text()
    with pytest.raises(UserError, match="run that study first, or leave borrowed out"):
        run_study(dataclasses.replace(config, only=["borrowed"]), tmp_path / "out", lines.append)


def test_records_of_other_settings_are_refused_by_name(striped_set: Path, tmp_path: Path) -> None:
    config = study(striped_set, variants={"single": {"approach": "single"}}, seeds=[0])
    run_study(config, tmp_path / "a", print, RecordFile(tmp_path / "records.jsonl"))
    other = dataclasses.replace(config, data=dataclasses.replace(config.data, flip=0.25))
    with pytest.raises(UserError, match=r"data\.flip"):
        run_study(other, tmp_path / "b", print, RecordFile(tmp_path / "records.jsonl"))


def test_a_record_does_not_pass_for_a_run_with_an_option_that_it_does_not_name(
    striped_set: Path, tmp_path: Path
) -> None:
    config = study(striped_set, variants={"single": {"approach": "single"}}, seeds=[0], modalities=["rgb"])
    (job,) = plan(config, tmp_path)[1]
    settings = {k: v for k, v in learning_settings(config, job).items() if not k.startswith(("data.", "train."))}
    records = RecordFile(None)
    records.add({"variant": "single", "modality": "rgb", "seed": 0, "settings": settings})
    changes = {"train": dataclasses.replace(job.train, epochs=500, batch_size=8, optimizer=OptimizerConfig())}
    plain = dataclasses.replace(job, data=DataConfig(root=str(striped_set)), **changes)
    assert records.find(config, plain) is not None
    for name, value in {"depth": {"noise": 0.0}, "color": None, "flip": 0.25}.items():
        other = dataclasses.replace(plain, data=dataclasses.replace(plain.data, **{name: value}))
        with pytest.raises(UserError, match=rf"data\.{name}"):
            records.find(config, other)


@pytest.mark.parametrize(
    ("file", "config"),
    [
        ("crodino_rooms_five_views.jsonl", "crodino/study_rooms.yaml"),
        ("primkd_rooms_five_passes.jsonl", "primkd/study_rooms.yaml"),
        ("primkd_rooms_few_six_views.jsonl", "primkd/study_rooms.yaml"),
    ],
)
def test_shipped_records_belong_to_the_shipped_configurations_but_for_their_augmentation(
    file: str, config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parser = compare.build_parser()
    given = ["--out", "x", "--config", str(ROOT / "training" / "configs" / config), "--data.root", str(tmp_path)]
    arguments = parser.instantiate(parser.parse_args(given))
    chosen = StudyConfig(**{f.name: getattr(arguments, f.name) for f in dataclasses.fields(StudyConfig)})
    lines = [json.loads(line) for line in (ROOT / "docs" / "results" / file).read_text().splitlines()]
    values = next(line["values"] for line in lines if "values" in line)
    source = {k.removeprefix("set_source."): v for k, v in values.items() if k.startswith("set_source.")}
    manifest = SimpleNamespace(name=values["set"], source=source)
    monkeypatch.setattr(PreparedSet, "open", lambda root: SimpleNamespace(manifest=manifest))
    teachers, runs = plan(chosen, tmp_path)
    with pytest.raises(UserError, match="augmented"):
        RecordFile(ROOT / "docs" / "results" / file).done(chosen, [*teachers, *runs])
    for line in lines:
        if "values" in line:
            line["values"]["augmented"] = "every pass"
    (tmp_path / file).write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    records = RecordFile(tmp_path / file)
    assert len(records.done(chosen, [*teachers, *runs])) == sum("variant" in line for line in lines)


def test_a_line_that_is_no_record_is_named(tmp_path: Path) -> None:
    file = tmp_path / "records.jsonl"
    file.write_text('{"variant": "x"}\n')
    with pytest.raises(UserError, match="line 1 of"):
        RecordFile(file)


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
        ({"single": {"approach": "single"}, "x": {"approach": "primkd", "teacher": "none"}}, "x.teacher"),
        ({"single": {"approach": "single"}, "x": {"approach": "kd", "teacher": "rgb"}}, "x.teacher"),
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
