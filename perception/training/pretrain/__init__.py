"""Ways to give a backbone its first weights by name. To add one: a file with a LightningModule that has a `student`, and a line here."""

from perception.core.registry import Registry

# name -> callable(backbone: str, config: PretrainConfig) -> Pretraining
METHODS = Registry(
    "pretraining method",
    {
        "distill": "perception.training.pretrain.distill:FeatureDistillation",
    },
)
