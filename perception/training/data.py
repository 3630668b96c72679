"""The mixture of data sets as Lightning's data module. A frame without a label kind has that kind ignored everywhere."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, DataLoader, Subset, WeightedRandomSampler
from torch.utils.data import Dataset as TorchDataset
from torchvision import tv_tensors
from torchvision.transforms import v2

from perception.core.labels import BOX_CLASSES, IGNORE
from perception.datasets import Dataset, Sample, open_dataset
from perception.training.augment.paste import paste_objects
from perception.training.augment.transforms import build_transforms, cut_boxes
from perception.training.extend.shown import ShownPart, hidden_names, spread
from perception.training.further import collate_further, further_labels, further_tensors
from perception.training.losses.base import Batch
from perception.training.mixture import DataConfig, SetConfig

Item = dict[str, Any]


class TrainingFrames(TorchDataset[Item]):
    """Augmented frames of one set.

    Args:
        dataset: labelled frames.
        transform: as `build_transforms` makes it.
        pasted: share of the frames that objects of another are put into, see `paste_objects`.
    """

    def __init__(self, dataset: Dataset, transform: v2.Transform, pasted: float = 0.0) -> None:
        self._dataset = dataset
        self._transform = transform
        self._pasted = pasted

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> Item:
        sample = self._dataset[index]
        if torch.rand(1) < self._pasted:
            sample = paste_objects(sample, self._dataset)
        varied = self._transform(to_tensors(sample))
        frame, maps = varied["frame"], varied["maps"]
        height, width = frame.shape[-2:]
        boxes, kept = cut_boxes(varied["boxes"].as_subclass(Tensor), (width, height))
        unjudged = maps[1] == IGNORE
        for x1, y1, x2, y2 in boxes[~kept].long().tolist():
            unjudged[y1 : y2 + 1, x1 : x2 + 1] = True
        focal_px, further = further_labels(varied, kept)
        return {
            "frame": frame.permute(1, 2, 0).contiguous(),
            "class_map": maps[0],
            "unjudged": unjudged,
            "boxes_xyxy": boxes[kept],
            "class_ids": varied["class_ids"][kept],
            "boxed": varied["boxed"],
            "focal_px": focal_px,
            "further": further,
        }


def to_tensors(sample: Sample) -> dict[str, Any]:
    """A sample as the tensors that `build_transforms` varies."""
    height, width = sample.image.shape[:2]
    maps = np.full((2, height, width), IGNORE, np.uint8)
    boxes, class_ids = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
    boxed = torch.zeros(len(BOX_CLASSES), dtype=torch.bool)
    if sample.class_map is not None:
        maps[0] = sample.class_map
    if sample.boxes is not None:
        maps[1] = np.where(sample.boxes.unjudged, IGNORE, 0)
        boxes, class_ids = sample.boxes.boxes_xyxy, sample.boxes.class_ids
        boxed[list(sample.boxes.boxed_classes)] = True
    return {
        "frame": tv_tensors.Image(torch.from_numpy(sample.image).permute(2, 0, 1)),
        "maps": tv_tensors.Mask(torch.from_numpy(maps)),
        "boxes": tv_tensors.BoundingBoxes(
            torch.from_numpy(boxes), format="XYXY", canvas_size=(height, width), clamping_mode=None
        ),
        "class_ids": torch.from_numpy(class_ids),
        "boxed": boxed,
        **further_tensors(sample),
    }


def collate(items: Sequence[Item]) -> Batch:
    """Stack what has one size, list what has not."""
    return Batch(
        frame=torch.stack([item["frame"] for item in items]),
        class_map=torch.stack([item["class_map"] for item in items]),
        unjudged=torch.stack([item["unjudged"] for item in items]),
        boxes_xyxy=tuple(item["boxes_xyxy"] for item in items),
        class_ids=tuple(item["class_ids"] for item in items),
        boxed=torch.stack([item["boxed"] for item in items]),
        focal_px=torch.stack([item["focal_px"] for item in items]),
        further=collate_further(items),
    )


class ValidationFrames(TorchDataset[tuple[str, Sample]]):
    """Whole frames as they are on disk, with the name of their set."""

    def __init__(self, name: str, dataset: Dataset) -> None:
        self._name = name
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> tuple[str, Sample]:
        return self._name, self._dataset[index]


class MixedData(pl.LightningDataModule):
    """Training draws from the sets by their shares; validation goes through each of its own in order.

    Args:
        config: the mixture.
        steps_per_epoch: optimiser steps of one epoch.
        val_frames: of each set, spread evenly; 0 for all.
        root: folder of all sets; by default ``PERCEPTION_DATA``.
        further: labels that samples are to have besides, see `Dataset`.
    """

    def __init__(
        self,
        config: DataConfig,
        steps_per_epoch: int,
        val_frames: int,
        root: Path | None = None,
        further: Iterable[str] = (),
    ) -> None:
        super().__init__()
        # where nothing is hidden, class maps tell the outlines themselves
        parts = any(hidden_names(entry) for entry in config.sets)
        self._further = frozenset(further) - (frozenset() if parts else {"outlines"})
        self._config = config
        self._steps = steps_per_epoch
        self._val_frames = val_frames
        self._root = root

    def _open(self, entry: SetConfig) -> Dataset:
        dataset = open_dataset(entry.name, entry.split, self._root)
        hidden, outlined = hidden_names(entry), "outlines" in self._further
        if hidden or entry.frames or outlined:
            dataset = ShownPart(dataset, hidden, entry.frames, absence=bool(entry.only))
        dataset.further = self._further
        return dataset

    def train_dataloader(self) -> DataLoader[Item]:
        """Endless variety: frames drawn with replacement, by the shares of their sets."""
        config = self._config
        parts: list[TrainingFrames] = []
        weights: list[float] = []
        for entry in config.sets:
            dataset = self._open(entry)
            low, high = config.scale_range
            scale_range = (low * entry.scale, high * entry.scale)
            transform = build_transforms(config.crop_wh, scale_range, config.colour)
            parts.append(TrainingFrames(dataset, transform, config.pasted))
            weights += [entry.share / len(dataset)] * len(dataset)
        # drawn with replacement: processes need no shares of an epoch, only luck of their own
        rank = self.trainer.global_rank if self.trainer else 0
        luck = torch.Generator().manual_seed(torch.initial_seed() + rank)
        return DataLoader(
            ConcatDataset(parts),
            batch_size=config.batch_size,
            sampler=WeightedRandomSampler(weights, self._steps * config.batch_size, generator=luck),
            num_workers=config.workers,
            collate_fn=collate,
            persistent_workers=config.workers > 0,
            prefetch_factor=4 if config.workers else None,
        )

    def transfer_batch_to_device(
        self,
        batch: Any,  # noqa: ANN401 (Batch, or a validation item)
        device: torch.device,
        dataloader_idx: int,
    ) -> Any:  # noqa: ANN401
        """Training batches go to the device; validation samples stay, the run on a sample moves what it needs."""
        del dataloader_idx
        return batch.to(device) if isinstance(batch, Batch) else batch

    def val_dataloader(self) -> DataLoader[tuple[str, Sample]]:
        """Each validation frame once, whole."""
        parts: list[TorchDataset[tuple[str, Sample]]] = []
        sets = self._config.sets
        for name in self._config.val_sets or dict.fromkeys(entry.name for entry in sets):
            # what no training frame of the set shows, its validation frames do not score either
            hidden = [hidden_names(entry) for entry in sets if entry.name == name]
            never = frozenset.intersection(*hidden) if hidden else frozenset()
            whole = SetConfig(name=name, split="val", hide=tuple(sorted(never)))
            frames = ValidationFrames(name, self._open(whole))
            parts.append(Subset(frames, spread(len(frames), self._val_frames)))
        return DataLoader(ConcatDataset(parts), batch_size=None, collate_fn=_as_it_is)


def _as_it_is(item: Any) -> Any:  # noqa: ANN401 (torch types it as a list, which it is not without batches)
    return item
