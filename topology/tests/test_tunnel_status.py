# SPDX-License-Identifier: BSD-3-Clause
"""What an operator sees of a tunnel: its status and since when, its connectors and sessions, who drains.

      client1 ── inet ── edge (2 workers) ── conn1, conn2 ── origin
"""
import contextlib
import os
import signal
import socket

from sluicelab import plan, procs, raw

SHAPE = {'clients': 1, 'connectors': 2, 'workers': 2, 'outer': 4}
TUNNEL = 'k8s_zero_trust_tunnel'


def tunnel(lab):
    return lab.ctl('tunnel', 'show', TUNNEL)['tunnel']


def becomes(lab, status):
    lab.wait(f'the tunnel is {status}', lambda: tunnel(lab)['status'] == status, 10)
    return tunnel(lab)


def test_a_tunnel_that_never_ran(lab):
    lab.ctl('tunnel', 'create', 'unused', '--credentials-file', lab.lab.path('unused.json'))
    t = lab.ctl('tunnel', 'show', 'unused')['tunnel']
    assert (t['status'], t['status_since'], t['status_changes'], t['live']) == ('inactive', None, [], '0 connectors, 0 sessions')
    lab.ctl('--yes', 'tunnel', 'delete', 'unused')


def test_healthy_with_all_sessions(lab):
    lab.wait('4 sessions', lambda: tunnel(lab)['live'] == '2 connectors, 4 sessions')
    t = becomes(lab, 'healthy')
    assert t['status_since'] and t['status_changes'][0]['status'] == 'healthy'
    line = next(n for n in lab.sh('edge', lab.lab.program('sluicectl'), '--socket', lab.lab.ctrl_sock, 'tunnel', 'list').splitlines()
                if TUNNEL in n)
    assert '2 connectors, 4 sessions' in line and 'healthy' in line


def test_a_draining_connector_is_seen(lab):
    """SIGTERM at the connector: while an open connection holds it, everybody can see that it drains."""
    with contextlib.closing(raw.socket_in(lab.lab, 'client1', socket.AF_INET, socket.SOCK_STREAM)) as s:
        s.connect((plan.ORIGIN_V4, 7))
        j = next(j for j in (1, 2) if lab.sh(f'conn{j}', 'ss', '-Htn', 'state', 'established', 'dport', '=', ':7').strip())
        pid = procs.pid_of(lab.lab, f'connector{j}')
        os.kill(pid, signal.SIGTERM)
        lab.wait('it is seen to drain', lambda: [c['draining'] for c in lab.ctl('connector', 'list')['connectors']].count(True) == 1)
    lab.wait('it ends when its connection has', lambda: not procs.pid_of(lab.lab, f'connector{j}'))
    lab.wait('it is gone from the list', lambda: len(lab.ctl('connector', 'list')['connectors']) == 1)
    assert becomes(lab, 'healthy')['live'].startswith('1 connector, ')
    lab.start(f'connector{j}')


def test_degraded_and_down(lab):
    lab.kill('connector1')
    assert becomes(lab, 'degraded')['live'].startswith('1 connector, ')
    lab.kill('connector2')
    t = becomes(lab, 'down')
    assert [c['status'] for c in t['status_changes'][:2]] == ['down', 'degraded']
    assert all(c['at'].endswith('Z') for c in t['status_changes']) and t['status_since'] == t['status_changes'][0]['at']
    lab.start('connector1')
    becomes(lab, 'degraded')  # until the leases of the killed ones end
    lab.start('connector2')
