"""Learning without forgetting: on new data the outputs that a network had before stay what they were."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from perception.core.labels import BOX_CLASSES, MAP_CLASSES
from perception.models.heads.detection import decode_cells
from perception.models.multitask import MultiTaskOutput
from perception.models.neck import Pyramid
from perception.training.config import ExtendConfig
from perception.training.extend.start import read_old
from perception.training.losses.base import Batch, Terms
from perception.training.losses.teacher import divergence, frozen

SURE = 0.3  # objectness of the old network from which on its box is followed


class OldOutputs(nn.Module):
    """How far the outputs of a network have gone from those of the one that it extends.

    Class scores: their divergence at a temperature, cell by cell. Detection: cross entropy of the objectness with the focal factor of
    `perception.training.losses.task_aligned`, and, weighted by the old objectness, the divergence of the classes and the distance of
    the boxes. Further tasks that the old network has: smooth L1 of the raw outputs. Where a new class is labelled, class scores and
    detections are not followed.

    Source: Li, Hoiem, "Learning without forgetting", 2016, arXiv 1606.09282, section 3; for detection Shmelkov et al., 2017, arXiv
    1708.06977, equations 2 and 3. Differs from them: all cells are followed, not a choice of proposals; the new class has its place in
    the label space from the start, so that the old network's low score of it is followed too.

    Args:
        config: of the extension; the old network is no part of the new one's checkpoints.

    Raises:
        ConfigError: no checkpoint of this project.
    """

    def __init__(self, config: ExtendConfig) -> None:
        super().__init__()
        self._config = config
        self._network = [frozen(*read_old(Path(config.checkpoint)))]  # in a list: no child
        self._map_ids = [i for i, name in enumerate(MAP_CLASSES) if name in config.classes]
        self._box_ids = [i for i, name in enumerate(BOX_CLASSES) if name in config.classes]

    def forward(
        self, out: MultiTaskOutput, batch: Batch, scan: Tensor | None = None
    ) -> dict[str, Terms]:
        """The terms of each task that both networks have, 0 where they agree; `scan` is what the new one was given beside the frames."""
        with torch.no_grad():
            old: MultiTaskOutput = self._network[0].to(batch.frame.device)(batch.frame, scan)
        terms: dict[str, Terms] = {}
        if out.detection is not None and old.detection is not None:
            found = self._detection(out.detection.predictions, old.detection.predictions, batch)
            terms["detection"] = found
        if out.class_logits is not None and old.class_logits is not None:
            terms["segmentation"] = self._classes(out.class_logits, old.class_logits, batch)
        for name, wanted in old.further.items():
            apart = F.smooth_l1_loss(out.further[name].float(), wanted.float())
            terms[name] = {f"old_{name}": apart}
        weight = self._config.weight
        return {task: {n: weight * t for n, t in named.items()} for task, named in terms.items()}

    def _classes(self, logits: Tensor, wanted: Tensor, batch: Batch) -> Terms:
        new = torch.isin(batch.class_map, batch.class_map.new_tensor(self._map_ids))
        stride = batch.class_map.shape[1] // logits.shape[2]
        followed = F.max_pool2d(new.float(), stride) == 0
        apart = divergence(logits, wanted, self._config.temperature)
        return {"old_segmentation": (apart * followed).sum() / followed.sum().clamp(min=1)}

    def _detection(self, predictions: Pyramid, wanted: Pyramid, batch: Batch) -> Terms:
        mine, old = decode_cells(predictions), decode_cells(wanted)
        followed = self._followed(mine.centres_xy, batch)
        target = old.objectness.sigmoid()
        sure = target * followed
        count = sure.sum().clamp(min=1.0)
        objectness = F.binary_cross_entropy_with_logits(mine.objectness, target, reduction="none")
        focus = (mine.objectness.sigmoid() - target).detach().square()
        logits, scores = (x.class_logits.transpose(1, 2) for x in (mine, old))
        by_class = divergence(logits, scores, self._config.temperature)
        far = (mine.boxes_xyxy - old.boxes_xyxy).abs().mean(dim=2) / mine.strides
        return {
            "old_objectness": (objectness * focus * followed).sum() / count,
            "old_class": (by_class * sure).sum() / count,
            "old_box": (far * sure * (target >= SURE)).sum() / count,
        }

    def _followed(self, centres_xy: Tensor, batch: Batch) -> Tensor:
        """``bool[N, A]``: cells whose middle lies in no box of a new class."""
        x, y = centres_xy.T
        rows = []
        for boxes, class_ids in zip(batch.boxes_xyxy, batch.class_ids, strict=True):
            new = boxes[torch.isin(class_ids, class_ids.new_tensor(self._box_ids))]
            left, top, right, bottom = new.T[..., None]
            inside = (x >= left) & (x <= right) & (y >= top) & (y <= bottom)
            rows.append(~inside.any(dim=0))
        return torch.stack(rows)
