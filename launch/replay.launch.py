"""Plays a rosbag2 through the fault injector into the segmenter node.

    ros2 launch rgbd_seg_ros replay.launch.py bag:=/data/run1 scenario:=depth_drop \
        rgb_topic:=/camera/rgb/image_raw depth_topic:=/camera/depth/image_raw \
        camera_info_topic:=/camera/rgb/camera_info

Without `bag` the images come from whoever publishes the topics: a live camera, or a player started by hand.
`rgbd-seg evaluate` does the same with a report at the end.
"""

import os
from pathlib import Path

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
    SetEnvironmentVariable,
    Shutdown,
    TimerAction,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from rgbd_seg_ros.paths import dds_environment

BOOLEAN = ["true", "false"]


def arguments() -> list[DeclareLaunchArgument]:
    argument = DeclareLaunchArgument
    return [
        argument("bag", default_value="", description="rosbag2 to play; empty: play none, other publishers do"),
        argument("speed", default_value="1.0", description="of the bag: 2.0 is twice real time"),
        argument("start_delay", default_value="4.0", description="seconds before the bag starts: the node comes up"),
        argument("scenario", default_value="healthy", description="file, name in config/faults, demo, random:SEED"),
        argument("seed", default_value="0", description="of the faults that draw random numbers"),
        argument("rate_hz", default_value="30.0", description="frame rate of the cameras in the bag"),
        argument("repeat", default_value="false", choices=BOOLEAN, description="start the scenario again when over"),
        argument("rgb_topic", default_value="/camera/rgb/image_raw", description="colour images in the bag"),
        argument("depth_topic", default_value="/camera/depth/image_raw", description="depth images in the bag"),
        argument("camera_info_topic", default_value="/camera/rgb/camera_info", description="calibration in the bag"),
        argument("use_sim_time", default_value="true", choices=BOOLEAN, description="take ROS time from the bag"),
    ]


def segmenter() -> IncludeLaunchDescription:
    return IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(Path(__file__).with_name("segment.launch.py"))),
        launch_arguments=[
            ("rgb_topic", "faulty/rgb/image_raw"),
            ("depth_topic", "faulty/depth/image_raw"),
            ("camera_info_topic", LaunchConfiguration("camera_info_topic")),
            ("use_sim_time", LaunchConfiguration("use_sim_time")),
        ],
    )


def injector(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    def value(name: str) -> str:
        return LaunchConfiguration(name, default="").perform(context)

    parameters = {
        "scenario": value("scenario"),
        "seed": int(value("seed")),
        "rate_hz": float(value("rate_hz")),
        "repeat": value("repeat") == "true",
    }
    node = Node(
        package="rgbd_seg_ros",
        executable="fault_injector",
        name="fault_injector",
        namespace=value("namespace"),
        parameters=[parameters],
        remappings=[("rgb/image_raw", value("rgb_topic")), ("depth/image_raw", value("depth_topic"))],
        output="screen",
    )
    # Before the node: what it sends must fit the shared memory, see segment.launch.py, which comes later.
    profile = [SetEnvironmentVariable(name, value) for name, value in dds_environment(os.environ).items()]
    return [*profile, node]


def player(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    bag, speed, delay = (LaunchConfiguration(n).perform(context) for n in ("bag", "speed", "start_delay"))
    if not bag:
        return []
    play = ExecuteProcess(
        cmd=["ros2", "bag", "play", bag, "--clock", "100", "--rate", speed],
        output="screen",
        on_exit=[TimerAction(period=2.0, actions=[Shutdown(reason="the bag is over")])],  # the last labels come out
    )
    return [TimerAction(period=float(delay), actions=[play])]


def generate_launch_description() -> LaunchDescription:
    # The included file comes last: its arguments of the same names (rgb_topic...) hold from there on.
    return LaunchDescription(
        [*arguments(), OpaqueFunction(function=injector), OpaqueFunction(function=player), segmenter()]
    )
