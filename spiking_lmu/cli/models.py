"""``spiking-lmu models``: the shipped models, how good they are and how they were made."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace


def add_arguments(parser: ArgumentParser) -> None:
    """None."""


def run(options: Namespace) -> int:
    """Print a table of the shipped models and the command that trained each."""
    from rich.console import Console
    from rich.table import Table

    from spiking_lmu.files.zoo import load_model, shipped

    table = Table("model", "network", "accuracy on test", "bytes", title="Trained models")
    commands = []
    for name, path in shipped().items():
        model = load_model(name)
        hidden = [p for p in model.graph.populations if p.neuron.kind != "linear"]
        network = ", ".join(f"{p.name}: {p.size} {p.neuron.kind}" for p in hidden)
        training = model.provenance["training"]
        score = training["test"]
        accuracy = f"{100 * score['correct'] / score['samples']:.2f} % of {score['samples']:,}"
        table.add_row(name, network, accuracy, f"{path.stat().st_size:,}")
        commands.append(f"{name}: {training['command']}  (seed {training['settings']['seed']})")
    console = Console(highlight=False, markup=False)
    console.print(table)
    for line in commands:
        console.print(line, soft_wrap=True)
    return 0
