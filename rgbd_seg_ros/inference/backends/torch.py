"""PyTorch: the reference that the other backends are compared with; needs a bundle that carries its checkpoints."""

from __future__ import annotations

import logging
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from rgbd_seg_ros.core.frames import Mode
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.inference.backends.base import (
    Backend,
    BackendError,
    BackendOptions,
    Inputs,
    Session,
    UInt8,
    resident_mib,
)
from rgbd_seg_ros.inference.backends.cuda_device import find_gpu
from rgbd_seg_ros.inference.bundle import Bundle

logger = logging.getLogger(__name__)


class TorchBackend(Backend):
    """Eager PyTorch on the CPU or an NVIDIA GPU.

    Settings:
        device: `auto` (a GPU if there is one), `cpu` or `cuda`.
        compile: run through `torch.compile`.
        cuda_graphs: replay a recorded CUDA graph; on a GPU only.
        half: compute in fp16, the first layers excepted; on a GPU only.
        tf32: let fp32 products be rounded to TF32; on a GPU only. Torch's own default does so in convolutions.
        channels_last: memory layout of the weights; faster for convolutions on most machines.
    """

    name = "torch"
    defaults = MappingProxyType(
        {"device": "auto", "compile": False, "cuda_graphs": False, "half": False, "tf32": False, "channels_last": True}
    )
    choices = MappingProxyType({"device": ("auto", "cpu", "cuda")})

    def memory_mib(self) -> float:
        """See `Backend.memory_mib`."""
        import torch

        if not torch.cuda.is_available():
            return resident_mib()
        free, total = torch.cuda.mem_get_info()
        return resident_mib() + (total - free) / 2**20

    def check(self, bundle: Bundle) -> str:
        """See `Backend.check`."""
        if not all(entry.checkpoint for entry in bundle.manifest.modes.values()):
            raise BackendError("the bundle carries no torch checkpoints; export it with --checkpoint")
        try:
            import torch

            import rgbd_seg_ros.models.checkpoint  # noqa: F401 - needs timm, which may be missing
        except ImportError as error:
            raise BackendError(f"torch or timm cannot be imported ({error}); install the training extra") from error
        return f"torch {torch.__version__}, {'CUDA' if torch.cuda.is_available() else 'CPU'}"

    def open(self, bundle: Bundle, mode: Mode, options: BackendOptions) -> Session:
        """See `Backend.open`."""
        import torch

        from rgbd_seg_ros.models.checkpoint import load_model

        device = self._device(options)
        torch.set_num_threads(options.threads)
        entry = bundle.manifest.modes[mode]
        try:
            model: Any = load_model(bundle.folder / Path(entry.checkpoint[0].file).parent, device)
        except (UserError, RuntimeError) as error:
            raise BackendError(f"torch cannot load the model of mode {mode.value}: {error}") from error
        if self.setting(options, "channels_last"):
            model = model.to(memory_format=torch.channels_last)
        half = device != "cpu" and self.setting(options, "half")
        graphs, tf32 = self.setting(options, "cuda_graphs"), self.setting(options, "tf32")
        try:
            forward: Any = _Labels(model, bundle.manifest.upsampling, half)
            if self.setting(options, "compile"):
                forward = torch.compile(forward)
            if device == "cpu":
                return _CpuSession(forward)
            return _DeviceSession(forward, entry.inputs, options.size, device, graphs=graphs, tf32=tf32)
        except RuntimeError as error:  # also where memory runs out or the compiler fails
            raise BackendError(f"torch cannot run the model of mode {mode.value}: {error}") from error

    def _device(self, options: BackendOptions) -> str:
        import torch

        device: str = self.setting(options, "device")
        return device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"


class TorchCudaBackend(TorchBackend):
    """PyTorch on an NVIDIA GPU: what `auto` takes there before it turns to the CPU.

    Settings: those of `TorchBackend` without `device`; CUDA graphs are on.
    """

    name = "torch_cuda"
    defaults = MappingProxyType(
        {"compile": False, "cuda_graphs": True, "half": False, "tf32": False, "channels_last": True}
    )
    choices = MappingProxyType({})

    def check(self, bundle: Bundle) -> str:
        """See `Backend.check`; asks for the GPU before torch is imported, which takes seconds."""
        gpu = find_gpu()
        super().check(bundle)
        import torch

        if not torch.cuda.is_available():
            raise BackendError(f"torch {torch.__version__} finds no CUDA device; install a build for this driver")
        return f"torch {torch.__version__}, CUDA on {gpu.name}"

    def _device(self, options: BackendOptions) -> str:
        return "cuda"


class _Labels:
    """Images to a uint8 tensor 2 x h x w, labels and confidence; written independently of the exported graph."""

    def __init__(self, model: Any, upsampling: str, half: bool) -> None:
        self._model, self._fast = model, upsampling == "fast"
        if half:
            from rgbd_seg_ros.models.half import to_half

            to_half(model)

    def __call__(self, images: dict[str, Any]) -> Any:
        import torch

        scores = self._model.decode(self._model.encode(**images)) if self._fast else self._model(**images)
        probability, label = torch.softmax(scores.float(), dim=1).max(dim=1)
        return torch.cat((label.to(torch.uint8), torch.round(255 * probability).to(torch.uint8)))


class _CpuSession(Session):
    def __init__(self, forward: Any) -> None:
        self._forward = forward

    def run(self, inputs: Inputs) -> tuple[UInt8, UInt8]:
        import torch

        try:
            with torch.inference_mode():
                # from_numpy warns of read-only arrays (views of messages); the copy costs next to nothing here.
                images = {name: torch.from_numpy(np.require(image, requirements="W")) for name, image in inputs.items()}
                label, confidence = self._forward(images).numpy()
        except RuntimeError as error:
            raise BackendError(f"torch failed: {error}") from error
        return label, confidence


class _DeviceSession(Session):
    """One upload per image through page-locked memory, one download of labels and confidence together."""

    def __init__(
        self,
        forward: Any,
        inputs: tuple[str, ...],
        size: tuple[int, int],
        device: str = "cuda",
        *,
        graphs: bool,
        tf32: bool,
    ) -> None:
        import torch

        self._tf32 = tf32
        shapes = {"rgb": ((1, *size, 3), torch.uint8), "depth": ((1, *size), torch.float32)}
        self._forward = forward
        self._pinned = {name: torch.empty(shapes[name][0], dtype=shapes[name][1]).pin_memory() for name in inputs}
        self._device = {name: torch.zeros(shapes[name][0], dtype=shapes[name][1], device=device) for name in inputs}
        self._graph: Any = None
        self._set_precision()
        with torch.inference_mode():
            self._output = self._record() if graphs else None
            if self._output is None:
                self._output = self._forward(self._device)
            self._result = torch.empty(self._output.shape, dtype=torch.uint8).pin_memory()

    def _set_precision(self) -> None:
        """Torch has one switch for the whole process, and other sessions may have turned it since."""
        import torch

        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = self._tf32

    def _record(self) -> Any:
        """Records the network as a CUDA graph that reads and writes fixed memory; None if it cannot be recorded."""
        import torch

        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):  # lets cuDNN choose its algorithms outside the recording
                self._forward(self._device)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                output = self._forward(self._device)
        except RuntimeError as error:
            logger.warning("the network cannot be recorded as a CUDA graph (%s): it runs without", error)
            return None
        self._graph = graph
        return output

    def run(self, inputs: Inputs) -> tuple[UInt8, UInt8]:
        import torch

        try:
            self._set_precision()
            with torch.inference_mode():
                for name, image in inputs.items():
                    np.copyto(self._pinned[name].numpy(), image)
                    self._device[name].copy_(self._pinned[name], non_blocking=True)
                if self._graph is None:
                    self._output = self._forward(self._device)
                else:
                    self._graph.replay()
                self._result.copy_(self._output, non_blocking=True)
                torch.cuda.current_stream().synchronize()
        except RuntimeError as error:
            raise BackendError(f"torch failed: {error}") from error
        label, confidence = self._result.numpy()
        return label, confidence
