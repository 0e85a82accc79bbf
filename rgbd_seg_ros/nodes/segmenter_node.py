"""The lifecycle node `rgbd_segmenter`: owns the ROS handles, and wires inputs, worker and outputs together."""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import rclpy
from rcl_interfaces.msg import SetParametersResult
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.logging import get_logger
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo

from rgbd_seg_ros.core.intrinsics import Intrinsics
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.inference.bundle import Bundle, load_bundle
from rgbd_seg_ros.inference.segmenter import Segmenter
from rgbd_seg_ros.nodes import parameters
from rgbd_seg_ros.nodes.diagnostics import Diagnostics, NodeReport
from rgbd_seg_ros.nodes.engine import Engine
from rgbd_seg_ros.nodes.inputs import Inputs
from rgbd_seg_ros.nodes.intake import Inbox
from rgbd_seg_ros.nodes.outputs import Outputs
from rgbd_seg_ros.nodes.parameters import NodeSettings
from rgbd_seg_ros.nodes.pulse import Pulse
from rgbd_seg_ros.nodes.worker import Worker
from rgbd_seg_ros.paths import default_bundle

NODE_NAME = "rgbd_segmenter"
SPIN_S = 0.2
"""How soon the process answers a signal."""
GIL_SWITCH_S = 0.001
"""How long a thread may keep the interpreter from another: the default of 5 ms is a sixth of a frame period."""
STUCK = "an inference hangs and holds the models; configure again later, or restart the node"

Transition = Callable[[Any, LifecycleState], TransitionCallbackReturn]


def _reported(transition: Transition) -> Transition:
    """Log what makes a transition fail; rclpy would turn any exception into a silent error state."""

    @functools.wraps(transition)
    def wrapper(self: SegmenterNode, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(self, state)
        except UserError as error:
            self.fail(str(error))
            return TransitionCallbackReturn.FAILURE
        except Exception as error:
            self.fail(f"{transition.__name__} failed: {type(error).__name__}: {error}")
            return TransitionCallbackReturn.ERROR

    return wrapper


class SegmenterNode(LifecycleNode):
    """Labels a live RGB-D stream; see docs/node.md.

    Configure makes the models and publishers, activate the subscriptions and threads; cleanup and deactivate release
    them again. `/diagnostics` lives as long as the node.
    """

    def __init__(self) -> None:
        super().__init__(NODE_NAME)
        self._failure = ""
        self._settings: NodeSettings | None = None
        self._engine: Engine | None = None
        self._outputs: Outputs | None = None
        self._inputs: Inputs | None = None
        self._worker: Worker | None = None
        self._pulse: Pulse | None = None
        self._facts: dict[str, str] = {}
        self._held: tuple[Worker, Engine | None, Outputs | None] | None = None
        self.add_on_set_parameters_callback(self._on_parameters)
        parameters.declare(self)
        self._gave_up = self.create_guard_condition(self._on_gave_up)
        self._diagnostics = Diagnostics(self, self.report)

    @property
    def stuck(self) -> bool:
        """Whether an inference that has not come back holds the models: they can be neither freed nor loaded anew."""
        return self._held is not None

    @property
    def state_label(self) -> str:
        """`active`, `inactive` or `unconfigured`, by what the node owns at present."""
        if self._worker is not None:
            return "active"
        return "inactive" if self._engine is not None else "unconfigured"

    def fail(self, text: str) -> None:
        """Log a failure and keep it for diagnostics until the node is configured again."""
        self._failure = text
        self.get_logger().error(text)

    def report(self) -> NodeReport:
        """The present state, for diagnostics."""
        worker = self._worker.report if self._worker is not None else None
        inputs = self._inputs.facts() if self._inputs is not None else {}
        outputs = self._outputs  # read once: diagnostics run in a thread of their own while models are loaded
        subscribers = outputs.subscribers() if outputs is not None else {}
        return NodeReport(self.state_label, self._failure, self._facts, worker, inputs, subscribers)

    def autostart(self) -> None:
        """Configure and activate, once; what fails is logged and the node stays for another try."""
        if self.trigger_configure() is TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def release(self) -> None:
        """Let go of everything but the node itself."""
        self._stop()
        self._unload()
        self._diagnostics.destroy()

    @_reported
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the parameters, check and load the bundle, make the publishers."""
        self._failure = ""
        try:
            self._load()
        except BaseException:
            self._unload()
            raise
        return TransitionCallbackReturn.SUCCESS

    @_reported
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start the worker, then listen to the cameras."""
        assert self._settings is not None and self._engine is not None and self._outputs is not None
        inbox = Inbox()
        self._pulse = Pulse()
        self._pulse.start()
        self._worker = Worker(
            self._settings, self._engine, self._outputs, inbox, self._pulse, self._log, self._gave_up.trigger
        )
        self._inputs = Inputs(self, self._settings.transports, inbox, self._on_camera)
        return TransitionCallbackReturn.SUCCESS

    @_reported
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop listening, then end the worker; an error where the models had been given up."""
        self._stop()
        return TransitionCallbackReturn.ERROR if self._failure else TransitionCallbackReturn.SUCCESS

    @_reported
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the models and remove the publishers."""
        self._unload()
        return TransitionCallbackReturn.SUCCESS

    @_reported
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and free, from any state."""
        self._stop()
        self._unload()
        return TransitionCallbackReturn.SUCCESS

    @_reported
    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release everything; the node is unconfigured then and may be configured again."""
        self._stop()
        self._unload()
        return TransitionCallbackReturn.SUCCESS

    def _load(self) -> None:
        if self._held is not None:
            worker, engine, outputs = self._held
            if not worker.close(0.0):
                raise UserError(STUCK)
            self._held = None
            self._free(engine, outputs)  # it has come back after all
        settings = parameters.read(self)
        bundle = load_bundle(settings.bundle or default_bundle())
        with self._diagnostics.while_busy("loading the models"):  # TensorRT builds engines for minutes
            self._engine = Engine(functools.partial(_load_segmenter, bundle, settings), settings.max_errors)
        self._outputs = Outputs(self, bundle.manifest.label_set, settings.stamp_source, settings.overlay_opacity)
        self._settings = settings
        self._facts = _facts(bundle, self._engine)
        self.get_logger().info(f"bundle {bundle.folder}, modes {self._facts['modes']}, backend {self._engine.backend}")

    def _unload(self) -> None:
        if self._held is None:  # else a thread still uses them
            self._free(self._engine, self._outputs)
        self._settings = self._engine = self._outputs = None
        self._facts = {}

    @staticmethod
    def _free(engine: Engine | None, outputs: Outputs | None) -> None:
        if outputs is not None:
            outputs.destroy()
        if engine is not None:
            engine.close()

    def _stop(self) -> None:
        if self._inputs is not None:
            self._inputs.close()
        if self._worker is not None and not self._worker.close():
            self._held = self._worker, self._engine, self._outputs
            self.fail(STUCK)
        if self._pulse is not None:
            self._pulse.close()
        self._inputs = self._worker = self._pulse = None

    def _log(self, line: str) -> None:
        self.get_logger().info(line)

    def _on_camera(self, intrinsics: Intrinsics | None, message: CameraInfo) -> None:
        if self._outputs is not None:
            self._outputs.intrinsics, self._outputs.camera_info = intrinsics, message

    def _on_gave_up(self) -> None:
        """The worker has given up the models: leave the active state through the error transition."""
        if self._worker is not None and self._worker.failure:
            self.fail(self._worker.failure)
            self.trigger_deactivate()

    def _on_parameters(self, changes: Sequence[Parameter]) -> SetParametersResult:
        reason = parameters.refusal(changes, self.state_label)
        return SetParametersResult(successful=not reason, reason=reason)


def _load_segmenter(bundle: Bundle, settings: NodeSettings) -> Segmenter:
    cv2.setNumThreads(settings.threads)  # it would take all cores for every resize
    segmenter = Segmenter(
        bundle,
        settings.backend,
        settings.threads,
        settings.preload,
        size=settings.network_size,
        settings=settings.backend_settings,
    )
    try:
        segmenter.warm_up()
    except BaseException:
        segmenter.close()  # a GPU's memory would stay taken
        raise
    return segmenter


def _facts(bundle: Bundle, engine: Engine) -> dict[str, str]:
    label_set = bundle.manifest.label_set
    return {
        "bundle": str(bundle.folder),
        "modes": ", ".join(sorted(mode.value for mode in engine.modes)),
        "backend": engine.backend,
        "label_set": label_set.name,
        "classes": ", ".join(label_set.classes),
    }


def main(args: list[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM; returns 2 where it cannot start."""
    sys.setswitchinterval(GIL_SWITCH_S)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    # rclpy's own handlers would take the ROS context away while the worker still publishes.
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = SegmenterNode()
    except ParameterException as error:
        get_logger(NODE_NAME).fatal(f"a parameter was refused: {error}")
        rclpy.try_shutdown()
        return 2
    try:
        _spin(node, stop)
    finally:
        node.release()
        node.destroy_node()
        rclpy.try_shutdown()
        if node.stuck:
            os._exit(1)  # the end of the interpreter would wait for the hanging thread's models
    return 0


def _spin(node: SegmenterNode, stop: threading.Event) -> None:
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    if node.get_parameter("autostart").value:
        node.autostart()
    try:
        while not stop.is_set():
            executor.spin_once(timeout_sec=SPIN_S)
    except ExternalShutdownException:
        node.get_logger().info("the ROS context was shut down from outside")
    finally:
        executor.shutdown()


if __name__ == "__main__":
    sys.exit(main())
