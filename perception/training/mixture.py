"""What a run's frames are: which sets, in which shares, and how they are varied."""

from dataclasses import dataclass

from perception.core.errors import ConfigError
from perception.core.geometry import SIZE_MULTIPLE
from perception.core.labels import MAP_CLASSES
from perception.core.registry import check_known
from perception.models.tasks import TASKS


@dataclass(frozen=True, slots=True, kw_only=True)
class SetConfig:
    """One data set of the mixture.

    Attributes:
        name: of a data set, see `perception.datasets.open_dataset`.
        split: of the set, to train on.
        share: of the frames of an epoch, relative to the other sets.
        scale: by which frames are enlarged before the random scale; it brings sets of different cameras to one field.
        hide: classes of the label space and tasks in `perception.models.tasks.TASKS` whose labels are treated as not there.
        only: the opposite: all others are hidden. Where another class is labelled, a pixel is still known to hold none of these.
        frames: so many frames of it, spread evenly; 0 for all.
    """

    name: str
    split: str = "train"
    share: float = 1.0
    scale: float = 1.0
    hide: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    frames: int = 0

    def __post_init__(self) -> None:
        for key, names in (("hide", self.hide), ("only", self.only)):
            check_known(f"data.sets: {self.name}: {key}", names, (*MAP_CLASSES, *TASKS))
        if self.hide and self.only:
            raise ConfigError(
                f"data.sets: {self.name}: expected hide or only, got both; what is not in only is hidden"
            )
        if self.frames < 0:
            raise ConfigError(
                f"data.sets: {self.name}: frames: expected 0 for all or more, got {self.frames}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """Frames and how they are varied.

    Attributes:
        sets: the mixture.
        crop_wh: px of a training frame, multiples of 32.
        scale_range: of the random scale.
        colour: in `perception.training.augment.colours.COLOURS`: how light and colour vary.
        pasted: share of the frames that objects of another frame of their set are put into, in [0, 1]; only frames with class map and boxes
            and no further labels, see `perception.training.augment.paste`.
        batch_size: frames a step, of each process.
        workers: processes that load; 0 loads in the training process.
        val_sets: names of the sets whose split ``val`` is validated on; empty: the sets of the mixture.
        val_scale: by which whole frames are made smaller for validation, in (0, 1]; results are scored in the pixels of the frame on disk.
        lidar_dropout: share of the frames whose scan a network with a second input does not get in training, in [0, 1].
    """

    sets: tuple[SetConfig, ...] = (
        SetConfig(name="camvid", share=0.5),
        SetConfig(name="kitti_road", share=0.3),
        SetConfig(name="kitti_object", share=0.2),
    )
    crop_wh: tuple[int, int] = (480, 352)
    scale_range: tuple[float, float] = (0.6, 1.6)
    colour: str = "jitter"
    pasted: float = 0.0
    batch_size: int = 8
    workers: int = 1
    val_sets: tuple[str, ...] = ()
    val_scale: float = 1.0
    lidar_dropout: float = 0.3

    def __post_init__(self) -> None:
        if any(side < SIZE_MULTIPLE or side % SIZE_MULTIPLE for side in self.crop_wh):
            expected = f"expected multiples of {SIZE_MULTIPLE}"
            raise ConfigError(f"data.crop_wh: {expected}, got {list(self.crop_wh)}")
        if not 0 < self.val_scale <= 1:
            raise ConfigError(
                f"data.val_scale: expected more than 0 and at most 1, got {self.val_scale}"
            )
        for key in ("pasted", "lidar_dropout"):
            if not 0 <= getattr(self, key) <= 1:
                raise ConfigError(f"data.{key}: expected 0 to 1, got {getattr(self, key)}")
