"""From the executor thread to the worker thread: messages are stored there, decoded here, handed over in order."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, replace

from sensor_msgs.msg import CompressedImage, Image

from rgbd_seg_ros.core.frames import Frame, Sensor
from rgbd_seg_ros.core.records import DropReason
from rgbd_seg_ros.nodes.messages import DecodeError, frame_from_message, ns_from_stamp
from rgbd_seg_ros.nodes.qos import SENSOR_DEPTH

STORED_MESSAGES = SENSOR_DEPTH + 6
"""Messages of one sensor that may wait for decoding. After a pause the executor may take all that DDS held before the
decoding thread gets a turn: less room than DDS has would lose frames that DDS kept."""
STORED_FRAMES = 32
"""Decoded frames of both sensors that may wait for a busy worker: about half a second of two streams at 30 Hz."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """A message that the stream only counts: undecodable, or pushed out by newer ones."""

    sensor: Sensor
    stamp_ns: int
    arrival_ns: int
    reason: DropReason
    detail: str

    @property
    def available_ns(self) -> int:
        """As of a frame."""
        return self.arrival_ns


class Inbox:
    """What waits for the worker: frames, at most `limit`, and rejections. The oldest frame gives way to the newest."""

    def __init__(self, limit: int = STORED_FRAMES) -> None:
        self._limit = limit
        self._changed = threading.Condition()
        self._frames: deque[Frame] = deque()
        self._rejections: list[Rejection] = []
        self._closed = False

    def post(self, item: Frame | Rejection) -> None:
        """Hand over one item; never blocks for long."""
        with self._changed:
            if isinstance(item, Frame):
                self._frames.append(item)
                if len(self._frames) > self._limit:
                    self._evict_oldest()
            else:
                self._rejections.append(item)
            self._changed.notify()

    def take(self, timeout_s: float) -> list[Frame | Rejection]:
        """Everything that waits, in the order in which it could be used; empty when closed.

        Waits up to `timeout_s` for something.
        """
        with self._changed:
            if not self._frames and not self._rejections and not self._closed and timeout_s > 0:
                self._changed.wait(timeout_s)
            items: list[Frame | Rejection] = [*self._rejections, *self._frames]
            self._rejections = []
            self._frames.clear()
        return sorted(items, key=lambda item: item.available_ns)

    def close(self) -> None:
        """Wake the worker for the last time."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def _evict_oldest(self) -> None:
        frame = self._frames.popleft()
        detail = "the worker was busy for too long"
        self._rejections.append(Rejection(frame.sensor, frame.stamp_ns, frame.arrival_ns, DropReason.OVERLOAD, detail))


class Intake:
    """The thread of one sensor: decodes stored messages and posts frames or rejections to the inbox."""

    def __init__(self, sensor: Sensor, inbox: Inbox) -> None:
        self._sensor = sensor
        self._inbox = inbox
        self._stored: deque[tuple[Image | CompressedImage, int]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"intake_{sensor.value}", daemon=True)
        self._thread.start()

    def store(self, message: Image | CompressedImage) -> None:
        """The subscription callback: notes the arrival and returns."""
        arrival_ns = time.monotonic_ns()
        with self._changed:
            evicted = self._stored.popleft() if len(self._stored) >= STORED_MESSAGES else None
            self._stored.append((message, arrival_ns))
            self._changed.notify()
        if evicted is not None:
            self._reject(*evicted, DropReason.OVERLOAD, "decoding is slower than the camera")

    def close(self) -> None:
        """Decode what is stored, then end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._stored and not self._closed:
                    self._changed.wait()
                if not self._stored:
                    return
                message, arrival_ns = self._stored.popleft()
            self._decode(message, arrival_ns)

    def _decode(self, message: Image | CompressedImage, arrival_ns: int) -> None:
        try:
            frame = frame_from_message(message, self._sensor, arrival_ns)
        except DecodeError as error:
            self._reject(message, arrival_ns, DropReason.INVALID, f"{error.reason}: {error.detail}")
        except Exception as error:  # whatever a message does to a decoder, the next one is heard
            self._reject(message, arrival_ns, DropReason.INVALID, f"{type(error).__name__}: {error}")
        else:
            self._inbox.post(replace(frame, ready_ns=time.monotonic_ns()))

    def _reject(self, message: Image | CompressedImage, arrival_ns: int, reason: DropReason, detail: str) -> None:
        self._inbox.post(Rejection(self._sensor, ns_from_stamp(message.header.stamp), arrival_ns, reason, detail))
