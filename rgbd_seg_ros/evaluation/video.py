"""video.mp4 and poster.png: the play as the node saw it, by the play's clock."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np

from rgbd_seg_ros.core.frames import Mode, Sensor
from rgbd_seg_ros.core.label_sets import LabelSet
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.evaluation.accuracy import stretches
from rgbd_seg_ros.evaluation.panels import Moment, Picture, compose
from rgbd_seg_ros.replay.record import Record
from rgbd_seg_ros.replay.recording import Recording
from rgbd_seg_ros.replay.scenario import Scenario

SILENT_S = 0.2
"""A stream or the labels count as gone on the screen after this long."""
POSTER_ROWS = 4


def moments(
    recording: Recording, records: Iterable[Record], scenario: Scenario, rate_hz: float = 30.0
) -> Iterator[Moment]:
    """What was on the screen at each tick of the video.

    Args:
        recording: the play.
        records: the very records that were sent, in the order of `recording.sent`.
        scenario: what was played.
        rate_hz: of the video.
    """
    shown: dict[Sensor, tuple[float, Record]] = {}
    sent = ((recording.play_s(f.sent_ns), r) for f, r in zip(recording.sent, records, strict=False))
    upcoming = next(sent, None)
    outputs = recording.outputs
    output_times = [recording.play_s(o.at_ns) for o in outputs]
    switches = sorted(recording.switches, key=lambda s: s.at_ns)
    switch_times = [recording.play_s(s.at_ns) for s in switches]
    for tick in range(round(recording.duration_ns / 1e9 * rate_hz)):
        now_s = (tick + 1) / rate_hz
        while upcoming is not None and upcoming[0] <= now_s:
            shown[upcoming[1].sensor] = upcoming
            upcoming = next(sent, None)
        number = bisect_right(output_times, now_s) - 1
        fresh = number >= 0 and now_s - output_times[number] <= SILENT_S
        turned = bisect_right(switch_times, now_s) - 1
        rgb, depth = (_shown(shown.get(sensor), now_s) for sensor in (Sensor.RGB, Sensor.DEPTH))
        yield Moment(
            time_s=now_s,
            rgb=rgb,
            depth=depth,
            label=outputs[number].label if fresh else None,
            mode=switches[turned].after if turned >= 0 else Mode.NONE,
            faults=(_faults(scenario, Sensor.RGB, now_s), _faults(scenario, Sensor.DEPTH, now_s)),
            reason=switches[turned].cause if turned >= 0 else "",
        )


def _shown(entry: tuple[float, Record] | None, now_s: float) -> np.ndarray | None:
    if entry is None or now_s - entry[0] > SILENT_S:
        return None
    image = entry[1].image
    return image if image.size else None


def _faults(scenario: Scenario, sensor: Sensor, now_s: float) -> str:
    return ", ".join(f.fault.replace("_", " ") for f in scenario.active(sensor, round(now_s * 1e9)))


def write_video(
    pictures: Iterable[Picture], file: Path, rate_hz: float = 30.0, progress: Callable[[int], None] | None = None
) -> None:
    """Encodes pictures of one size as H.264; the file appears whole or not at all.

    Raises:
        UserError: when imageio-ffmpeg is not installed or fails.
    """
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise UserError("writing a video needs the package imageio-ffmpeg: pip install imageio-ffmpeg") from error
    partial = file.with_name(file.stem + ".partial.mp4")
    writer = None
    try:
        for number, picture in enumerate(pictures):
            if writer is None:
                size = (picture.shape[1], picture.shape[0])
                writer = imageio_ffmpeg.write_frames(
                    str(partial), size, fps=rate_hz, codec="libx264", quality=None, macro_block_size=2,
                    output_params=["-crf", "27", "-preset", "veryfast", "-movflags", "+faststart", "-threads", "2"],
                )  # fmt: skip
                writer.send(None)
            writer.send(np.ascontiguousarray(picture))
            if progress:
                progress(number + 1)
    except OSError as error:
        raise UserError(f"the video {file} cannot be written: {error}") from error
    finally:
        if writer is not None:
            writer.close()
    if writer is not None:
        partial.replace(file)


def poster_times(scenario: Scenario) -> list[float]:
    """Moments that tell the story: late in the first stretches that differ from one another and have a stream left."""
    chosen: dict[tuple[str, ...], float] = {}
    for part in stretches(scenario):
        late_s = part.end_s - 0.25 * (part.end_s - part.start_s)
        if part.end_s - part.start_s > 0.4 and scenario.best_mode(round(late_s * 1e9)) is not Mode.NONE:
            chosen.setdefault(part.faults, late_s)
    return sorted(chosen.values())[:POSTER_ROWS]


def write_poster(pictures: list[Picture], file: Path) -> None:
    """Stacks pictures into one PNG."""
    if pictures:
        cv2.imwrite(str(file), np.vstack(pictures)[..., ::-1])


def film(
    stream: Iterable[Moment],
    scenario: Scenario,
    label_set: LabelSet,
    folder: Path,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Writes video.mp4 and poster.png into `folder`, in one pass."""
    times = poster_times(scenario)
    kept: list[Picture] = []

    def pictures() -> Iterator[Picture]:
        for moment in stream:
            picture = compose(moment, label_set)
            if len(kept) < len(times) and moment.time_s >= times[len(kept)]:
                kept.append(picture)
            yield picture

    write_video(pictures(), folder / "video.mp4", progress=progress)
    write_poster(kept, folder / "poster.png")
