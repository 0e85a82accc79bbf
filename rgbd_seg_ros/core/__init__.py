"""The logic of the package: no ROS, no torch, no files, no clocks."""
