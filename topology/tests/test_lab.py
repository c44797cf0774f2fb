# SPDX-License-Identifier: BSD-3-Clause
"""The lab itself: its verbs, two at once, and that `down` leaves nothing, also after a crash."""
import os
import shlex
import signal
import subprocess

import pytest
from labtest import namespaces_of
from sluicelab import plan, procs

SHAPE = {'clients': 1, 'connectors': 1, 'workers': 1, 'outer': 4}
LAB = os.path.join(plan.TOPOLOGY, 'lab')


def lab_command(*args, name=None, check=True):
    env = dict(os.environ, LAB=name or os.environ['LAB'])
    proc = subprocess.run([LAB, *args], env=env, capture_output=True, text=True, check=False, timeout=120)
    assert not check or proc.returncode == 0, proc.stdout + proc.stderr
    return proc


def test_env_is_shell(lab):
    out = lab_command('env').stdout
    pairs = dict(word.split('=', 1) for word in shlex.split(out))
    for key in ('CA', 'CERT', 'KEY', 'CTRL_SOCK', 'EDGE_SOCK', 'EDGE_CONFIG', 'LOG_EDGE', 'CLIENT1_CONFIG'):
        assert os.path.exists(pairs[key]), key
    assert int(pairs['PID_EDGE']) == procs.pid_of(lab.lab, 'edge')


def test_exec_hands_the_exit_status_on(lab):
    assert lab_command('exec', 'client1', 'true').returncode == 0
    assert lab_command('exec', 'client1', 'sh', '-c', 'exit 7', check=False).returncode == 7
    assert lab_command('exec', 'nowhere', 'true', check=False).returncode == 1


def test_up_twice_is_refused(lab):
    proc = lab_command('up', check=False)
    assert proc.returncode == 1 and 'is up already' in proc.stderr


def test_stop_start_a_connector(lab):
    lab_command('stop', 'connector1')
    assert procs.pid_of(lab.lab, 'connector1') is None
    lab_command('start', 'connector1')
    assert lab.ping('client1', plan.ORIGIN_V4) == (3, 3)


def test_connector_has_no_privilege(lab):
    with open(f'/proc/{procs.pid_of(lab.lab, "connector1")}/status', encoding='utf-8') as f:
        status = dict(line.split(':', 1) for line in f)
    assert status['Uid'].split()[0] != '0'
    assert {int(status[k].strip(), 16) for k in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb')} == {0}


def test_two_labs_at_once(lab):
    """A second lab with the same addresses comes up, works, and goes, and the first does not notice."""
    name = f'{os.environ["LAB"]}two'
    try:
        lab_command('up', '--bare', '--clients', '1', '--connectors', '1', name=name)
        assert lab_command('ctl', 'show', 'revision', name=name).returncode == 0
        assert lab.ping('client1', plan.ORIGIN_V4) == (3, 3)
    finally:
        lab_command('down', name=name)
    assert lab.ping('client1', plan.ORIGIN_V4) == (3, 3)
    assert not [ns for ns in subprocess.check_output(['ip', 'netns', 'list'], text=True).split() if ns.startswith(name)]


@pytest.mark.no_books
def test_down_after_a_crash_leaves_nothing(lab):
    """Programs killed, state half gone: `down` still removes namespaces, mounts, processes and files."""
    pids = [procs.pid_of(lab.lab, p) for p in ('edge', 'client1', 'origin')]
    os.kill(procs.pid_of(lab.lab, 'ctrl'), signal.SIGKILL)
    os.kill(pids[0], signal.SIGKILL)
    os.unlink(lab.lab.path('lab.json'))
    lab_command('down')
    assert namespaces_of(lab) == [] and not os.path.exists(lab.lab.state)
    assert not any(procs.start_time(pid) for pid in pids)
    with open('/proc/mounts', encoding='utf-8') as f:
        assert lab.lab.state not in f.read()
