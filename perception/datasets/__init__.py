"""Labelled road data, one file per on-disk layout. To add a set: its file, a line here, its mapping in `core/labels.py`."""

from pathlib import Path

from perception.core.registry import Registry
from perception.datasets.base import BoxLabels, Dataset, Sample, data_root

__all__ = ["DATASETS", "BoxLabels", "Dataset", "Sample", "open_dataset"]

# name -> callable(root, split) -> Dataset
DATASETS = Registry(
    "data set",
    {
        "camvid": "perception.datasets.camvid:CamVid",
        "kitti_object": "perception.datasets.kitti.object:KittiObject",
        "kitti_road": "perception.datasets.kitti.road:KittiRoad",
        "synthetic": "perception.datasets.synthetic:Synthetic",
    },
)


def open_dataset(name: str, split: str, root: Path | None = None) -> Dataset:
    """Open a data set by its name.

    Args:
        name: registry name, also the name of its folder.
        split: ``"train"``, ``"val"`` or what else the set has.
        root: folder of all sets; by default ``PERCEPTION_DATA``.
    """
    factory = DATASETS[name]
    dataset: Dataset = factory((root or data_root()) / name, split)
    return dataset
