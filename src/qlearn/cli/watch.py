"""See an environment played: a run's greedy policy, a random player, or you.

`qlearn watch snake --terminal` lets you play with the arrow keys (q ends it); where there is no
keyboard, or with --player random, chance plays. `qlearn watch RUN` plays what the run learned.

  qlearn watch RUN --gif game.gif     a game as a film; --mp4 game.mp4: finer, and smaller
  qlearn watch RUN --browser          the run's page, where games are played, paused, wound back
  qlearn watch RUN --board            what a table learned: values and arrows, in the terminal
  qlearn watch RUN --png board.png    the same as a picture
  qlearn watch RUN --curve curve.png  what the run earned while it trained
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qlearn.cli import options
from qlearn.cli.console import Console
from qlearn.cli.keyboard import Keyboard
from qlearn.errors import UserError

CLEAR = "\x1b[H\x1b[2J"
TERMINAL_FPS = 10.0
MOST_STEPS = 10_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="RUN|ENV")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--terminal", action="store_true", help="play in the terminal (default)")
    how.add_argument("--gif", metavar="FILE", help="the game as a film")
    how.add_argument("--mp4", metavar="FILE", help="the same, finer, as H.264")
    how.add_argument("--browser", action="store_true", help="on the run's page; Ctrl-C ends it")
    how.add_argument("--board", action="store_true", help="a table's values and arrows, as text")
    how.add_argument("--png", metavar="FILE", help="a table's values and arrows, as a picture")
    how.add_argument("--curve", metavar="FILE", help="the learning curve, as a picture")
    parser.add_argument("--player", choices=("auto", "random", "keyboard"), default="auto")
    parser.add_argument("--best", action="store_true", help="the best evaluation's, not the last")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--best-game", action="store_true", help="the best of the seed's 20 games")
    which.add_argument("--worst-game", action="store_true", help="the worst of them")
    parser.add_argument("--seed", type=options.seed, default=0)
    parser.add_argument(
        "--fps", type=options.positive, help="pictures a second (default: as the game is played)"
    )
    parser.add_argument("--dark", action="store_true", help="light on dark, of films")
    parser.add_argument("--max-steps", type=options.whole(1), default=MOST_STEPS)
    options.add_settings(parser, "environment options, env.KEY=VALUE")


def run(arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    if arguments.board or arguments.png is not None or arguments.curve is not None:
        return _still(arguments, console)
    if arguments.gif is not None or arguments.mp4 is not None:
        return _film(arguments, console)
    if arguments.browser:
        return _browser(arguments, console)
    from qlearn.envs.plain import PlainGame

    environment, learner = _target(arguments)
    if not environment.compiled:
        raise UserError(
            f"{environment.name} cannot be drawn in a terminal; built-ins, maps can; --gif FILE"
            " makes a film of it"
        )
    game = PlainGame(environment, arguments.seed, autoreset=False)
    screen = Screen(console, arguments.fps or TERMINAL_FPS)
    player = _player(arguments, None if learner is None else learner.policy(), environment)
    if learner is not None and isinstance(player, PolicyPlayer):
        from qlearn import rng

        game.copy.rng = rng.stream(arguments.seed, _index(arguments, learner), rng.EVALUATION)
    with player:
        frames, score = _play(game, player, screen, arguments.max_steps)
    return {"file": None, "frames": frames, "return": score}


def _index(arguments: argparse.Namespace, learner: Any) -> int:
    """Which of the seed's games is shown."""
    choose = _choice(arguments)
    if choose is None:
        return 0
    from qlearn.watching.clip import chosen_game

    return chosen_game(learner, arguments.seed, arguments.max_steps, choose)


def _choice(arguments: argparse.Namespace) -> str | None:
    return "best" if arguments.best_game else "worst" if arguments.worst_game else None


def _film(arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    """One greedy game as a file."""
    from qlearn.cli.pictures import path_for
    from qlearn.watching import films
    from qlearn.watching.clip import play

    kind = "gif" if arguments.gif is not None else "mp4"
    path = path_for(getattr(arguments, kind), f"--{kind}", f".{kind}")
    films.insist(kind)
    _insist_on_run(arguments, "--gif and --mp4")
    found = _run_named(arguments)
    console.say("playing a game ...")
    clip = play(
        found, arguments.seed, arguments.best, arguments.max_steps, choose=_choice(arguments)
    )
    for note in films.notes(clip, kind, arguments.fps):
        console.say(note)
    frames = films.write_film(clip, path, arguments.fps, arguments.dark)
    return {"file": str(path), "frames": frames, "return": clip["return"]}


def _browser(arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    """The run's page, by a server in this process, until Ctrl-C."""
    _insist_on_run(arguments, "--browser")
    found = _run_named(arguments)
    from qlearn.dashboard.server import page_of, serve

    serve(
        found.path.parent,
        port=0,
        page=page_of(found.path.name),
        announce=lambda url: console.out(f"{url}  (Ctrl-C ends it)"),
    )
    return {"file": None, "frames": None, "return": None}


def _insist_on_run(arguments: argparse.Namespace, options_: str) -> None:
    if _is_environment(arguments.target):
        raise UserError(
            f"{options_} show what a run learned; qlearn train {arguments.target} makes one"
        )


def show(report: dict[str, Any], console: Console) -> None:
    said = [] if report["file"] is None else [report["file"]]
    if report["return"] is not None:
        said.append(f"{report['frames']} frames, score {report['return']:.6g}")
    if said:
        console.out(": ".join(said))


def _still(arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    """One picture of what a run learned; nothing is played."""
    from qlearn.cli import pictures

    _insist_on_run(arguments, "--board, --png and --curve")
    found = _run_named(arguments)
    file = None
    if arguments.board:
        pictures.print_board(found, arguments.best, console)
    elif arguments.png is not None:
        file = pictures.write_board(found, arguments.best, arguments.png)
    else:
        file = pictures.write_curve(found, arguments.curve)
    return {"file": file, "frames": 1, "return": None}


def _target(arguments: argparse.Namespace) -> tuple[Any, Any]:
    """An environment to play oneself, or a run's environment with its learner."""
    from qlearn.envs.registry import find

    if _is_environment(arguments.target):
        return find(arguments.target, options.environment_options(arguments.settings)), None
    learner = _run_named(arguments).learner(arguments.best)
    return learner.environment, learner


def _is_environment(target: str) -> bool:
    from qlearn.envs.registry import BUILTIN

    if (Path(target) / "run.json").is_file():
        return False
    return target in BUILTIN or ":" in target or target.endswith((".txt", ".py"))


def _run_named(arguments: argparse.Namespace) -> Any:
    from qlearn.envs.registry import BUILTIN
    from qlearn.runs.run import load

    if arguments.settings:
        raise UserError("a run is shown in the environment it learned; --set is for ENV")
    try:
        return load(arguments.target)
    except UserError as error:
        raise UserError(f"{error} (nor an environment: {', '.join(BUILTIN)})") from None


class Screen:
    """Pictures over one another where a person watches, one after the other elsewhere."""

    def __init__(self, console: Console, fps: float) -> None:
        self.out = sys.stderr if console.json else sys.stdout
        self.live = self.out.isatty()
        self.quiet = console.quiet
        self.seconds = 1.0 / fps

    def show(self, picture: str, caption: str) -> None:
        if not self.quiet:
            self.out.write(f"{CLEAR if self.live else ''}{picture}\n{caption}\n\n")
            self.out.flush()


class Player:
    """Chooses actions; None ends the game."""

    def __enter__(self) -> Player:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def action(self, game: Any, screen: Screen) -> int | None:
        raise NotImplementedError


class PolicyPlayer(Player):
    def __init__(self, policy: Callable[[Any], int]) -> None:
        self.policy = policy

    def action(self, game: Any, screen: Screen) -> int | None:
        if screen.live:
            time.sleep(screen.seconds)
        return self.policy(game.observation)


def random_policy(actions: int, seed: int) -> Callable[[Any], int]:
    from qlearn import rng

    stream = rng.stream(seed, 0, rng.PLAYER)
    return lambda _: rng.integers(stream, actions)


class KeyboardPlayer(Player):
    """Arrow keys or digits. Boards of states wait for a key; other games go on without."""

    def __init__(self, environment: Any) -> None:
        self.names = environment.action_names
        self.actions = environment.actions
        self.waits = environment.discrete
        self.last = 0
        self.keyboard = Keyboard()

    def __enter__(self) -> Player:
        self.keyboard.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.keyboard.__exit__()

    def action(self, game: Any, screen: Screen) -> int | None:
        while True:
            key = self.keyboard.key(screen.seconds)
            if key == "quit":
                return None
            chosen = self.meaning(key)
            if chosen is not None:
                # A turn is made once; a direction is kept until another key is pressed.
                self.last = 0 if "straight" in self.names else chosen
                return chosen
            if not self.waits:
                return self.last

    def meaning(self, key: str | None) -> int | None:
        if key is None:
            return None
        if key.isdigit():
            return int(key) if int(key) < self.actions else None
        if key == "up" and "straight" in self.names:
            key = "straight"
        return self.names.index(key) if key in self.names else None


def _player(arguments: argparse.Namespace, policy: Callable | None, environment: Any) -> Player:
    if policy is not None and arguments.player == "auto":
        return PolicyPlayer(policy)
    here = sys.stdin is not None and sys.stdin.isatty()
    if arguments.player == "keyboard" and not here:
        raise UserError("there is no keyboard here; --player random plays by itself")
    if arguments.player == "keyboard" or (arguments.player == "auto" and here):
        return KeyboardPlayer(environment)
    return PolicyPlayer(random_policy(environment.actions, arguments.seed))


def _play(game: Any, player: Player, screen: Screen, most_steps: int) -> tuple[int, float]:
    """One episode, drawn at every step; the number of pictures and the score."""
    game.reset()
    names = game.environment.action_names
    screen.show(game.draw(), "start")
    frames = 1
    for _ in range(most_steps):
        action = player.action(game, screen)
        if action is None:
            break
        reward, terminated, truncated = game.step(action)
        said = names[action] if names else f"action {action}"
        if terminated or truncated:
            how = "the end" if terminated else "time is up"
            screen.show(game.draw(), f"{said}: reward {reward:g}, {how}")
            return frames + 1, game.copy.last_score
        screen.show(game.draw(), f"{said}: reward {reward:g}")
        frames += 1
    return frames, game.copy.plain_return
