"""The training recipe: data, losses and the LightningModule."""
