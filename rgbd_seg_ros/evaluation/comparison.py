"""Tables over several reports: two of them side by side, or one row per policy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rgbd_seg_ros.core.frames import Mode, Sensor
from rgbd_seg_ros.core.label_sets import LabelSet
from rgbd_seg_ros.evaluation.accuracy import Truth, at_size_of, translation
from rgbd_seg_ros.evaluation.confusion import ConfusionMatrix
from rgbd_seg_ros.evaluation.joining import Join, JoinedFrame

Row = tuple[str, Any, Any]


def compare_reports(before: dict[str, Any], after: dict[str, Any]) -> list[Row]:
    """(what, before, after) for every number that both reports have and that matters."""
    rows: list[Row] = [
        (key, before.get(key), after.get(key)) for key in ("passed", "unlabelled_surviving_frames", "miou_overall")
    ]
    for mode in (m.value for m in Mode if m is not Mode.NONE):
        rows += [
            (f"{mode}: labels", before["labels_out"].get(mode), after["labels_out"].get(mode)),
            (f"{mode}: mIoU", (before["miou"] or {}).get(mode), (after["miou"] or {}).get(mode)),
            (f"{mode}: labels/s", before["label_rate_hz"].get(mode), after["label_rate_hz"].get(mode)),
        ]
        for name in ("p50", "p95"):
            old, new = ((report["latency_ms"].get(mode) or {}).get(name) for report in (before, after))
            rows.append((f"{mode}: latency {name} ms", old, new))
    for sensor in (s.value for s in Sensor):
        old, new = (sum(report["dropped"][sensor].values()) for report in (before, after))
        rows.append((f"{sensor}: dropped", old, new))
    old, new = (max((s["latency_ms"] or 0.0 for s in report["switches"]), default=None) for report in (before, after))
    rows.append(("slowest switch ms", old, new))
    return rows


def policy_row(name: str, joined: Join, truth: Truth, truth_set: LabelSet, label_set: LabelSet) -> dict[str, Any]:
    """How well a policy labels the scene at every moment at which the cameras took a picture, faulty or not.

    `miou_given` scores the label images that there are; in `miou_always` a moment without one counts as an image
    of nothing but errors, which is what a robot is left with.
    """
    table, count = translation(truth_set, label_set), len(label_set.classes)
    given, always = ConfusionMatrix(count), ConfusionMatrix(count)
    moments: dict[int, list[JoinedFrame]] = {}
    for frame in joined.frames:
        moments.setdefault(frame.sent.index, []).append(frame)
    labelled = scored = 0
    for index, frames in sorted(moments.items()):
        expected = truth(frames[0].sent.sensor, index)
        if expected is None:
            continue
        scored += 1
        label = next((f.output.label for f in frames if f.output is not None and f.output.label is not None), None)
        one = ConfusionMatrix(count)
        if label is not None:
            labelled += 1
            one.update(table[expected], at_size_of(expected, label))
            given.merge(one)
        else:
            one.update(table[expected], (table[expected] * 0 + 255).astype("uint8"))
        always.merge(one)
    return {
        "policy": name,
        "moments": scored,
        "labelled": labelled,
        "miou_given": round(given.scores().miou, 4) if labelled else None,
        "miou_always": round(always.scores().miou, 4) if scored else None,
    }


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table for a README or a terminal."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
