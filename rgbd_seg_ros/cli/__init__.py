"""The commands of `rgbd-seg`, one file each."""
