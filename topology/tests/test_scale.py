# SPDX-License-Identifier: BSD-3-Clause
"""A million routes arrive while a client pings: forwarding does not stall.

      client1 (pings) ── inet ── edge ── conn1 ── origin
"""
import json
import os
import time

from sluicelab import plan, programs
from traffic import Pings

SHAPE = {'clients': 1, 'connectors': 1, 'workers': 1, 'outer': 4}
ROUTES = int(os.environ.get('SLUICE_ROUTES') or 1000000)
CHUNK = 50000


def documents(tunnel):
    """Chunks of routes under 10.0.0.0/8, /32s of a regular pattern, as `apply` takes them."""
    for first in range(0, ROUTES, CHUNK):
        rows = [{'network': f'10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}/32', 'tunnel': tunnel}
                for n in range(first, min(first + CHUNK, ROUTES))]
        yield {'routes': rows}


def longest_turn_us(lab):
    """Longest turn of a worker's loop since the last reset, in CPU time of its thread (preemption apart)."""
    return max(w['max_turn_cpu_us'] for w in lab.ctl('show', 'workers')['workers'])


def test_a_million_routes_without_a_stall(lab):
    pings = Pings(lab, 'client1', plan.ORIGIN_V4)
    before = longest_turn_us(lab)
    lab.edge_call('settings.reset_turns')
    began = time.time()
    path = lab.lab.path('routes.json')
    for document in documents('k8s_zero_trust_tunnel'):
        with open(path, 'w', encoding='ascii') as f:
            json.dump(document, f)
        lab.ctl('--timeout', '120', 'apply', '-f', path)
    lab.wait('the edge has applied them all', lambda: programs.in_step(lab.lab), 120)
    took = time.time() - began
    sent, received, gap = pings.stop()
    turn = longest_turn_us(lab)
    lab.note(f'{ROUTES} routes in {took:.1f} s; {sent - received} of {sent} pings lost, longest gap between replies {gap * 1000:.0f} ms; '
             f'longest turn of a worker {turn} us of CPU (in the quiet before: {before} us)')
    tables = {t['table']: t for t in lab.ctl('show', 'tables')['tables']}
    assert tables['routes']['used'] >= ROUTES
    assert sent == received and gap < 1.0 * lab.slow


def test_a_restarted_edge_takes_the_snapshot(lab):
    """All routes come back in one snapshot; the stock client is back before or after, untouched."""
    lab.kill('edge')
    began = time.time()
    lab.start('edge')
    ready = time.time()
    lab.wait('the client is answered', lambda: lab.ping('client1', plan.ORIGIN_V4, 1, '-W', '1')[1] == 1, 60)
    lab.note(f'edge start with {ROUTES} routes: in step {ready - began:.1f} s, first ping {time.time() - began:.1f} s after its start')
