"""Pictures of runs, in the terminal and as PNG files."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from qlearn.cli.console import Console
from qlearn.errors import UserError

if TYPE_CHECKING:
    from qlearn.algorithms.table.board import Board
    from qlearn.runs.run import Run

USUAL_TERMINAL = (100, 24)  # where nobody says how wide it is


def print_board(run: Run, best: bool, console: Console) -> None:
    from qlearn.algorithms.table import board

    learned = _board_of(run, best)
    if console.json and console.quiet:
        return
    width = shutil.get_terminal_size(USUAL_TERMINAL).columns
    console.out(board.text(learned, width, board.encodable(sys.stdout.encoding)))


def write_board(run: Run, best: bool, name: str) -> str:
    from qlearn.algorithms.table import picture
    from qlearn.runs.curve import title_of

    path = path_for(name, "--png")
    return _write(path, picture.png(_board_of(run, best), title_of(run.folder.record)))


def write_curve(run: Run, name: str) -> str:
    from qlearn.runs import curve

    path = path_for(name, "--curve")
    return _write(path, curve.png(run.folder))


def _board_of(run: Run, best: bool) -> Board:
    from qlearn.algorithms.table.board import board_of
    from qlearn.envs.layout import WITH_BOARD, layout_of

    learned = f"{run.path.name} learned {run.folder.record.get('env_name')}"
    boards = f"--board and --png show tables of {', '.join(WITH_BOARD)}"
    if run.folder.record.get("algo") != "table":
        raise UserError(f"{learned} by {run.folder.record.get('algo')}; {boards}")
    learner = run.learner(best)
    if layout_of(learner.environment) is None:
        raise UserError(f"{learned}, which is no board; {boards}")
    return board_of(learner.environment, learner.values(), learner.config.initial)


KINDS = {".png": "a PNG picture", ".gif": "a GIF film", ".mp4": "an MP4 film"}


def path_for(name: str, option: str, suffix: str = ".png") -> Path:
    """Where the picture goes; refused before any work is done for it."""
    path = Path(name).expanduser().absolute()
    if path.suffix.lower() != suffix:
        raise UserError(
            f"{option} writes {KINDS[suffix]}: its name must end in {suffix}, not '{name}'"
        )
    if not path.parent.is_dir():
        raise UserError(f"{option}: there is no folder {path.parent}")
    if path.is_dir():
        raise UserError(f"{option}: {path} is a folder")
    return path


def _write(path: Path, data: bytes) -> str:
    from qlearn.runs.files import write_bytes

    write_bytes(path, data)
    return str(path)
