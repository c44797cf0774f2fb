# SPDX-License-Identifier: BSD-3-Clause
"""Programs of a lab: start, stop, kill, and waiting for a condition instead of a time."""
import os
import signal
import subprocess
import time

from .net import in_ns, run
from .plan import LabError


def wait_until(lab, what, condition, deadline_s=20, alive=None, logs=()):
    """Polls condition() until it is true. Ends early when the program `alive` has died; shows the tail of its log."""
    end = time.monotonic() + deadline_s * lab.slow
    pause = 0.02
    while True:
        value = condition()
        if value:
            return value
        logs = logs or ((alive,) if alive else ())
        if alive and not pid_of(lab, alive):
            raise LabError(f'{what}: {alive} ended\n{log_tails(lab, logs)}')
        if time.monotonic() > end:
            raise LabError(f'{what}: not so after {deadline_s * lab.slow:.0f} s\n{log_tails(lab, logs)}')
        time.sleep(pause)
        pause = min(pause * 1.5, 0.25)


def log_tails(lab, programs, lines=25):
    out = []
    for program in programs:
        try:
            with open(lab.log(program), encoding='utf-8', errors='replace') as f:
                tail = f.read().splitlines()[-lines:]
        except OSError:
            tail = ['(no log)']
        out += [f'---- {program}.log'] + tail
    return '\n'.join(out)


def start_time(pid):
    """Start time of a process in clock ticks, which tells it from a later one with the same id; None if gone."""
    try:
        with open(f'/proc/{pid}/stat', encoding='utf-8', errors='replace') as f:
            fields = f.read().rpartition(')')[2].split()
    except OSError:
        return None
    return None if fields[0] in 'ZX' else fields[19]


def pid_of(lab, program):
    """The id of a running program of this lab, or None."""
    try:
        with open(lab.pid_file(program), encoding='utf-8') as f:
            pid, started = f.read().split()
    except (OSError, ValueError):
        return None
    return int(pid) if start_time(pid) == started else None


def start(lab, program, node, argv, env=None):
    """Starts a program in a node, its output to log/PROGRAM.log (appended, so a restart keeps the story)."""
    if pid_of(lab, program):
        raise LabError(f'{program} is running already')
    with open(lab.log(program), 'ab') as log:
        proc = subprocess.Popen(in_ns(lab, node, argv), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                start_new_session=True, cwd='/', env=dict(os.environ, **(env or {})))
    with open(lab.pid_file(program), 'w', encoding='utf-8') as f:
        f.write(f'{proc.pid} {start_time(proc.pid)}')
    return proc.pid


def end(lab, program, sig, deadline_s=40):
    """Sends a signal and waits until the program is gone."""
    pid = pid_of(lab, program)
    if not pid:
        raise LabError(f'{program} is not running')
    os.kill(pid, sig)
    wait_until(lab, f'{program} ends after {signal.Signals(sig).name}', lambda: not pid_of(lab, program), deadline_s,
               logs=(program,))


def end_all(lab, namespaces):
    """Ends every process of the lab: what it started, and whatever else lives in its namespaces."""
    def survivors():
        pids = set()
        for name in namespaces:
            pids.update(int(p) for p in run(['ip', 'netns', 'pids', name], check=False).split())
        if os.path.isdir(lab.path('pid')):
            pids.update(p for p in (pid_of(lab, program) for program in os.listdir(lab.path('pid'))) if p)
        return pids - {os.getpid()}

    for sig, patience_s in ((signal.SIGTERM, 3), (signal.SIGKILL, 10)):
        for pid in survivors():
            try:
                os.kill(pid, sig)
            except ProcessLookupError:
                pass
        limit = time.monotonic() + patience_s
        while survivors() and time.monotonic() < limit:
            time.sleep(0.05)
        if not survivors():
            return
