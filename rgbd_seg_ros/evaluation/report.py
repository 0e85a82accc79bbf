"""report.json: everything a play tells, as numbers."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rgbd_seg_ros.core.frames import Mode, Sensor
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.evaluation import timing
from rgbd_seg_ros.evaluation.accuracy import Accuracy
from rgbd_seg_ros.evaluation.joining import Join
from rgbd_seg_ros.evaluation.machine import machine_facts, version_facts
from rgbd_seg_ros.evaluation.robustness import broken_promises, detections
from rgbd_seg_ros.evaluation.switching import switches
from rgbd_seg_ros.replay.recording import Recording
from rgbd_seg_ros.replay.scenario import Scenario

FORMAT, VERSION = "rgbd_seg_report", 1
LISTED = 50
"""So many unlabelled frames are listed one by one."""


def build_report(
    recording: Recording, joined: Join, scenario: Scenario, accuracy: Accuracy | None, facts: dict[str, Any]
) -> dict[str, Any]:
    """The content of report.json.

    Args:
        recording: the play.
        joined: `joining.join(recording)`.
        scenario: what was played.
        accuracy: from `accuracy.measure`; None without ground truth.
        facts: command, bundle, input, seed, ...: put in as they are.
    """
    unlabelled = joined.unlabelled_surviving
    modes = Counter(output.mode.value for output in recording.outputs)
    report = {
        "format": FORMAT,
        "version": VERSION,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        **facts,
        "scenario": scenario.to_dict(),
        "frames_in": {s.value: _frames_in(joined, recording, s) for s in Sensor},
        "labels_out": {mode.value: modes[mode.value] for mode in Mode if mode is not Mode.NONE},
        "unlabelled_surviving_frames": len(unlabelled),
        "unlabelled": [
            {
                "sensor": f.sent.sensor.value,
                "time_s": round(f.sent.time_ns / 1e9, 4),
                "reason": f.drop.reason if f.drop else "unaccounted",
            }
            for f in unlabelled[:LISTED]
        ],
        "dropped": {s.value: dict(Counter(d.reason for d in recording.drops if d.sensor is s)) for s in Sensor},
        "lost_in_transport": {s.value: sum(f.lost for f in joined.of(s)) for s in Sensor},
        "accounting": {s.value: _accounting(joined, recording, s) for s in Sensor},
        "switches": switches(recording, scenario),
        "detections": [d.to_dict() for d in detections(recording, scenario)],
        "latency_ms": timing.latencies(joined),
        "node_stages_ms": timing.stages(recording),
        "label_rate_hz": timing.label_rates(recording, scenario),
        "node_memory": timing.memory(recording),
        "machine": machine_facts(),
        "versions": version_facts(),
    }
    report |= accuracy.to_dict() if accuracy else {"miou": None, "miou_overall": None, "miou_by_interval": []}
    report["failures"] = failures(report)
    report["passed"] = not report["failures"]
    report["broken_promises"] = broken_promises(report)
    return report


def failures(report: dict[str, Any]) -> list[str]:
    """Why a play is not good enough, one sentence each; empty when it is."""
    found = []
    if not sum(report["labels_out"].values()):
        found.append("nothing was labelled")
    if report["unlabelled_surviving_frames"]:
        found.append(f"{report['unlabelled_surviving_frames']} frames of a surviving stream stayed without a label")
        if lost := overload(report):
            found.append(
                f"{lost} frames were dropped as overload: this machine cannot run the bundle at this rate beside "
                "all else; end other programs, or take smaller networks (--set network_size:=HxW), a faster "
                "backend or a slower camera"
            )
    for sensor, account in report["accounting"].items():
        if not account["balanced"]:
            found.append(
                f"{sensor}: the node counts {account['received']} frames received, but "
                f"{account['labelled']} labelled and {account['dropped']} dropped"
            )
    return found


def overload(report: dict[str, Any]) -> int:
    """So many frames the node of a report had no time for."""
    return sum(reasons.get("overload", 0) for reasons in report["dropped"].values())


def write_report(report: dict[str, Any], file: Path) -> None:
    """Writes report.json; the file appears whole or not at all."""
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(report, indent=1))
    partial.replace(file)


def read_report(file: Path) -> dict[str, Any]:
    """Reads a report.json (or the one in a folder).

    Raises:
        UserError: when it is none.
    """
    path = file / "report.json" if file.is_dir() else file
    try:
        report = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as a report: {error}") from error
    if not isinstance(report, dict) or report.get("format") != FORMAT or report.get("version") != VERSION:
        raise UserError(f"{path} is not a report of version {VERSION} of this package")
    return report


def _frames_in(joined: Join, recording: Recording, sensor: Sensor) -> dict[str, int]:
    frames = joined.of(sensor)
    return {
        "sent": len(frames),
        "received": recording.received[sensor],
        "healthy": sum(not f.sent.faults for f in frames),
        "labelled": sum(f.output is not None for f in frames),
    }


def _accounting(joined: Join, recording: Recording, sensor: Sensor) -> dict[str, Any]:
    labelled = sum(sensor in output.stamps for output in recording.outputs)
    dropped = sum(drop.sensor is sensor for drop in recording.drops)
    received = recording.received[sensor]
    return {
        "received": received,
        "labelled": labelled,
        "dropped": dropped,
        "balanced": received == labelled + dropped,
    }
