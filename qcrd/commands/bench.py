"""`qcrd bench`: how fast this machine is at what the project does, ours against the plain way, in ratios."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Measure speed, in ratios of ours to the plain way.")

Json = Annotated[bool, typer.Option("--json", help="One JSON object in the last line, for programs.")]


class Student(StrEnum):
    """Sizes of the student that is measured."""

    TINY = "tiny"
    SMALL = "small"
    BASE = "base"


SizeOption = Annotated[
    Student, typer.Option(help="tiny: the embedded preset's; small: T5-small (60M); base: T5-base (220M).")
]
Rounds = Annotated[int, typer.Option(min=1, help="How often each way is timed.")]
Bf16 = Annotated[bool, typer.Option("--bf16", help="With autocast to bf16.")]
Device = Annotated[str | None, typer.Option(help="cpu or cuda; without it the GPU where there is one.")]


@app.callback()
def bench() -> None:
    """Measure speed, in ratios of ours to the plain way: by turns in one run, several times, medians."""


@app.command()
def step(
    size: SizeOption = Student.SMALL,
    m: Annotated[
        list[int] | None, typer.Option(min=1, help="Teacher's rationales per question; may be repeated.")
    ] = None,
    k: Annotated[int, typer.Option(min=0, help="Self-play's rationales per question.")] = 1,
    batch: Annotated[int, typer.Option(min=1, help="Questions per step.")] = 32,
    scheme: Annotated[str, typer.Option(help="minmax, maxmin, sampling, mean or wmean.")] = "minmax",
    delta: Annotated[
        float,
        typer.Option(
            min=0,
            help="Margin, nats per token. 100 lets every chosen negative push, as in a student that has "
            "learnt something; within the paper's 4 a random one has none.",
        ),
    ] = 100.0,
    discriminator: Annotated[
        bool, typer.Option("--discriminator", help="Weigh by a discriminator of the student's size.")
    ] = False,
    dropout: Annotated[float, typer.Option(min=0, max=0.9, help="Of the student.")] = 0.0,
    bf16: Bf16 = False,
    device: Device = None,
    rounds: Rounds = 3,
    as_json: Json = False,
) -> None:
    """A QCRD step, self-play and optimiser included, against the naive one and that of DSS's trainer.

    The student is random and its texts have the lengths of SVAMP. DSS's trainer runs transformers' modules
    twice over padded batches; naive QCRD does that for each rationale. Besides the times the matrix products
    are counted: what the arithmetic alone would allow. With several --m, --json has the ratios of the first,
    and those of all in `curve`.

    Examples:

      qcrd bench step

      qcrd bench step --size base --bf16

      qcrd bench step --m 1 --m 5 --m 10 --m 20 --batch 8
    """
    from qcrd.bench.step import bench_step, slope
    from qcrd.errors import ConfigError
    from qcrd.losses import SCHEMES

    if scheme not in SCHEMES:
        raise ConfigError(f"--scheme {scheme!r}; allowed: {', '.join(SCHEMES)}")
    found = [
        bench_step(
            size.value,
            number,
            k,
            batch,
            scheme,
            delta,
            discriminator,
            dropout,
            bf16,
            _device(device),
            rounds,
            _say,
        )
        for number in dict.fromkeys(m or [5])
    ]
    growth = slope(found) if len(found) > 1 else None
    if as_json:
        rest = {"curve": [each.plain() for each in found], "naive_slope_over_ours": growth}
        typer.echo(json.dumps(found[0].plain() | rest))
        return
    typer.echo("\n".join(each.text() for each in found))
    if growth is not None:
        typer.echo(f"one more teacher's rationale costs the naive step {growth:.1f} times what it costs ours")


@app.command()
def generate(
    size: SizeOption = Student.SMALL,
    questions: Annotated[int, typer.Option(min=1, help="Questions, a rationale for each.")] = 128,
    batch: Annotated[int, typer.Option(min=1, help="Sequences side by side, in both ways.")] = 32,
    temperature: Annotated[float, typer.Option(min=0.01, help="Of sampling.")] = 1.5,
    top_k: Annotated[int, typer.Option(min=0, help="Likeliest tokens to draw among; 0 is all.")] = 50,
    bf16: Bf16 = False,
    device: Device = None,
    rounds: Rounds = 3,
    as_json: Json = False,
) -> None:
    """Rationales per second that a student writes in self-play: our decoding against transformers'.

    Both sample from the same distribution, with the same model, lengths and batch size.

    Examples:

      qcrd bench generate

      qcrd bench generate --size base --batch 256 --questions 720 --bf16
    """
    from qcrd.bench.writing import bench_writing

    found = bench_writing(
        size.value, questions, batch, temperature, top_k or None, bf16, _device(device), rounds, _say
    )
    typer.echo(json.dumps(found.plain()) if as_json else found.text())


@app.command()
def negatives(
    tau: Annotated[
        list[float] | None, typer.Option(min=0, help="Temperature; may be repeated. 0 is greedy.")
    ] = None,
    top_k: Annotated[
        list[int] | None,
        typer.Option(min=0, help="Likeliest tokens to draw among; may be repeated. 0 is all."),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Of training before it writes.")] = 350,
    data: Annotated[
        Path | None,
        typer.Option(
            envvar="QCRD_DATA",
            help="Folder with dss/datasets.zip and tokenizer_t5/: SVAMP, PaLM's recorded rationales, T5's "
            "32,000 pieces. Without it generated word problems in their own words.",
        ),
    ] = None,
    questions: Annotated[int, typer.Option(min=1, help="To train on.")] = 720,
    answered: Annotated[int, typer.Option(min=1, help="Of these, to write a rationale for.")] = 128,
    batch: Annotated[int, typer.Option(min=1, help="Questions per step.")] = 32,
    delta: Annotated[float, typer.Option(min=0, help="Margin, nats per token (contrastive.delta).")] = 4.0,
    seed: Annotated[int, typer.Option(min=0, help="Of all chance.")] = 0,
    as_json: Json = False,
) -> None:
    """What self-play writes at each temperature, and whether any of it is within the margin.

    A small T5 from random weights learns from right rationales, and then writes as in self-play. l is the
    mean of its own nats per token; a negative is active, and pushes, where l is below --delta.

    Examples:

      qcrd bench negatives --data /data              SVAMP, some six minutes on one core

      qcrd bench negatives --tau 1.5 --top-k 10 --top-k 50 --top-k 0 --steps 200
    """
    from qcrd.bench.negatives import bench_negatives, generated, recorded
    from qcrd.config import SelfPlay

    taus, tops = tau or [0.0, 0.7, 1.0, 1.5, 2.0], top_k or [50, 0]
    settings = [
        SelfPlay(tau=t, top_k=k or None) for t in dict.fromkeys(taus) for k in (tops if t > 0 else tops[:1])
    ]
    given = recorded(data, questions) if data is not None else generated(questions)
    found = bench_negatives(given, settings, steps, batch, answered, delta, seed, _say)
    typer.echo(json.dumps(found.plain()) if as_json else found.text())


@app.command()
def discriminator(
    size: SizeOption = Student.BASE,
    m: Annotated[
        list[int] | None, typer.Option(min=1, help="Teacher's rationales per question; may be repeated.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Questions per step (discriminator.batch).")] = 32,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Of a chunk; without it discriminator.max_tokens' default.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Memory of a discriminator's step with SVAMP's lengths: in one graph, and in chunks by max_tokens.

    Counted is all that a forward pass keeps for the gradient, in fp32, without the weights. It follows from
    shapes alone, so a model can be measured that would not fit here.

    Example: qcrd bench discriminator --m 5 --m 20
    """
    from qcrd.bench.discriminator_memory import bench_discriminator
    from qcrd.config import Discriminator

    most = max_tokens or Discriminator().max_tokens
    found = [bench_discriminator(size.value, number, batch, most) for number in dict.fromkeys(m or [5, 20])]
    lines = (each.text() for each in found)
    typer.echo(json.dumps({"steps": [each.plain() for each in found]}) if as_json else "\n".join(lines))


@app.command()
def sampling(
    grid: Annotated[
        Path | None, typer.Argument(help="Whose teacher and task; without one the embedded preset's.")
    ] = None,
    questions: Annotated[int, typer.Option(min=1, help="Training questions.")] = 400,
    m: Annotated[int, typer.Option(min=1, help="Answers per question.")] = 5,
    rounds: Annotated[int, typer.Option(min=1, help="How often each way is timed.")] = 5,
    as_json: Json = False,
) -> None:
    """Our way from requests to stored samples against one call of vllm.LLM.generate on the same engine.

    Start-up is apart. Two engines side by side are measured as well where there is room.

    Examples:

      qcrd bench sampling

      qcrd bench sampling grids/table1.yaml --questions 2000 --rounds 3
    """
    from qcrd.cell.resolved import resolve
    from qcrd.config import Cell
    from qcrd.config.presets import EMBEDDED
    from qcrd.errors import ConfigError
    from qcrd.grid.bench.sampling import bench_sampling
    from qcrd.grid.plan.study import Study
    from qcrd.storage.home import Home

    home = Home.default()
    if grid is None:
        cell = resolve(Cell.model_validate(EMBEDDED))
    else:
        needs = [cell for _, cell in Study.open(grid, home).needs() if cell.settings.teacher.engine == "vllm"]
        if not needs:
            raise ConfigError(f"{grid}: none of its cells samples a teacher with vLLM; give a grid that does")
        cell = needs[0]
    found = bench_sampling(cell, home, m, questions, rounds, lambda line: typer.echo(line, err=True))
    typer.echo(json.dumps({"ratio": found.ratio, **asdict(found)}) if as_json else found.text())


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _device(name: str | None) -> str | None:
    import torch

    from qcrd.errors import ConfigError

    if name not in (None, "cpu", "cuda"):
        raise ConfigError(f"--device {name!r}; allowed: cpu, cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("--device cuda: torch sees no GPU here; leave it out, or use cpu")
    return name


@app.command()
def grid(
    cells: Annotated[int, typer.Option(min=2, help="Cells that train nothing.")] = 40,
    rounds: Annotated[int, typer.Option(min=1, help="How often each way is timed.")] = 3,
    as_json: Json = False,
) -> None:
    """What a grid costs beyond its cells' own work, what a second worker brings, and what MLflow takes.

    The peer is a hand-made Tune script: the same cells that train nothing, a process for each, no MLflow; the
    ratio is of cells per second. About two minutes a round, on Ray and MLflow of its own where RAY_ADDRESS
    is not set.

    Examples:

      qcrd bench grid

      qcrd bench grid --cells 20 --rounds 1 --json | tail -n 1 | jq .overhead_seconds
    """
    from qcrd.grid.bench.throughput import bench_grid

    found = bench_grid(cells, rounds, lambda line: typer.echo(line, err=True))
    typer.echo(json.dumps(found.summary()) if as_json else found.text())


@app.command()
def faults(
    grid: Annotated[Path, typer.Argument(help="A grid of ten minutes or more.")] = Path("grids/table1.yaml"),
    preset: Annotated[str, typer.Option(help="auto, embedded or paper.")] = "embedded",
    kills: Annotated[int, typer.Option(min=1, help="How often the driver is killed.")] = 5,
    seed: Annotated[int, typer.Option(help="Of the moments.")] = 0,
    as_json: Json = False,
) -> None:
    """What killing a grid's driver again and again costs, and whether it changes any result.

    The grid runs twice, in folders that are removed: left alone, and killed (SIGKILL) at random moments with
    the same command after each. Weights and predictions are compared byte for byte. Ends with 1 where one
    differs.

    Example: qcrd bench faults grids/table1.yaml --kills 5     half an hour on two cores
    """
    from qcrd.faults.kills import bench_kills

    found = bench_kills(grid, preset, kills, seed, _say)
    typer.echo(json.dumps({"ratio": found.ratio, **asdict(found)}) if as_json else found.text())
    raise typer.Exit(1 if found.different else 0)


@app.command()
def soak(
    cells: Annotated[int, typer.Option(min=6, help="Small ones of three methods; a multiple of six.")] = 300,
    minutes: Annotated[float, typer.Option(min=0.1, help="Of faults.")] = 20.0,
    every: Annotated[float, typer.Option(min=0.1, help="Mean seconds between two faults.")] = 4.0,
    again: Annotated[int, typer.Option(min=0, help="Cells trained once more undisturbed, to compare.")] = 12,
    seed: Annotated[int, typer.Option(help="Of what is hit, and when.")] = 0,
    as_json: Json = False,
) -> None:
    """Hundreds of small cells under a rain of faults: is everything there once, and nothing left behind?

    Workers, the driver, Ray and MLflow are killed, frozen and locked, files are torn, bits flipped, a second
    driver comes and goes. Afterwards the same command finishes the grid, journals and MLflow are compared
    figure by figure, some cells are trained again undisturbed and compared byte for byte, and processes,
    sockets, leases and temporary files are looked for. Ends with 1 where something does not hold.

    Examples:

      qcrd bench soak

      qcrd bench soak --cells 24 --minutes 3 --seed 7
    """
    from qcrd.faults.soak import soak as run

    found = run(cells, minutes, every, again, seed, _say)
    typer.echo(json.dumps(asdict(found)) if as_json else found.text())
    raise typer.Exit(1 if found.trouble else 0)
