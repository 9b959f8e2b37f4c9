"""A measured script does what it does unmeasured: output, exit code, traceback, children, end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import textwrap
import time
from pathlib import Path

import pytest
from child_run import command, plainly, run, write

SPIN = """
import time
def spin(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        sum(range(100))
"""


def test_it_ends(tmp_path):
    done = run(tmp_path, SPIN + "spin(0.1)\nprint('done')")
    assert (done.code, done.out, done.err) == (0, "done\n", "")
    assert (done.raw.end.kind, done.raw.end.code) == ("end", 0)


def test_arguments_and_names_are_what_python_gives(tmp_path):
    text = """
        import sys, os
        print(sys.argv, __name__, __file__, sys.path[0], __spec__, __package__)
        print(sorted(globals()))
        import helper
        print(helper.VALUE)
    """
    write(tmp_path, "VALUE = 7", "helper.py")
    done = run(tmp_path, text, "--episodes", "5", "a b")
    assert done.out == plainly(tmp_path / "script.py", "--episodes", "5", "a b").stdout
    assert "'a b'" in done.out
    assert done.raw.argv == ["--episodes", "5", "a b"]
    assert done.raw.script == str(tmp_path / "script.py")


@pytest.mark.parametrize("name", ["memory", "lines", "calls", "run", "samples", "profile", "kinds"])
def test_a_users_module_is_theirs_whatever_it_is_called(tmp_path, name):
    write(tmp_path, "VALUE = 7", f"{name}.py")
    done = run(tmp_path, f"import {name}\nprint({name}.VALUE)")
    assert (done.out, done.err) == ("7\n", "")


@pytest.mark.parametrize(
    ("call", "code", "err"),
    [("sys.exit(3)", 3, ""), ("sys.exit()", 0, ""), ("sys.exit('no such map')", 1, "no such map\n"),
     ("raise SystemExit(4)", 4, ""), ("exit(5)", 5, "")],
)  # fmt: skip
def test_exit_codes_are_passed_on(tmp_path, call, code, err):
    done = run(tmp_path, f"import sys\n{call}")
    assert (done.code, done.err) == (code, err)
    assert (done.raw.end.kind, done.raw.end.code) == ("exit", code)


@pytest.mark.parametrize(
    "text",
    ["def learn(q):\n    return q['a']\nlearn({})",
     "try:\n    1 / 0\nexcept ZeroDivisionError:\n    raise ValueError('no') from None",
     "try:\n    1 / 0\nexcept ZeroDivisionError:\n    int('x')",
     "import sys\nsys.excepthook = lambda *_: print('mine', file=sys.stderr)\n1 / 0",
     "def f(:\n    pass", "def f():\n    f()\nf()"],
    ids=["KeyError", "from None", "chained", "own hook", "SyntaxError", "recursion"],
)  # fmt: skip
def test_a_traceback_is_the_users(tmp_path, text):
    done = run(tmp_path, text)
    unmeasured = plainly(tmp_path / "script.py")
    assert (done.code, unmeasured.returncode) == (1, 1)
    if "recursion" in unmeasured.stderr:  # how often the last line is repeated is not the point
        assert done.err.splitlines()[-1] == unmeasured.stderr.splitlines()[-1]
        assert "qlearn" not in done.err.replace(str(tmp_path), "")
    else:
        assert done.err == unmeasured.stderr
    assert (done.raw.end.kind, done.raw.end.code) == ("error", 1)
    if "hook" not in text:
        assert done.raw.end.traceback.splitlines()[-1] == done.err.splitlines()[-1]


def test_os_exit_leaves_what_was_measured(tmp_path):
    done = run(tmp_path, SPIN + "spin(1.6)\nimport os\nos._exit(9)")
    assert done.code == 9
    assert done.raw.end.kind == "killed"
    assert 0.9 < done.raw.wall_seconds < 1.7
    assert any(frame.function == "spin" for frame in done.raw.frames)


def test_a_kill_at_once_leaves_a_file(tmp_path):
    done = run(tmp_path, "import os\nos.kill(os.getpid(), 9)")
    assert done.code == -9
    assert done.raw.end.kind == "killed"


MULTIPROCESSING = (
    SPIN
    + """
import multiprocessing, os, sys
def square(x):
    spin(0.05)
    return x * x
def child(queue):
    queue.put(os.getpid())
    sys.exit(6)
if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    with context.Pool(2) as pool:
        print(pool.map(square, range(6)))
    queue = context.Queue()
    process = context.Process(target=child, args=(queue,))
    process.start()
    print(queue.get() != os.getpid())
    process.join()
    print(process.exitcode)
    spin(0.2)
"""
)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_the_users_are_left_alone(tmp_path, method):
    done = run(tmp_path, MULTIPROCESSING, method)
    assert (done.code, done.err) == (0, "")
    assert done.out == "[0, 1, 4, 9, 16, 25]\nTrue\n6\n"
    assert done.raw.end.kind == "end"
    assert not any(frame.function == "square" for frame in done.raw.frames)


def test_programs_that_are_started_know_nothing_of_it(tmp_path):
    text = """
        import subprocess, sys
        spin(0.1)
        asked = "import signal, time; time.sleep(0.2); print(signal.getsignal(signal.SIGURG).name)"
        done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True)
        print(done.stdout, done.stderr, done.returncode)
    """
    done = run(tmp_path, SPIN + textwrap.dedent(text))
    assert (done.out, done.err) == ("SIG_DFL\n  0\n", "")


def test_classes_of_the_script_can_be_pickled(tmp_path):
    text = """
        import os, pickle
        class Agent:
            pass
        if __name__ == "__main__":
            os.mkdir("kept")
            os.chdir("kept")
            again = pickle.loads(pickle.dumps(Agent()))
            import __main__
            print(type(again) is Agent is __main__.Agent)
    """
    script = write(tmp_path, text)
    line = command(tmp_path, script.name)
    done = subprocess.run(
        line, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("True\n", "")
    assert json.loads((tmp_path / "measured/raw.json").read_text())["end"]["kind"] == "end"


def test_a_script_that_is_ended_by_a_signal_is(tmp_path):
    done = run(tmp_path, SPIN + "import os\nspin(0.1)\nos.kill(os.getpid(), 15)")
    assert (done.code, done.raw.end.kind) == (-15, "killed")


def test_a_forked_child_may_end_by_itself(tmp_path):
    text = """
        import os, sys
        spin(0.1)
        if os.fork() == 0:
            spin(0.3)
            sys.exit(7)
        print(os.waitstatus_to_exitcode(os.wait()[1]))
        spin(0.2)
    """
    done = run(tmp_path, SPIN + textwrap.dedent(text))
    assert (done.code, done.out) == (0, "7\n")
    assert (done.raw.end.kind, done.raw.end.code) == ("end", 0)


PLOT = """
import matplotlib, sys
if sys.argv[1] == "asks":
    matplotlib.use("TkAgg")
import matplotlib.pyplot as plt
plt.ion()
plt.plot([1, 2, 3])
plt.pause(60)
plt.show(block=True)
plt.savefig(sys.argv[2])
print(matplotlib.get_backend().lower(), len(plt.gcf().axes))
"""


@pytest.mark.parametrize("how", ["asks", "leaves it"])
def test_plots_do_not_wait(tmp_path, how):
    pytest.importorskip("matplotlib")
    done = run(tmp_path, PLOT, how, str(tmp_path / "plot.png"), headless=True)
    assert (done.code, done.out) == (0, "agg 1\n"), done.err
    assert (tmp_path / "plot.png").stat().st_size > 1000
    assert done.raw.wall_seconds < 60


def test_pygame_does_not_wait(tmp_path):
    pytest.importorskip("pygame")
    text = """
        import pygame
        pygame.init()
        screen = pygame.display.set_mode((100, 100))
        pygame.event.clear()
        print("event", pygame.event.wait().type >= 0, pygame.display.get_driver())
    """
    done = run(tmp_path, text, headless=True)
    assert done.code == 0, done.err
    assert done.out.endswith("event True dummy\n")


def interrupted(tmp_path, text, **options):
    """Ctrl-C once the script says that it is ready."""
    line = command(tmp_path, write(tmp_path, text), **options)
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err, json.loads((tmp_path / "measured/raw.json").read_text())


def test_ctrl_c_keeps_what_was_measured(tmp_path):
    text = SPIN + "spin(0.3)\nprint('ready', flush=True)\nspin(60)\nprint('never')"
    code, out, err, raw = interrupted(tmp_path, text)
    assert (code, out, err) == (130, "", "")
    assert raw["end"]["kind"] == "stopped"
    assert raw["samples"]
    assert 0.3 < raw["wall_seconds"] < 60


def test_a_script_that_handles_ctrl_c_does(tmp_path):
    text = SPIN + (
        "try:\n    print('ready', flush=True)\n    spin(60)\nexcept KeyboardInterrupt:\n    print('saved')\n"
    )
    code, out, _, raw = interrupted(tmp_path, text)
    assert (code, out, raw["end"]["kind"]) == (0, "saved\n", "end")


@pytest.mark.parametrize(
    "rest",
    ["spin(60)", "time.sleep(60)", "import threading\nlock = threading.Lock()\nlock.acquire()\nlock.acquire(timeout=60)",
     "while True:\n    try:\n        spin(60)\n    except Exception:\n        pass"],
    ids=["computes", "sleeps", "waits", "ignores errors"],
)  # fmt: skip
def test_seconds_stop_it(tmp_path, rest):
    done = run(tmp_path, SPIN + rest + "\nprint('never')", seconds=0.5)
    assert (done.code, done.out, done.err) == (0, "", "")
    assert (done.raw.end.kind, done.raw.end.code) == ("stopped", 0)
    assert 0.5 <= done.raw.wall_seconds < 5
    assert sum(s.seconds for s in done.raw.samples if s.thread == "main") == pytest.approx(
        done.raw.wall_seconds, rel=0.05
    )


def test_a_script_that_saves_when_stopped_does(tmp_path):
    text = SPIN + "import atexit\natexit.register(print, 'bye')\n"
    text += "try:\n    spin(60)\nfinally:\n    print('saved')\n"
    done = run(tmp_path, text, seconds=0.3)
    assert (done.code, done.out) == (0, "saved\nbye\n")
    assert done.raw.end.kind == "stopped"


def test_a_script_whose_threads_never_end_is_stopped(tmp_path):
    text = """
        import threading, time
        threading.Thread(target=time.sleep, args=(60,)).start()
    """
    begun = time.perf_counter()
    done = run(tmp_path, text, seconds=0.5)
    assert (done.code, done.raw.end.kind) == (0, "stopped")
    assert time.perf_counter() - begun < 60


def test_threads_and_what_is_registered_for_the_end_still_run(tmp_path):
    text = (
        SPIN
        + """
import atexit, threading
atexit.register(print, "bye")
threading.Thread(target=lambda: (spin(0.4), print("thread"))).start()
"""
    )
    done = run(tmp_path, text)
    assert done.out == "thread\nbye\n"
    assert done.raw.wall_seconds >= 0.4


def test_a_line_profilers_decorator_does_nothing(tmp_path):
    text = """
        @profile
        def learn(x):
            return x + 1
        print(learn(1), learn.__name__)
    """
    done = run(tmp_path, text)
    assert (done.code, done.out) == (0, "2 learn\n")
    guarded = "if 'profile' not in dir(__builtins__):\n    def profile(f):\n        return f\n"
    done = run(tmp_path, guarded + "@profile\ndef f():\n    return 1\nprint(f())")
    assert (done.code, done.out) == (0, "1\n")


def test_alarms_and_profilers_of_the_users_work(tmp_path):
    text = (
        SPIN
        + """
import cProfile, signal, sys
rang = []
signal.signal(signal.SIGALRM, lambda *_: rang.append(1))
signal.setitimer(signal.ITIMER_REAL, 0.1)
profiler = cProfile.Profile()
profiler.enable()
spin(1.2)
profiler.disable()
print(len(rang), [entry.callcount for entry in profiler.getstats() if "spin" in str(entry.code)])
"""
    )
    done = run(tmp_path, text)
    assert (done.out, done.err) == ("1 [1]\n", "")


def test_a_script_reads_its_input(tmp_path):
    script = write(tmp_path, "print(input() + '!')")
    line = command(tmp_path, script)
    done = subprocess.run(
        line, input="left\n", capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "left!\n"


def test_it_runs_where_it_was_called(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    done = run(tmp_path, "import os\nprint(os.getcwd())", cwd=tmp_path / "elsewhere")
    assert done.out == f"{tmp_path / 'elsewhere'}\n"


def test_nothing_of_ours_is_loaded(tmp_path):
    """Nor anything heavy: what a script imports is what it would have."""
    text = "import sys\nprint([m for m in ('qlearn', 'numpy', 'pstats', 'rich', 'dis') if m in sys.modules])"
    assert run(tmp_path, text).out == "[]\n"


def test_a_torch_trace(tmp_path):
    pytest.importorskip("torch")
    text = """
        import time, torch
        net = torch.nn.Linear(4, 2)
        def learn():
            net(torch.zeros(8, 4)).sum().backward()
        end = time.perf_counter() + 2.0
        while time.perf_counter() < end:  # the trace begins here, which may take longer
            learn()
        for _ in range(500):
            learn()
    """
    done = run(tmp_path, text, torch=True)
    assert (done.code, done.err) == (0, "")
    raw = done.raw
    names = {row["name"] for row in raw.operators or ()}
    assert {"aten::addmm", "aten::sum"} <= names
    trace = json.loads(Path(raw.artifacts["torch_trace"]).read_text())
    assert any(event.get("name") == "aten::addmm" for event in trace["traceEvents"])
    assert raw.modules["torch"].startswith("2")
    assert raw.torch_threads


def test_memory_by_line(tmp_path):
    text = """
        import time
        kept = []
        end = time.perf_counter() + 2.5
        while time.perf_counter() < end:
            kept.append(bytes(100_000))
            time.sleep(0.005)
    """
    done = run(tmp_path, text, memory=True)
    rows = done.raw.allocations
    assert rows
    first = rows[0]
    assert (first["file"], first["line"]) == (str(tmp_path / "script.py"), 6)
    assert first["growth_mb"] > 1
    assert [at for at, _ in first["history"]] == sorted(at for at, _ in first["history"])


def test_memory_over_time(tmp_path):
    done = run(tmp_path, SPIN + "spin(0.6)\nbig = bytearray(80_000_000)\nspin(0.6)")
    points = done.raw.memory
    assert len(points) >= 3
    assert points[-1][1] - points[0][1] > 60
    assert done.raw.peak_memory_mb >= max(mb for _, mb in points)


def test_a_missing_script_says_so(tmp_path):
    line = command(tmp_path, tmp_path / "none.py")
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "FileNotFoundError" in done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_what_a_child_prints_is_printed_once(tmp_path):
    text = """
        import os
        if os.fork() == 0:
            print("child", flush=True)
            os._exit(0)
        os.wait()
        print("parent")
    """
    assert run(tmp_path, text).out == "child\nparent\n"
