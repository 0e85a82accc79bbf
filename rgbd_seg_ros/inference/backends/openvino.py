"""OpenVINO: the fastest of the CPU runtimes on x86; also Intel GPUs and NPUs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Any

from rgbd_seg_ros.core.frames import Mode
from rgbd_seg_ros.inference.backends.base import (
    Backend,
    BackendError,
    BackendOptions,
    Inputs,
    Session,
    UInt8,
    as_image,
)
from rgbd_seg_ros.inference.backends.openvino_head import split_head
from rgbd_seg_ros.inference.bundle import Bundle

logger = logging.getLogger(__name__)

Shapes = Mapping[str, Sequence[int]]


class OpenVinoBackend(Backend):
    """OpenVINO.

    Settings:
        precision: `f32` (default), `bf16` or `f16`, on a CPU that has it. OpenVINO's own default is bf16 then, which
            ruins the labels of depth (docs/measurements.md); here the first layers stay in f32. Not so on other
            devices and in 8-bit bundles, where the hint holds for the whole network.
        device: `CPU` (default), `GPU` or `NPU`.
    """

    name = "openvino"
    defaults = MappingProxyType({"precision": "f32", "device": "CPU"})
    choices = MappingProxyType({"precision": ("f32", "bf16", "f16")})

    def check(self, bundle: Bundle) -> str:
        """See `Backend.check`."""
        try:
            import openvino
        except ImportError as error:
            raise BackendError(f"openvino cannot be imported ({error}); pip install openvino") from error
        if bundle.manifest.precision == "int8" and not _is_verified_here(bundle):
            # 2026.4 labels networks wrongly that have signed activations, as exports of before had.
            raise BackendError(
                "the 8-bit models were not found right in OpenVINO when they were exported, and some it runs wrongly; "
                "export the bundle again where openvino is installed"
            )
        return f"OpenVINO {openvino.get_version().partition('-')[0]}"

    def open(self, bundle: Bundle, mode: Mode, options: BackendOptions) -> Session:
        """See `Backend.open`."""
        device, precision = str(self.setting(options, "device")), str(self.setting(options, "precision"))
        config: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": precision,
            "PERFORMANCE_HINT": "LATENCY",
        }
        if device == "CPU":
            # Pinned workers would fight the other processes of the robot for single cores.
            config |= {"INFERENCE_NUM_THREADS": options.threads, "NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False}

        height, width = options.size
        shapes = {"rgb": [1, height, width, 3], "depth": [1, height, width]}
        inputs = {name: shapes[name] for name in bundle.manifest.modes[mode].inputs}
        apart = device == "CPU" and precision != "f32" and bundle.manifest.precision != "int8"
        if apart and not _cpu_has(precision):
            logger.warning("this processor does not compute in %s: mode %s runs in f32", precision, mode.value)
            apart, config["INFERENCE_PRECISION_HINT"] = False, "f32"
        elif precision != "f32" and "depth" in inputs and not apart:
            logger.warning("%s rounds the depth that mode %s reads, and its labels get worse", precision, mode.value)
        model = bundle.model_bytes(mode)
        try:
            if apart:
                return _OpenVinoSession(*load_apart(model, inputs, device, config))
            return _OpenVinoSession(load_model(model, inputs, device, config))
        except RuntimeError as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[-1].strip()
            raise BackendError(f"OpenVINO refuses the model of mode {mode.value}: {reason}") from error


def _cpu_has(precision: str) -> bool:
    """Whether OpenVINO computes in `bf16` or `f16` on this processor."""
    import openvino

    name = {"bf16": "BF16", "f16": "FP16"}[precision]
    return name in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _is_verified_here(bundle: Bundle) -> bool:
    """Whether the exporter found that OpenVINO labels like torch, to the share that the bundle was held to."""
    for entry in bundle.manifest.modes.values():
        agreement = entry.verification.get("openvino_agreement")
        if agreement is None or agreement < entry.verification.get("min_agreement", 1.0):
            return False
    return True


def load_model(model: bytes, inputs: Shapes, device: str, config: Mapping[str, Any]) -> Any:
    """An inference request of an ONNX `model`, whose `inputs` get these shapes where it leaves them open.

    Raises:
        RuntimeError: OpenVINO refuses the model.
    """

    return _in_thread_of_its_own(lambda: _compile(_read(model, inputs), device, config))


def load_apart(model: bytes, inputs: Shapes, device: str, config: Mapping[str, Any]) -> tuple[Any, ...]:
    """Two requests: the first layers of every image in f32, and the rest as `config` says, which reads their results.

    One alone, in f32, where the first layers cannot be told from the rest. See `load_model`.
    """
    exact = {**config, "INFERENCE_PRECISION_HINT": "f32"}

    def load() -> tuple[Any, ...]:
        parts = split_head(_read(model, inputs))
        if parts is None:
            logger.warning("this network has no first layers that could stay in f32, so all of it does")
            return (_compile(_read(model, inputs), device, exact),)
        head, body = _compile(parts[0], device, exact), _compile(parts[1], device, config)
        for index in range(len(parts[1].inputs)):
            body.set_input_tensor(index, head.get_output_tensor(index))  # one memory for both
        return head, body

    return _in_thread_of_its_own(load)


def _read(model: bytes, inputs: Shapes) -> Any:
    import openvino

    network = openvino.Core().read_model(model)
    if network.is_dynamic():
        network.reshape({name: list(shape) for name, shape in inputs.items()})
    return network


def _compile(network: Any, device: str, config: Mapping[str, Any]) -> Any:
    import openvino

    return openvino.Core().compile_model(network, device, dict(config)).create_infer_request()


class _OpenVinoSession(Session):
    """Args: requests that are run one after the other; the first reads the images, the last has the labels."""

    def __init__(self, first: Any, *others: Any) -> None:
        self._first, self._others = first, others

    def run(self, inputs: Inputs) -> tuple[UInt8, UInt8]:
        try:
            # Shared: OpenVINO reads our buffers and we read its, without a copy.
            outputs = self._first.infer(dict(inputs), share_inputs=True, share_outputs=True)
            for request in self._others:
                outputs = request.infer(None, share_outputs=True)
        except RuntimeError as error:
            raise BackendError(f"OpenVINO failed: {error}") from error
        return as_image(outputs["label"]), as_image(outputs["confidence"])


def _in_thread_of_its_own(load: Callable[[], Any]) -> Any:
    """Run `load` in a thread that ends with it.

    OpenVINO (2026.4) gives the thread that loads a model an alternate signal stack, and leaves it pointing at freed
    memory when the model goes: the next signal that this thread takes, such as SIGINT in the main thread, would crash
    the process. A thread that has ended takes no signals.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="openvino") as pool:
        return pool.submit(load).result()
