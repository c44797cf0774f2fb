# SPDX-License-Identifier: BSD-3-Clause
"""kill -9 of sluice-ctrl at any moment, 200 times, during a stream of changes: what was acknowledged is there, nothing is half.

      no client, no connector: sluice-ctrl and sluice-edge in edge
"""
import json
import os
import random
import signal
import socket
import time

from sluicelab import procs, programs

SHAPE = {'clients': 0, 'connectors': 0, 'workers': 1, 'outer': 4, 'bare': True}
KILLS = int(os.environ.get('SLUICE_KILLS') or 200)


class Changes:
    """A stream of route.add over one connection; remembers which were acknowledged and which were under way."""

    def __init__(self, path):
        self.path, self.acknowledged, self.unsure, self.next = path, set(), set(), 0

    def connect(self, s):
        """The socket of a killed daemon refuses until the new one has replaced it."""
        deadline = time.monotonic() + 10
        while True:
            try:
                s.connect(self.path)
                return
            except (ConnectionRefusedError, FileNotFoundError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def run(self, victim, kill_after_s):
        """Changes until the connection breaks; the kill comes in the middle of them."""
        began, killed = time.monotonic(), False
        with socket.socket(socket.AF_UNIX) as s:
            self.connect(s)
            s.settimeout(10)
            stream = s.makefile()
            while True:
                network = f'10.{self.next >> 16 & 255}.{self.next >> 8 & 255}.{self.next & 255}/32'
                self.next += 1
                try:
                    s.sendall(json.dumps({'jsonrpc': '2.0', 'id': 1, 'method': 'route.add', 'params': {
                        'network': network, 'tunnel': 't', 'comment': network, 'wait': False}}).encode() + b'\n')
                    self.unsure.add(network)
                    if not killed and time.monotonic() - began > kill_after_s:
                        os.kill(victim, signal.SIGKILL)
                        killed = True
                    line = stream.readline()
                except OSError:
                    return
                if not line:
                    return
                answer = json.loads(line)
                assert 'result' in answer, answer
                self.unsure.discard(network)
                self.acknowledged.add(network)


def test_every_acknowledged_change_survives(lab):
    lab.ctl('tunnel', 'create', 't', '--credentials-file', lab.lab.path('t.json'))
    stream, dice = Changes(lab.lab.ctrl_sock), random.Random(1)
    began = time.monotonic()
    for _ in range(KILLS):
        stream.run(procs.pid_of(lab.lab, 'ctrl'), dice.uniform(0, 0.05))
        lab.wait('sluice-ctrl is gone', lambda: procs.pid_of(lab.lab, 'ctrl') is None, 10)
        lab.start('ctrl')
    routes = lab.ctl('route', 'list')['routes']
    present = {r['network'] for r in routes}
    lost, strange = stream.acknowledged - present, present - stream.acknowledged - stream.unsure
    lab.note(f'{KILLS} kills of sluice-ctrl in {time.monotonic() - began:.0f} s: {len(stream.acknowledged)} changes acknowledged, {len(lost)} lost; '
             f'{len(present & stream.unsure)} of {len(stream.unsure)} that were under way are there')
    assert not lost and not strange
    assert all(r['comment'] == r['network'] and r['tunnel_name'] == 't' for r in routes), 'no half change'
    assert len(present) == len(routes), 'no change twice'
    lab.wait('the edge has what sluice-ctrl has', lambda: programs.in_step(lab.lab), 20)
    tables = {t['table']: t for t in lab.ctl('show', 'tables')['tables']}
    assert tables['routes']['used'] == len(routes)
