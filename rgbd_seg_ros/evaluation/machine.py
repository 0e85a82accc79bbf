"""The machine and the versions that a measurement was made with."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

PACKAGES = (
    "rgbd-seg-ros",
    "numpy",
    "opencv-python-headless",
    "opencv-python",
    "onnxruntime",
    "openvino",
    "ros-rclpy",
    "rosbags",
)


def machine_facts() -> dict[str, Any]:
    """Processor, cores that this process may use, memory and system."""
    cpu = next((v for v in _lines("/proc/cpuinfo", "model name")), platform.processor() or "unknown")
    kib = next((v for v in _lines("/proc/meminfo", "MemTotal")), "0 kB").split()[0]
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(int(kib) / 2**20, 1),
        "system": platform.platform(),
        "load_average": round(os.getloadavg()[0], 2),
    }


def version_facts() -> dict[str, str]:
    """Python, this package, ROS and the packages that matter; those that are not installed are left out."""
    facts = {"python": platform.python_version(), "ros": os.environ.get("ROS_DISTRO", "wheels")}
    installed = {d.name.lower().replace("_", "-"): d.version for d in importlib.metadata.distributions()}
    return facts | {name: installed[name] for name in PACKAGES if name in installed}


def _lines(file: str, key: str) -> list[str]:
    path = Path(file)
    if not path.exists():
        return []
    return [line.split(":", 1)[1].strip() for line in path.read_text().splitlines() if line.startswith(key)]
