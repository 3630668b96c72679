"""What the training device can do, and where a run computes."""

from typing import Any

import torch

from perception.core.errors import ConfigError
from perception.training.config import TrainConfig


def choose_precision(asked: str, accelerator: str) -> Any:  # noqa: ANN401 (Lightning's literal)
    """Lightning's name of a precision; ``auto`` is bfloat16 where the device computes in it.

    Args:
        asked: ``TrainConfig.precision``.
        accelerator: ``TrainConfig.accelerator``: a run on the CPU asks the CPU, also where there is a GPU.

    Raises:
        ConfigError: bfloat16 was asked for and the device emulates it.
    """
    if accelerator != "cpu" and torch.cuda.is_available():
        able = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        able = bool(torch.cpu._is_avx512_bf16_supported())  # noqa: SLF001 (no public name)
    if asked == "bf16" and not able:
        raise ConfigError(
            "precision 'bf16': this device has no bfloat16 arithmetic; set precision=fp32"
        )
    return "bf16-mixed" if asked == "bf16" or (asked == "auto" and able) else "32-true"


def placement(config: TrainConfig) -> dict[str, Any]:
    """Where and in what precision a run computes, as options of Lightning's Trainer."""
    return {
        "accelerator": config.accelerator,
        "devices": config.devices,
        "strategy": config.strategy,
        "precision": choose_precision(config.precision, config.accelerator),
    }
