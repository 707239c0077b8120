"""`qcrd bench`: benchmarks of this implementation against baselines, reported as ratios."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Benchmark this implementation against baselines.")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object in the last line.")]


class Student(StrEnum):
    """Students that steps and generation are measured with."""

    T5_TINY = "t5-tiny"
    T5_SMALL = "t5-small"
    T5_BASE = "t5-base"
    LLAMA_TINY = "llama-tiny"
    SMOLLM2 = "smollm2"
    QWEN = "qwen-0.5b"


class Targets(StrEnum):
    """What a student learns to write."""

    MULTITASK = "multitask"
    SEQUENCE = "sequence"


class Size(StrEnum):
    """Sizes of T5."""

    TINY = "tiny"
    SMALL = "small"
    BASE = "base"


StudentOption = Annotated[
    Student,
    typer.Option(
        help="t5-tiny: the embedded preset's; t5-small (60M); t5-base (220M). Decoder-only: llama-tiny (4M); "
        "smollm2: the packaged checkpoint smollm2-135m; qwen-0.5b: random weights in Qwen2-0.5B's shape, for "
        "a GPU."
    ),
]
Rounds = Annotated[int, typer.Option(min=1, help="Number of timings per implementation.")]
Bf16 = Annotated[bool, typer.Option("--bf16", help="Use autocast to bf16.")]
Device = Annotated[str | None, typer.Option(help="cpu or cuda. [default: cuda if available]")]


@app.callback()
def bench() -> None:
    """Benchmark this implementation against baselines: interleaved runs, medians, reported as ratios."""


@app.command()
def step(
    student: StudentOption = Student.T5_SMALL,
    m: Annotated[
        list[int] | None, typer.Option(min=1, help="Teacher's rationales per question; repeatable.")
    ] = None,
    k: Annotated[int, typer.Option(min=0, help="Self-play rationales per question.")] = 1,
    batch: Annotated[int, typer.Option(min=1, help="Questions per step.")] = 32,
    scheme: Annotated[str, typer.Option(help="minmax, maxmin, sampling, mean or wmean.")] = "minmax",
    delta: Annotated[
        float,
        typer.Option(
            min=0,
            help="Margin, nats per token. With 100, every selected negative is active, as in a trained "
            "student; with the paper's 4, a randomly initialised student has no active negatives.",
        ),
    ] = 100.0,
    discriminator: Annotated[
        bool, typer.Option("--discriminator", help="Weight by a discriminator of the student's size.")
    ] = False,
    dropout: Annotated[float, typer.Option(min=0, max=0.9, help="Of the student.")] = 0.0,
    bf16: Bf16 = False,
    device: Device = None,
    rounds: Rounds = 3,
    targets: Annotated[
        Targets,
        typer.Option(help="What a decoder-only student learns to write (student.targets)."),
    ] = Targets.MULTITASK,
    trl_python: Annotated[
        Path | None,
        typer.Option(
            help="Python of an environment with trl, such as VENV/bin/python: also compares a decoder-only "
            "student with TRL's SFTTrainer on the same data."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Time a QCRD step, including self-play and optimiser, against a naive one, DSS's trainer and TRL.

    The texts are random, with SVAMP's lengths. DSS's trainer runs transformers' modules twice over padded
    batches; naive QCRD does so for each rationale. TRL's SFTTrainer runs in a process of its own, takes turns
    with the others and trains on the same tokens with the same weights, optimiser and threads, padded and
    padding-free; ratios are over the faster one. FLOPs of the matrix products are also reported, as the
    speed-up that the arithmetic alone would allow. With several --m, the top level of --json has the ratios
    of the first; `curve` has those of all. On a GPU also peak memory, and with --bf16 the share of the GPU's
    peak (A100, H100, H200, L4). Needs neither Ray nor MLflow nor vLLM.

    Examples:

      qcrd bench step

      qcrd bench step --student t5-base --bf16

      qcrd bench step --m 1 --m 5 --m 10 --m 20 --batch 8

      qcrd bench step --student llama-tiny --batch 4

      qcrd bench step --student qwen-0.5b --bf16 --targets sequence       on a GPU

      python -m venv trl && trl/bin/pip install trl

      qcrd bench step --student smollm2 --batch 4 --trl-python trl/bin/python
    """
    from qcrd.bench.step import bench_step, slope
    from qcrd.errors import ConfigError
    from qcrd.losses import SCHEMES

    if scheme not in SCHEMES:
        raise ConfigError(f"--scheme {scheme!r}; allowed: {', '.join(SCHEMES)}")
    options = (k, batch, scheme, delta, discriminator, dropout, bf16, _device(device), rounds, _say)
    results = [
        bench_step(student.value, number, *options, targets.value, trl_python)
        for number in dict.fromkeys(m or [5])
    ]
    growth = slope(results) if len(results) > 1 else None
    if as_json:
        rest = {"curve": [each.summary() for each in results], "naive_slope_over_ours": growth}
        typer.echo(json.dumps(results[0].summary() | rest))
        return
    typer.echo("\n".join(each.text() for each in results))
    if growth is not None:
        typer.echo(f"one more teacher's rationale costs the naive step {growth:.1f} times what it costs ours")


@app.command()
def generate(
    student: StudentOption = Student.T5_SMALL,
    questions: Annotated[int, typer.Option(min=1, help="Questions, with one rationale each.")] = 128,
    batch: Annotated[int, typer.Option(min=1, help="Batch size of both implementations.")] = 32,
    temperature: Annotated[float, typer.Option(min=0.01, help="Sampling temperature.")] = 1.5,
    top_k: Annotated[int, typer.Option(min=0, help="Top-k of sampling; 0 is off.")] = 50,
    bf16: Bf16 = False,
    device: Device = None,
    rounds: Rounds = 3,
    as_json: Json = False,
) -> None:
    """Measure rationales per second in self-play: our decoding against transformers'.

    Both sample from the same distribution, with the same model, lengths and batch size.

    Examples:

      qcrd bench generate

      qcrd bench generate --student t5-base --batch 256 --questions 720 --bf16

      qcrd bench generate --student llama-tiny
    """
    from qcrd.bench.generation import bench_generation

    result = bench_generation(
        student.value, questions, batch, temperature, top_k or None, bf16, _device(device), rounds, _say
    )
    typer.echo(json.dumps(result.summary()) if as_json else result.text())


@app.command()
def negatives(
    tau: Annotated[
        list[float] | None, typer.Option(min=0, help="Sampling temperature; repeatable. 0 is greedy.")
    ] = None,
    top_k: Annotated[
        list[int] | None,
        typer.Option(min=0, help="Top-k of sampling; repeatable. 0 is off."),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Training steps before self-play.")] = 350,
    data: Annotated[
        Path | None,
        typer.Option(
            envvar="QCRD_DATA",
            help="Folder with dss/datasets.zip and tokenizer_t5/: SVAMP, PaLM's recorded rationales and T5's "
            "vocabulary of 32,000 tokens. Without it, generated word problems with a word-level vocabulary.",
        ),
    ] = None,
    questions: Annotated[int, typer.Option(min=1, help="Training questions.")] = 720,
    answered: Annotated[int, typer.Option(min=1, help="Number of them used in self-play.")] = 128,
    batch: Annotated[int, typer.Option(min=1, help="Questions per step.")] = 32,
    delta: Annotated[float, typer.Option(min=0, help="Margin, nats per token (contrastive.delta).")] = 4.0,
    seed: Annotated[int, typer.Option(min=0, help="Random seed.")] = 0,
    as_json: Json = False,
) -> None:
    """Measure which self-play rationales are active negatives, by temperature.

    Trains a small, randomly initialised T5 on correct rationales and then runs self-play. l is the
    mean negative log-likelihood per token (nats) of a rationale under the student; a negative is active if l
    is below --delta.

    Examples:

      qcrd bench negatives --data /data              SVAMP, about six minutes on one core

      qcrd bench negatives --tau 1.5 --top-k 10 --top-k 50 --top-k 0 --steps 200
    """
    from qcrd.bench.negatives import bench_negatives, generated, recorded
    from qcrd.config import SelfPlay

    taus, tops = tau or [0.0, 0.7, 1.0, 1.5, 2.0], top_k or [50, 0]
    settings = [
        SelfPlay(tau=t, top_k=k or None) for t in dict.fromkeys(taus) for k in (tops if t > 0 else tops[:1])
    ]
    material = recorded(data, questions) if data is not None else generated(questions)
    result = bench_negatives(material, settings, steps, batch, answered, delta, seed, _say)
    typer.echo(json.dumps(result.summary()) if as_json else result.text())


@app.command()
def discriminator(
    size: Annotated[
        Size, typer.Option(help="tiny: the embedded preset's; small: T5-small (60M); base: T5-base (220M).")
    ] = Size.BASE,
    m: Annotated[
        list[int] | None, typer.Option(min=1, help="Teacher's rationales per question; repeatable.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Questions per step (discriminator.batch).")] = 32,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Tokens per chunk. [default: that of discriminator.max_tokens]")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compute the activation memory of a discriminator step: in one graph, and in chunks of max_tokens.

    Counts the tensors that a forward pass saves for the gradient, in fp32, without the weights, for texts
    with SVAMP's lengths. Computed from shapes alone, so that the model need not fit into memory.

    Example: qcrd bench discriminator --m 5 --m 20
    """
    from qcrd.bench.discriminator_memory import bench_discriminator
    from qcrd.config import Discriminator

    limit = max_tokens or Discriminator().max_tokens
    results = [
        bench_discriminator(size.value, number, batch, limit) for number in dict.fromkeys(m or [5, 20])
    ]
    lines = (each.text() for each in results)
    typer.echo(json.dumps({"steps": [each.summary() for each in results]}) if as_json else "\n".join(lines))


@app.command()
def sampling(
    grid: Annotated[
        Path | None, typer.Argument(help="Grid with teacher and task. [default: the embedded preset's]")
    ] = None,
    questions: Annotated[int, typer.Option(min=1, help="Training questions.")] = 400,
    m: Annotated[int, typer.Option(min=1, help="Answers per question.")] = 5,
    rounds: Annotated[int, typer.Option(min=1, help="Number of timings per implementation.")] = 5,
    as_json: Json = False,
) -> None:
    """Time sampling, from requests to stored samples, against vllm.LLM.generate on the same engine.

    Start-up time is reported separately. Two parallel engines are also timed if they fit.

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
        needs = [
            cell
            for _, cell in Study.open(grid, home).sample_needs()
            if cell.settings.teacher.engine == "vllm"
        ]
        if not needs:
            raise ConfigError(f"{grid}: none of its cells samples a teacher with vLLM; give a grid that does")
        cell = needs[0]
    result = bench_sampling(cell, home, m, questions, rounds, lambda line: typer.echo(line, err=True))
    typer.echo(json.dumps({"ratio": result.ratio, **asdict(result)}) if as_json else result.text())


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
    cells: Annotated[int, typer.Option(min=2, help="Number of cells; they train nothing.")] = 40,
    rounds: Annotated[int, typer.Option(min=1, help="Number of timings per implementation.")] = 3,
    as_json: Json = False,
) -> None:
    """Measure a grid's overhead per cell, the speed-up from a second worker, and the cost of MLflow.

    The baseline is a plain Ray Tune script that runs the same empty cells, one process each, without MLflow;
    the ratio compares cells per second. Takes about two minutes per round. Without RAY_ADDRESS it starts its
    own Ray and MLflow.

    Examples:

      qcrd bench grid

      qcrd bench grid --cells 20 --rounds 1 --json | tail -n 1 | jq .overhead_seconds
    """
    from qcrd.grid.bench.throughput import bench_grid

    result = bench_grid(cells, rounds, lambda line: typer.echo(line, err=True))
    typer.echo(json.dumps(result.summary()) if as_json else result.text())


@app.command()
def faults(
    grid: Annotated[Path, typer.Argument(help="A grid of ten minutes or more.")] = Path("grids/table1.yaml"),
    preset: Annotated[str, typer.Option(help="auto, embedded or paper.")] = "embedded",
    kills: Annotated[int, typer.Option(min=1, help="Number of times that the driver is killed.")] = 5,
    seed: Annotated[int, typer.Option(help="Random seed of the moments.")] = 0,
    as_json: Json = False,
) -> None:
    """Measure the time lost when a grid's driver is killed repeatedly, and check that results do not change.

    Runs the grid twice, in temporary folders: undisturbed, and with the driver killed (SIGKILL) at random
    moments and restarted with the same command. Compares weights and predictions byte for byte. Exits with 1
    if any differ.

    Example: qcrd bench faults grids/table1.yaml --kills 5     half an hour on two cores
    """
    from qcrd.faults.kills import bench_kills

    result = bench_kills(grid, preset, kills, seed, _say)
    typer.echo(json.dumps({"ratio": result.ratio, **asdict(result)}) if as_json else result.text())
    raise typer.Exit(1 if result.different else 0)


@app.command()
def soak(
    cells: Annotated[int, typer.Option(min=6, help="Number of small cells; a multiple of six.")] = 300,
    minutes: Annotated[float, typer.Option(min=0.1, help="Duration of the fault injection.")] = 20.0,
    every: Annotated[float, typer.Option(min=0.1, help="Mean seconds between two faults.")] = 4.0,
    again: Annotated[int, typer.Option(min=0, help="Cells to retrain without faults, to compare.")] = 12,
    seed: Annotated[int, typer.Option(help="Random seed of the faults and their times.")] = 0,
    as_json: Json = False,
) -> None:
    """Soak test: run hundreds of small cells under injected faults, and check results and leftovers.

    Kills, freezes or locks workers, the driver, Ray and MLflow, truncates files, flips bits, and starts a
    second driver for a while. Afterwards the same command finishes the grid. Then journals and MLflow are
    compared value by value, some cells are retrained without faults and compared byte for byte, and leftover
    processes, sockets, leases and temporary files are reported. Exits with 1 if a check fails.

    Examples:

      qcrd bench soak

      qcrd bench soak --cells 24 --minutes 3 --seed 7
    """
    from qcrd.faults.soak import soak as run

    result = run(cells, minutes, every, again, seed, _say)
    typer.echo(json.dumps(asdict(result)) if as_json else result.text())
    raise typer.Exit(1 if result.trouble else 0)
