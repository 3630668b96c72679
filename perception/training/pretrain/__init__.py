"""Ways to give a backbone its first weights by name. To add one: a file with a LightningModule that has a `student`, and a line here."""

from perception.core.registry import Registry

# name -> callable(backbone: str, config: PretrainConfig) -> Pretraining
METHODS = Registry(
    "pretraining method",
    {
        "autoencoder": "perception.training.pretrain.autoencoder:Autoencoder",
        "distill": "perception.training.pretrain.distill:FeatureDistillation",
        "multitask": "perception.training.pretrain.multitask:Multitask",
        "ntxent": "perception.training.pretrain.contrastive:NTXent",
        "simsiam": "perception.training.pretrain.contrastive:SimSiam",
        "triplet": "perception.training.pretrain.contrastive:Triplet",
    },
)
