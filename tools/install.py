"""Installs the package with extras of setup.py into the Python environment that runs this script.

    python tools/install.py test,training

Plain `pip install -e .[training]` is right on a machine with an NVIDIA GPU. On one without, the small CPU build of
torch is wanted, and pip would undo it: torchvision, timm and segmentation-models-pytorch pull in a torch with
gigabytes of CUDA libraries. There this script installs torch alone, the three without their dependencies, and the
rest under a constraint that keeps torch as it is. It says which way it went, and fails if the result cannot be
imported.
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
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-qq"]  # errors only
# The CPU set that was tried together. Its torchvision is older than its torch on purpose: the wheels of later
# torchvision on PyPI hold a compiled part for CUDA and cannot be imported beside a CPU torch; 0.16.2 can, and its
# transforms are all that is used. For Python 3.12 on it has no wheels, so the matching release of the CPU index serves.
TORCH_FOR_CPU = "torch==2.13.0+cpu"
TORCHVISION_FOR_CPU = "torchvision==0.16.2" if sys.version_info < (3, 12) else "torchvision==0.28.0+cpu"
WITHOUT_DEPENDENCIES = ("timm", "segmentation-models-pytorch")
THEIR_DEPENDENCIES = ("pillow", "requests", "huggingface_hub", "tqdm")


class InstallError(Exception):
    """The environment cannot be completed; the text names the remedy."""


def say(text: str) -> None:
    """One line of progress."""
    print(f"install: {text}", flush=True)  # noqa: T201 - the terminal is this script's interface


def pip_install(*arguments: str) -> None:
    """Runs `pip install`; its own messages explain a failure."""
    status = subprocess.run([*PIP, "install", *arguments], cwd=ROOT, check=False).returncode
    if status:
        raise InstallError(f"pip install {' '.join(arguments)}: exit status {status}, see pip's lines above.")


def with_constraints(arguments: list[str], bounds: list[str]) -> None:
    """`pip install` of the arguments under version bounds."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "constraints.txt"
        file.write_text("\n".join(bounds) + "\n", encoding="utf-8")
        pip_install("--constraint", str(file), *arguments)


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


def apt_ros() -> bool:
    """Whether rclpy comes from the machine (apt or a sourced workspace) rather than from wheels."""
    wheels = python_says("import importlib.metadata as m; print(m.version('ros-rclpy'))")
    return not wheels and bool(python_says("import rclpy; print('ok')"))


def constraints() -> list[str]:
    """Bounds that this machine sets and setup.py cannot know."""
    bounds = []
    system_numpy = python_says("import rclpy, numpy; print(numpy.__version__)")
    if system_numpy.startswith("1."):
        bounds.append("numpy<2")  # an apt cv_bridge is compiled against numpy 1 and crashes beside numpy 2
    if importlib.util.find_spec("launch_testing") is not None:
        bounds.append("pytest<9")  # launch_testing's pytest plugin uses hooks that pytest 9 removed
    return bounds


def install_cpu_torch() -> bool:
    """Installs the CPU build of torch; False when pip's indexes have none for this machine."""
    found = subprocess.run([*PIP, "install", TORCH_FOR_CPU], cwd=ROOT, capture_output=True, check=False)
    return found.returncode == 0


def install_training_for_cpu(bounds: list[str]) -> None:
    """Beside a CPU build of torch: the rest with torch held, then three packages without dependencies."""
    needed = {name_of(r): r for r in requirements("training") if name_of(r) not in ("torch", "torchvision")}
    alone = [needed.pop(name) for name in WITHOUT_DEPENDENCIES]
    with_constraints([*needed.values(), *THEIR_DEPENDENCIES], [*bounds, TORCH_FOR_CPU])
    pip_install("--no-deps", TORCHVISION_FOR_CPU, *alone)


def check_training() -> None:
    """Raises InstallError unless torch and the packages compiled against it can be imported together."""
    if not python_says("import torch, torchvision, timm, segmentation_models_pytorch; print('ok')"):
        raise InstallError(
            "torch and torchvision of this environment do not fit each other: set PIP_EXTRA_INDEX_URL to PyTorch's "
            "CPU index (see its installation page) or use Python 3.10 or 3.11, remove the environment and run again."
        )


def choose_torch() -> bool:
    """Says which torch this machine gets; True for the CPU recipe, with torch already installed."""
    if has_nvidia_gpu():
        say("NVIDIA GPU found: torch with CUDA")
        return False
    if install_cpu_torch():
        say(f"no NVIDIA GPU here: {TORCH_FOR_CPU}")
        return True
    say(
        "no NVIDIA GPU here, but pip's indexes have no CPU build of torch: taking the default build, which may bring "
        "gigabytes of CUDA libraries (name PyTorch's CPU index in PIP_EXTRA_INDEX_URL to avoid them)"
    )
    return False


def install(extras: set[str]) -> None:
    """Installs the package, editable, with the extras."""
    bounds = constraints()
    if "ros" in extras and apt_ros():
        say("ROS 2 of this machine is used, not the wheels")
        extras = extras - {"ros"}
    cpu_recipe = "training" in extras and choose_torch()
    named = ",".join(sorted(extras - {"training"} if cpu_recipe else extras))
    say(f"package with extras {named or 'none'}")
    with_constraints(["--editable", f".[{named}]"], [*bounds, TORCH_FOR_CPU] if cpu_recipe else bounds)
    if cpu_recipe:
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
