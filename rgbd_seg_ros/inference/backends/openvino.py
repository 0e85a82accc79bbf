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
from rgbd_seg_ros.inference.bundle import Bundle

logger = logging.getLogger(__name__)


class OpenVinoBackend(Backend):
    """OpenVINO.

    Settings:
        precision: `f32` (default), `bf16` or `f16`. OpenVINO's own default is bf16 where the CPU has it, which ruins
            the labels of depth (docs/measurements.md); it is used only when asked for.
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
        if precision != "f32" and "depth" in inputs:
            logger.warning(
                "openvino.precision %s rounds depth by centimetres: the labels of mode %s get worse; f32 or an fp16 "
                "bundle keeps them",
                precision,
                mode.value,
            )
        try:
            return _OpenVinoSession(load_model(bundle.model_bytes(mode), inputs, device, config))
        except RuntimeError as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[-1].strip()
            raise BackendError(f"OpenVINO refuses the model of mode {mode.value}: {reason}") from error


def _is_verified_here(bundle: Bundle) -> bool:
    """Whether the exporter found that OpenVINO labels like torch, to the share that the bundle was held to."""
    for entry in bundle.manifest.modes.values():
        agreement = entry.verification.get("openvino_agreement")
        if agreement is None or agreement < entry.verification.get("min_agreement", 1.0):
            return False
    return True


def load_model(model: bytes, inputs: Mapping[str, Sequence[int]], device: str, config: Mapping[str, Any]) -> Any:
    """An inference request of an ONNX `model`, whose `inputs` get these shapes where it leaves them open.

    Raises:
        RuntimeError: OpenVINO refuses the model.
    """
    import openvino

    def load() -> Any:
        network = openvino.Core().read_model(model)
        if network.is_dynamic():
            network.reshape({name: list(shape) for name, shape in inputs.items()})
        return openvino.Core().compile_model(network, device, dict(config)).create_infer_request()

    return _in_thread_of_its_own(load)


class _OpenVinoSession(Session):
    def __init__(self, request: Any) -> None:
        self._request = request

    def run(self, inputs: Inputs) -> tuple[UInt8, UInt8]:
        try:
            # Shared: OpenVINO reads our buffers and we read its, without a copy.
            outputs = self._request.infer(dict(inputs), share_inputs=True, share_outputs=True)
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
