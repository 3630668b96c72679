"""Labelled road data, one file per on-disk layout. To add a set: its file, a line here, its mapping in `core/labels.py`.

A user's own data needs none of these: see `perception.datasets.coco.frames`.
"""

from pathlib import Path

from perception.core.errors import ConfigError
from perception.core.registry import Registry, hint
from perception.datasets.base import BoxLabels, Dataset, Sample, data_root
from perception.datasets.coco.frames import FILE, OwnFrames

__all__ = ["DATASETS", "BoxLabels", "Dataset", "Sample", "open_dataset"]

# name -> callable(root, split) -> Dataset
DATASETS = Registry(
    "data set",
    {
        "bdd100k": "perception.datasets.bdd100k:Bdd100k",
        "camvid": "perception.datasets.camvid:CamVid",
        "cityscapes": "perception.datasets.cityscapes:Cityscapes",
        "idd_lite": "perception.datasets.cityscapes:IddLite",
        "kitti_object": "perception.datasets.kitti.object:KittiObject",
        "kitti_road": "perception.datasets.kitti.road:KittiRoad",
        "kitti_tracking": "perception.datasets.kitti.tracking:KittiTracking",
        "nuscenes": "perception.datasets.nuscenes:NuScenesFrames",
        "synthetic": "perception.datasets.synthetic:Synthetic",
    },
    extras={"nuscenes": "nuscenes"},
)


def open_dataset(name: str, split: str, root: Path | None = None) -> Dataset:
    """Open a data set by its name.

    Args:
        name: in `DATASETS`, also the name of its folder; or the name of a folder that holds ``data.toml``
            (`perception.datasets.coco.frames`).
        split: ``"train"``, ``"val"`` or what else the set has.
        root: folder of all sets; by default ``PERCEPTION_DATA``.

    Raises:
        ConfigError: unknown set or split.
        InputError: what is on disk is not complete, or damaged.
    """
    home = root or data_root()
    folder = home / name
    if name not in DATASETS:
        if folder.is_dir():
            return OwnFrames(folder, split)
        own = sorted(path.parent.name for path in home.glob(f"*/{FILE}"))
        raise ConfigError(
            f"unknown data set {name!r}; {hint(name, [*DATASETS, *own])}known: {sorted(DATASETS)}, and in {home} of your own: {own}"
        )
    factory = DATASETS[name]
    dataset: Dataset = factory(folder, split)
    return dataset
