"""Installs the package with extras of setup.py into the Python environment that runs this script.

    python tools/install.py test,training

Plain `pip install -e .[training]` is right on a machine with an NVIDIA GPU. On one without, pip would undo a CPU
build of torch: torchvision, timm and segmentation-models-pytorch pin old torch releases whose wheels bring CUDA.
There this script installs torch alone, the three packages without their dependencies, and the rest under a
constraint that keeps torch as it is. It says which way it went, and fails if the result cannot be imported.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
WITHOUT_DEPENDENCIES = ("torchvision", "timm", "segmentation-models-pytorch")
THEIR_DEPENDENCIES = ("pillow", "requests", "huggingface_hub", "tqdm")
# PyPI's torchvision wheels for CPU and CUDA differ in a compiled part that fails beside a CPU torch; 0.16.2 is the
# release that still imports there (its transforms are all that is used). It has no wheels for Python 3.12 on.
TORCHVISION_FOR_CPU = "torchvision==0.16.2"


class InstallError(Exception):
    """The environment cannot be completed; the text names the remedy."""


def say(text: str) -> None:
    """One line of progress."""
    print(f"install: {text}", flush=True)  # noqa: T201 - the terminal is this script's interface


def pip_install(*arguments: str) -> None:
    """Runs `pip install`; its own messages explain a failure."""
    done = subprocess.run([*PIP, "install", *arguments], cwd=ROOT, check=False)
    if done.returncode:
        raise InstallError(f"pip install {' '.join(arguments)}: exit status {done.returncode}, see pip's lines above.")


def python_says(code: str) -> str:
    """Standard output of `code` in a fresh interpreter of this environment; empty when it fails."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def has_nvidia_gpu() -> bool:
    """Whether an NVIDIA driver is loaded (desktop and server: /proc; Jetson: its release file)."""
    if Path("/proc/driver/nvidia/version").exists() or Path("/etc/nv_tegra_release").exists():
        return True
    smi = shutil.which("nvidia-smi")
    return smi is not None and subprocess.run([smi, "-L"], capture_output=True, check=False).returncode == 0


def requirements(extra: str) -> list[str]:
    """Requirements of one extra, from the metadata of the installed package."""
    listing = python_says("import importlib.metadata as m; print('\\n'.join(m.requires('rgbd_seg_ros') or []))")
    marked = re.compile(rf"extra\s*==\s*['\"]{re.escape(extra)}['\"]")
    return [line.split(";")[0].strip() for line in listing.splitlines() if marked.search(line)]


def name_of(requirement: str) -> str:
    """Project name of a requirement, without extras, version and marker."""
    return re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0].lower()


def constraints() -> list[str]:
    """Bounds that this machine sets and setup.py cannot know."""
    bounds = []
    system_numpy = python_says("import rclpy, numpy; print(numpy.__version__)")
    if system_numpy.startswith("1."):
        bounds.append("numpy<2")  # an apt cv_bridge is compiled against numpy 1 and crashes beside numpy 2
    if importlib.util.find_spec("launch_testing") is not None:
        bounds.append("pytest<9")  # launch_testing's pytest plugin uses hooks that pytest 9 removed
    return bounds


def install_training_for_cpu(bounds: list[str]) -> None:
    """Torch alone, three packages without dependencies, then the rest with torch held."""
    needed = {name_of(r): r for r in requirements("training")}
    pip_install(needed["torch"], "numpy")
    version, cuda = python_says("import torch; print(torch.__version__, torch.version.cuda)").split()
    say(f"no NVIDIA GPU here: torch {version} ({'CPU' if cuda == 'None' else f'CUDA {cuda}'} build)")
    if cuda != "None":
        say("this torch is the large CUDA build; PyTorch's CPU index in PIP_EXTRA_INDEX_URL gives the small one")
    elif sys.version_info < (3, 12):
        needed["torchvision"] = TORCHVISION_FOR_CPU
    pip_install("--no-deps", *(needed.pop(name) for name in WITHOUT_DEPENDENCIES))
    with_constraints([*needed.values(), *THEIR_DEPENDENCIES], [*bounds, f"torch=={version}"])


def with_constraints(arguments: list[str], bounds: list[str]) -> None:
    """`pip install` of the arguments under version bounds."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "constraints.txt"
        file.write_text("\n".join(bounds) + "\n", encoding="utf-8")
        pip_install("--constraint", str(file), *arguments)


def check_training() -> None:
    """Raises InstallError unless torch and the packages compiled against it can be imported together."""
    if not python_says("import torch, torchvision, timm, segmentation_models_pytorch; print('ok')"):
        raise InstallError(
            "torch and torchvision of this environment do not fit each other: set PIP_EXTRA_INDEX_URL to PyTorch's "
            "CPU index (see its installation page) or use Python 3.10 or 3.11, remove the environment and run again."
        )


def install(extras: set[str]) -> None:
    """Installs the package, editable, with the extras."""
    bounds = constraints()
    if (
        "ros" in extras
        and python_says("import rclpy; print('ok')")
        and not python_says("import importlib.metadata as m; print(m.version('ros-rclpy'))")
    ):
        say("ROS 2 of this machine is used, not the wheels")
        extras = extras - {"ros"}
    for_cpu = "training" in extras and not has_nvidia_gpu()
    if "training" in extras and not for_cpu:
        say("NVIDIA GPU found: torch with CUDA")
    chosen = ",".join(sorted(extras - ({"training"} if for_cpu else set())))
    say(f"package with extras {chosen or 'none'}")
    with_constraints(["--editable", f".[{chosen}]"], bounds)
    if for_cpu:
        install_training_for_cpu(bounds)
    if "training" in extras:
        check_training()


def main() -> int:
    """Command line: one argument, the extras separated by commas."""
    if len(sys.argv) != 2:
        say("usage: python tools/install.py EXTRA[,EXTRA...] (extras of setup.py)")
        return 2
    if sys.prefix == sys.base_prefix:
        say("this Python is not in a virtual environment: make one (python3 -m venv FOLDER) and use its Python.")
        return 2
    try:
        install(set(sys.argv[1].split(",")))
    except InstallError as error:
        say(f"error: {error}")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
