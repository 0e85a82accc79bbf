"""ROS packages that have no PyPI wheel and are used where a ROS installation has them. The one place that decides."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import Image

try:
    from cv_bridge import CvBridge, CvBridgeError
except ImportError:
    CvBridge = None

try:
    from vision_msgs.msg import LabelInfo, VisionClass
except ImportError:
    LabelInfo = VisionClass = None

LABEL_INFO_TYPE = LabelInfo
"""`vision_msgs/msg/LabelInfo`, or None where vision_msgs is not installed (or older than LabelInfo)."""


def color_by_cv_bridge(msg: Image) -> npt.NDArray[np.uint8] | None:
    """The RGB image of a message by cv_bridge, or None where cv_bridge is missing or cannot convert it either.

    Asked only for encodings that `encodings.py` does not know: cv_bridge copies, `encodings.py` does not.
    """
    if CvBridge is None:
        return None
    try:
        return np.asarray(CvBridge().imgmsg_to_cv2(msg, "rgb8"), dtype=np.uint8)
    except CvBridgeError:
        return None


def label_info_message(classes: tuple[str, ...], stamp: object, frame_id: str) -> object:
    """A `LabelInfo` that names every class of a label image; 255 = unlabelled has no entry.

    Only where `LABEL_INFO_TYPE` is not None.
    """
    message = LABEL_INFO_TYPE()
    message.header.stamp = stamp
    message.header.frame_id = frame_id
    message.class_map = [VisionClass(class_id=index, class_name=name) for index, name in enumerate(classes)]
    return message
