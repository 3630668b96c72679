"""The commands that train: ``perception train``, ``study``, ``pretrain``."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from perception.cli.options import SetOption, close

PresetOption = Annotated[str, typer.Option(help="a shipped preset, or the path of a TOML file")]


def train(
    preset: PresetOption,
    changes: SetOption = None,
    out: Annotated[
        Path | None, typer.Option(help="folder of the run; one that exists goes on")
    ] = None,
    extend: Annotated[
        Path | None,
        typer.Option(help="checkpoint of a network that learns on and follows its old outputs"),
    ] = None,
) -> None:
    """Train a preset; a run that was killed goes on where it stopped."""
    from perception.training.config import load_train_config
    from perception.training.train import train as train_network

    config = load_train_config(preset, changes or ())
    if extend is not None:
        config = replace(config, extend=replace(config.extend, checkpoint=str(extend)))
    close(train_network(config, out or Path("runs") / Path(preset).stem))


def study(
    study: Annotated[str, typer.Argument(help="a shipped study, or the path of a TOML file")],
    out: Annotated[
        Path | None, typer.Option(help="folder of the study; one that exists goes on")
    ] = None,
) -> None:
    """Train several recipes with several seeds, score all alike and compare them; what is finished is not done again."""
    from rich.console import Console

    from perception.export.forward_times import draw_pareto, time_arms
    from perception.training.study.config import load_study
    from perception.training.study.report import rich_table, write_markdown
    from perception.training.study.run import run_study

    loaded = load_study(study)
    folder = out or Path("runs") / loaded.name
    summary = run_study(loaded, folder)
    if loaded.scoring.forward_size:
        for name, times in time_arms(loaded, pairs=60).items():
            summary["arms"][name]["forward"] = times
        write_markdown(Path(summary["table"]), loaded.name, summary)
        draw_pareto(folder / "pareto.png", summary["arms"])
    Console(stderr=True).print(rich_table(loaded.name, summary))
    close(summary)


def pretrain(
    method: Annotated[
        str, typer.Option(help="autoencoder, distill, multitask, ntxent, simsiam or triplet")
    ],
    preset: PresetOption = "road",
    steps: Annotated[int, typer.Option(min=1, help="optimiser steps")] = 2000,
    changes: SetOption = None,
    out: Annotated[
        Path | None, typer.Option(help="folder of the run; one that exists goes on")
    ] = None,
) -> None:
    """First weights for a preset's backbone from frames without labels; perception train --set init=FILE starts from them."""
    from perception.training.config import load_train_config
    from perception.training.pretrain.run import pretrain as pretrain_backbone

    asked = [f"pretrain.method={method}", f"pretrain.steps={steps}", *(changes or ())]
    config = load_train_config(preset, asked)
    weights = pretrain_backbone(config, out or Path("runs") / f"pretrain-{method}")
    close({"backbone": config.model.backbone, "method": method, "weights": str(weights)})
