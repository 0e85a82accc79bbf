"""Linear CKA, histograms, the analysis they feed, and the table of sizes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import model_info
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.models import ModelSpec, build_model, save_model
from rgbd_seg_training.primkd.analysis import analyze
from rgbd_seg_training.primkd.similarity import LinearCka, ValueHistogram

FUSION = ModelSpec("cmx", "mobilenetv3_small_050", 5, options={"decoder": "lightfpn"})
ALONE = ModelSpec("lightfpn", "mobilenetv3_small_050", 5, ("rgb",))


def cka(x: torch.Tensor, y: torch.Tensor, pieces: int = 1) -> float:
    measure = LinearCka(x.shape[1], y.shape[1])
    for a, b in zip(x.chunk(pieces), y.chunk(pieces), strict=True):
        measure.update(a, b)
    return measure.value()


def textbook_cka(x: torch.Tensor, y: torch.Tensor) -> float:
    """By Gram matrices of samples, HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L))."""
    x, y = (v.double() - v.double().mean(0) for v in (x, y))
    k, l = x @ x.T, y @ y.T  # noqa: E741
    return float((k * l).sum() / (k.norm() * l.norm()))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 6), st.integers(1, 6), st.integers(1, 4))
def test_cka_equals_the_gram_form_whatever_the_batches(seed: int, first: int, second: int, pieces: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(40, first, generator=generator) + 3
    y = x[:, :1] * 0.7 + torch.randn(40, second, generator=generator)
    assert cka(x, y, pieces) == pytest.approx(textbook_cka(x, y), abs=1e-9)


def test_cka_ignores_rotation_scale_and_offset() -> None:
    torch.manual_seed(0)
    x = torch.randn(200, 4)
    rotation = torch.linalg.qr(torch.randn(4, 4))[0]
    assert cka(x, 5 * x @ rotation + 2) == pytest.approx(1.0, abs=1e-6)
    assert cka(x, torch.randn(200, 4)) < 0.1


def test_histogram_counts_every_value_once_and_knows_the_moments() -> None:
    torch.manual_seed(0)
    values = torch.randn(5000) * 2 + 1
    histogram = ValueHistogram()
    for part in values.split(1000):
        histogram.update(part)
    histogram.update(torch.tensor([1e6]))
    centres, density = histogram.density()
    assert histogram.counts.sum() == 5001
    assert float(torch.trapezoid(torch.tensor(density), torch.tensor(centres))) == pytest.approx(1.0, abs=0.02)
    plain = ValueHistogram()
    plain.update(values)
    assert plain.mean == pytest.approx(float(values.mean()), abs=1e-6)
    assert plain.deviation == pytest.approx(float(values.std()), rel=1e-3)


def batches(count: int = 2) -> list[dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    return [
        {
            "rgb": torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8),
            "depth": torch.rand(2, 64, 64) * 5,
            "label": torch.zeros(2, 64, 64, dtype=torch.int64),
        }
        for _ in range(count)
    ]


def test_analysis_compares_every_student_with_every_reference_and_writes_it_down(tmp_path: Path) -> None:
    torch.manual_seed(0)
    students = {"cmx": build_model(FUSION), "primkd": build_model(FUSION)}
    result = analyze(students, {"rgb": build_model(ALONE)}, batches())
    assert result.images == 4
    assert result.cka_pixels.keys() == {("cmx", "rgb"), ("primkd", "rgb")}
    for values in (*result.cka_pixels.values(), *result.cka_images.values()):
        assert len(values) == 4
        assert all(0 <= v <= 1 + 1e-9 for v in values)
    result.write(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["analysis.json", "cka.md", "cka.png", "histograms.png"]
    stored = json.loads((tmp_path / "analysis.json").read_text())
    assert stored["cka_pixels"]["cmx / rgb"] == result.cka_pixels["cmx", "rgb"]
    assert (tmp_path / "cka.md").read_text().count("| primkd | rgb |") == 2


def test_a_model_is_its_own_double() -> None:
    torch.manual_seed(0)
    model = build_model(FUSION)
    result = analyze({"cmx": model}, {"itself": model}, batches(1))
    assert result.cka_pixels["cmx", "itself"] == pytest.approx([1.0] * 4)


def test_analysis_of_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="no images"):
        analyze({"cmx": build_model(FUSION)}, {"rgb": build_model(ALONE)}, [])


def test_model_info_prints_both_conventions(capsys: pytest.CaptureFixture[str]) -> None:
    model_info.main(["cmx", "mit_b2", "--depth", "hha"])
    out = capsys.readouterr().out
    assert "66.58" in out
    assert "66.90" in out
    assert "78.20" in out


def test_model_info_reads_a_saved_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_model(build_model(ALONE), tmp_path)
    model_info.main(["--model", str(tmp_path), "--size", "64x64", "--json"])
    (row,) = json.loads(capsys.readouterr().out).values()
    assert row["parameters_m"] == pytest.approx(sum(p.numel() for p in build_model(ALONE).parameters()) / 1e6)


def test_model_info_without_a_network_says_what_to_give() -> None:
    with pytest.raises(UserError, match="give ARCHITECTURE"):
        model_info.main([])
