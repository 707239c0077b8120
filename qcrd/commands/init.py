"""`qcrd init`: writes a commented grid."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from qcrd.errors import ConfigError


def init(
    name: Annotated[str, typer.Argument(help="Name of the grid; the file is NAME.yaml, in this folder.")],
    task: Annotated[
        str | None, typer.Option(help="own, arithmetic, svamp, ... [default: own with --data]")
    ] = None,
    data: Annotated[
        str | None, typer.Option(metavar="FILE|FOLDER|ID", help="The data: a file, a folder or a Hub id.")
    ] = None,
    question: Annotated[
        list[str] | None, typer.Option(metavar="FIELD", help="Field of the question; repeatable.")
    ] = None,
    label: Annotated[str | None, typer.Option(metavar="FIELD", help="Field of the gold label.")] = None,
    choices: Annotated[str | None, typer.Option(metavar="FIELD", help="Field of the choices.")] = None,
    kind: Annotated[Literal["choice", "equation", "text"] | None, typer.Option(help="Kind of label.")] = None,
    teacher: Annotated[
        str | None,
        typer.Option(metavar="MODEL|URL|FILE", help="Model for vLLM, server's address, recorded answers."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="With a server's address: its name of the model.")] = None,
    student: Annotated[
        str | None, typer.Option(metavar="CHECKPOINT", help="Folder or Hub id of the student's weights.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps. [default: the preset's]")] = None,
) -> None:
    """Write a commented grid that compares three methods on your data, and check it. Asks nothing.

    Fields of your own data that are not named are found by their usual names. A file that is there already is
    left as it is.

    Examples:

      qcrd init quiz --data quiz.jsonl --teacher Qwen/Qwen2.5-7B-Instruct

      qcrd init quiz --data quiz.csv --label solution --teacher http://127.0.0.1:8000/v1 --model mine

      qcrd init maths --task gsm8k --student google-t5/t5-small --steps 2000

      qcrd init toy --task arithmetic
    """
    from qcrd.grid.plan import template
    from qcrd.grid.plan.file import read_grid
    from qcrd.grid.plan.gpus import gpu_count
    from qcrd.tasks import TASKS
    from qcrd.tasks.own.detect import detect

    template.check_name(name)
    task = task or ("own" if data else "arithmetic")
    if task not in TASKS:
        raise ConfigError(f"--task: value {task!r}; {TASKS.unknown(task)}")
    fields: dict[str, Any] = {"question": question, "label": label, "choices": choices, "kind": kind}
    given = {field: value for field, value in fields.items() if value}
    if given and task != "own":
        raise ConfigError(f"--{next(iter(given))} describes data of your own; leave it out, or --task own")
    if task == "own" and data is None:
        raise ConfigError("--data is needed with --task own: a file, a folder or a Hub id")
    path = Path(f"{name}.yaml")
    if path.exists():
        raise ConfigError(f"{path} is there already; choose another name, or remove it")
    own = detect(data, **given) if task == "own" and data else None
    wishes = template.Wishes(name, task, data, own, teacher, model, student, steps, gpus=gpu_count() > 0)
    text = template.text(wishes)
    file = open(path, "x", encoding="utf-8")  # noqa: SIM115 - a file of somebody else's must stay
    try:
        with file:
            file.write(text)
        path.chmod(0o755)  # `ray job submit NAME.yaml` executes it
        planned = next(iter(read_grid(path).expanded.values()))
        cells = len(planned)
        if data is not None:
            _ = planned[0].cell.splits  # whether the data is what the task reads
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    typer.echo(f"{path}: {cells} cells")
    if own is not None:
        known = own.model_dump(mode="json", exclude_defaults=True)
        typer.echo("read as: " + ", ".join(f"{key} {value}" for key, value in known.items()))
    if task != "arithmetic" and steps is None and not wishes.gpus:
        typer.echo("no GPU here: for a trial take a small --student and few --steps")
    typer.echo(f"next: qcrd doctor {path}; qcrd run {path}")
