"""Starts the segmenter node on a camera's topics.

    ros2 launch rgbd_seg_ros segment.launch.py rgb_topic:=/camera/camera/color/image_raw \
        depth_topic:=/camera/camera/aligned_depth_to_color/image_raw \
        camera_info_topic:=/camera/camera/color/camera_info

`ros2 launch rgbd_seg_ros segment.launch.py --show-args` lists every argument.
"""

import os

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode

from rgbd_seg_ros.huge_pages import huge_page_environment
from rgbd_seg_ros.paths import config_file, dds_environment

BOOLEAN = ["true", "false"]
# Empty means: as the parameters file says.
PARAMETERS_OF_ARGUMENTS = ("bundle", "backend", "rgb_transport", "depth_transport")


def arguments() -> list[DeclareLaunchArgument]:
    argument = DeclareLaunchArgument
    return [
        argument("rgb_topic", default_value="rgb/image_raw", description="colour images"),
        argument("depth_topic", default_value="depth/image_raw", description="depth images, registered to colour"),
        argument("camera_info_topic", default_value="rgb/camera_info", description="calibration of the colour camera"),
        argument("namespace", default_value="", description="namespace of the node and of relative topics"),
        argument("bundle", default_value="", description="folder of the model bundle; empty: parameters file, shipped"),
        argument("backend", default_value="", description="inference runtime; empty: parameters file"),
        argument("params_file", default_value=str(config_file("segment.yaml")), description="parameters of the node"),
        argument("rgb_transport", default_value="", description="raw or compressed; empty: parameters file"),
        argument(
            "depth_transport",
            default_value="",
            description="raw, compressed or compressedDepth; empty: parameters file",
        ),
        argument(
            "use_sim_time",
            default_value="",
            choices=["", *BOOLEAN],
            description="take ROS time from /clock; empty: parameters file",
        ),
        argument(
            "autostart",
            default_value="",
            choices=["", *BOOLEAN],
            description="configure and activate once at start, false under a manager; empty: parameters file",
        ),
        argument("respawn", default_value="false", choices=BOOLEAN, description="start again after a crash"),
        argument(
            "log_level",
            default_value="info",
            choices=["debug", "info", "warn", "error", "fatal"],
            description="least severe message that is logged",
        ),
    ]


def dds_profile(_: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Shared-memory segments that hold an image, for this launch, unless the user brings a profile."""
    return [SetEnvironmentVariable(name, value) for name, value in dds_environment(os.environ).items()]


def segmenter(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    value = {name: LaunchConfiguration(name).perform(context) for name in (a.name for a in arguments())}
    overrides: dict[str, object] = {name: value[name] for name in PARAMETERS_OF_ARGUMENTS if value[name]}
    # The node itself makes the two transitions, once in the life of its process: a later deactivation by hand stays.
    overrides |= {name: value[name] == "true" for name in ("use_sim_time", "autostart") if value[name]}
    node = LifecycleNode(
        package="rgbd_seg_ros",
        executable="rgbd_segmenter",
        name="rgbd_segmenter",
        namespace=value["namespace"],
        parameters=[value["params_file"], overrides],
        remappings=[
            ("rgb/image_raw", value["rgb_topic"]),
            ("rgb/image_raw/compressed", f"{value['rgb_topic']}/compressed"),
            ("depth/image_raw", value["depth_topic"]),
            ("depth/image_raw/compressed", f"{value['depth_topic']}/compressed"),
            ("depth/image_raw/compressedDepth", f"{value['depth_topic']}/compressedDepth"),
            ("rgb/camera_info", value["camera_info_topic"]),
        ],
        ros_arguments=["--log-level", value["log_level"]],
        additional_env=huge_page_environment(os.environ),
        respawn=value["respawn"] == "true",
        respawn_delay=2.0,
        output="screen",
        emulate_tty=True,
    )
    return [node]


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription([*arguments(), OpaqueFunction(function=dds_profile), OpaqueFunction(function=segmenter)])
