"""RGB-D semantic segmentation for ROS 2 that keeps publishing when a sensor fails."""

__version__ = "0.1.0"
