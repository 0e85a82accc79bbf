"""ROS 2 nodes: the only room that knows ROS message types."""
