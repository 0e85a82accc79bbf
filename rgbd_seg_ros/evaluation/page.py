"""report.html: the report, the timeline and the video in one file that can be mailed."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import jinja2

from rgbd_seg_ros.evaluation.page_template import PAGE

STAGES = ("wait", "queue", "preprocess", "inference", "postprocess", "publish", "latency")
EMBEDDED_VIDEO_BYTES = 16 << 20
"""A larger video is linked, not embedded."""


def write_page(report: dict[str, Any], folder: Path) -> Path:
    """Writes report.html into `folder`, with the timeline.png and video.mp4 that lie there."""
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, undefined=jinja2.ChainableUndefined)
    environment.globals |= {"show": show, "miou": show_miou}
    video = folder / "video.mp4"
    linked = video.exists() and video.stat().st_size > EMBEDDED_VIDEO_BYTES
    text = environment.from_string(PAGE).render(
        report=report,
        title=f"RGB-D segmentation under failure: {report['scenario']['name']}",
        stages=STAGES,
        timeline=data_url(folder / "timeline.png", "image/png"),
        video=video.name if linked else data_url(video, "video/mp4"),
    )
    file = folder / "report.html"
    partial = file.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(file)
    return file


def show(value: Any) -> str:
    """A number with two digits after the point; a dash for what is not known."""
    if value is None or isinstance(value, jinja2.Undefined):
        return "–"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def show_miou(value: Any) -> str:
    """A share with three digits after the point; a dash for what is not known."""
    return show(value) if value is None or isinstance(value, jinja2.Undefined) else f"{value:.3f}"


def data_url(file: Path, kind: str) -> str | None:
    """A file as a data URL; None when it is not there."""
    if not file.exists():
        return None
    return f"data:{kind};base64,{base64.b64encode(file.read_bytes()).decode()}"
