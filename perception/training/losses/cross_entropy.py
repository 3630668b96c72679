"""Cross entropy where a pixel may be labelled with a group of classes."""

from torch import Tensor, nn
from torch.nn import functional as F

from perception.core.labels import IGNORE
from perception.training.losses.base import Batch, Terms, at_frame_size, log_likelihood


class MarginalCrossEntropy(nn.Module):
    """Minus the log of the summed probability of the classes that the label allows, averaged over labelled pixels.

    For a label of one class this is cross entropy; for a group G it is ``-log sum_{c in G} p_c``, the likelihood of a partial
    label.

    Source:
        Shi et al., "Marginal loss and exclusion loss for partially supervised multi-organ segmentation", 2021,
        arXiv 2007.03868: the marginal cross entropy, without its exclusion loss.
    """

    def forward(self, logits: Tensor, batch: Batch) -> Terms:
        """Compare at frame size.

        Args:
            logits: ``float[N, C, H/s, W/s]``.
            batch: labels; ``class_map`` holds classes, groups (from C on) and ignore.

        Returns:
            One term, ``segmentation``; zero where no pixel is labelled.
        """
        log_p = F.log_softmax(at_frame_size(logits, batch), dim=1)
        target = batch.class_map.long()
        labelled = (target != IGNORE).sum().clamp(min=1)
        return {"segmentation": -log_likelihood(log_p, target).sum() / labelled}
