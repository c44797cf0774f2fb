# SPDX-License-Identifier: BSD-3-Clause
"""Three replicas of a connector: they share load, fail over within a second, and roll without cutting a flow.

      client1 … client6 ── inet ── edge ── conn1, conn2, conn3 ── origin

SLUICE_KILLS (default 4) says how often one is killed, SLUICE_ROLL_REQUESTS (default 200) how many requests a roll must see.
"""
import collections
import contextlib
import os
import select
import socket
import statistics
import time

import pytest
from rolling import Downloads, Load, roll
from sluicelab import plan, raw

SHAPE = {'clients': 6, 'connectors': 3, 'workers': 2, 'outer': 4}
V4, V6 = plan.ORIGIN_V4, plan.ORIGIN_V6
KILLS = int(os.environ.get('SLUICE_KILLS') or 4)
ROLL_REQUESTS = int(os.environ.get('SLUICE_ROLL_REQUESTS') or 200)


def connect(lab, i, dst=V4, port=7, timeout_s=10):
    s = raw.socket_in(lab.lab, f'client{i}', socket.AF_INET6 if ':' in dst else socket.AF_INET, socket.SOCK_STREAM)
    s.settimeout(timeout_s * lab.slow)
    try:
        s.connect((dst, port))
    except OSError:
        s.close()
        raise
    return s


def flows_by_connector(lab, port=7):
    flows = lab.ctl('show', 'flows', '--limit', '10000')['flows']
    return collections.Counter(f['connector_id'] for f in flows if f['proto'] == 'tcp' and f['dport'] == port)


def ids(lab):
    """Connector number → id, by its /ready."""
    found = {}
    for j in (1, 2, 3):
        text = lab.sh(f'conn{j}', 'curl', '-s', '-m', '3', f'http://127.0.0.1:{plan.METRICS_PORT}/ready', check=False)
        if 'connectorId' in text:
            found[j] = text.split('"connectorId":"')[1].split('"')[0]
    return found


def test_600_flows_spread_and_a_lost_replica_resets_its_own(lab):
    """Each of three gets 150 to 250 of 600; when one is killed its waiting clients hear a reset at once, the others nothing."""
    socks = [connect(lab, 1 + n % 6, V4 if n % 2 else V6) for n in range(600)]
    try:
        spread = flows_by_connector(lab)
        lab.note(f'600 TCP flows of 6 clients over 3 connectors: {sorted(spread.values())}')
        assert sum(spread.values()) == 600 and len(spread) == 3
        assert all(150 <= n <= 250 for n in spread.values()), spread
        lost = spread[ids(lab)[1]]
        lab.kill('connector1')
        began, cut, times = time.monotonic(), set(), []
        while len(cut) < lost and time.monotonic() < began + 10 * lab.slow:
            for s in select.select([s for s in socks if s not in cut], [], [], 0.1)[0]:
                with pytest.raises(ConnectionResetError):
                    s.recv(1)
                cut.add(s)
                times.append(time.monotonic() - began)
        assert len(cut) == lost
        lab.note(f'kill -9 of one: its {lost} idle connections reset after {min(times):.2f} to {max(times):.2f} s')
        for s in socks:
            if s not in cut:
                s.sendall(b'x')
                assert s.recv(1) == b'x', 'connections of the other replicas live on'
    finally:
        for s in socks:
            s.close()
        lab.start('connector1')


def test_rolling_restart(lab):
    """Under requests and downloads shorter than grace-period nothing fails and nothing is cut."""
    load, downloads, began = Load(lab), Downloads(lab), time.monotonic()
    while True:
        ended = roll(lab, downloads, lambda d: (d.begin(10, '1M.bin', '300k'), time.sleep(0.5)))
        if len(downloads.running) >= 30 and time.monotonic() - began > ROLL_REQUESTS / 100:
            break
    count, wrong = downloads.finish()
    requests, failed = load.stop()
    lab.note(f'rolling restart of 3, userspace: {requests} HTTPS requests, {len(failed)} failed; {count} downloads, {len(wrong)} cut; '
             f'each connector ended after {", ".join(f"{s:.1f}" for s in ended)} s')
    assert failed == [] and wrong == [] and requests >= ROLL_REQUESTS


def test_kill_of_one_replica(lab):
    """All connections of client1 go to one replica, and it is that one that dies: how long until a new request succeeds?"""
    lab.ctl('tunnel', 'set', 'k8s_zero_trust_tunnel', '--affinity', 'client')
    times, failures = [], 0
    try:
        for _ in range(KILLS):
            with contextlib.closing(connect(lab, 1)) as s:
                owner = carrier(lab, s.getsockname()[1])
                j = next(n for n, i in ids(lab).items() if i == owner)
            lab.kill(f'connector{j}')
            began = time.monotonic()
            while not (ok := request(lab)):
                failures += 1
                assert time.monotonic() < began + 20 * lab.slow, lab.logs('edge')
            times.append(time.monotonic() - began)
            lab.start(f'connector{j}')
    finally:
        lab.ctl('tunnel', 'set', 'k8s_zero_trust_tunnel', '--affinity', 'none')
    times.sort()
    p99 = times[min(len(times) - 1, int(len(times) * 0.99))]
    lab.note(f'kill -9 of the replica that carries a client, {KILLS} times: first new request answered after p50 '
             f'{statistics.median(times):.2f} s, p99 {p99:.2f} s; {failures} requests failed')
    assert ok and p99 <= 1.5 * lab.slow


def carrier(lab, port):
    """The connector that carries client1's connection from that port."""
    flows = lab.ctl('show', 'flows', '--client', 'client1', '--limit', '10000')['flows']
    mine = [f for f in flows if f['proto'] == 'tcp' and f['sport'] == port and f['dst'] == V4 and f['dport'] == 7]
    return min(mine, key=lambda f: f['age_s'])['connector_id']


def request(lab):
    with contextlib.suppress(OSError):
        with contextlib.closing(connect(lab, 1, timeout_s=4)) as s:
            s.sendall(b'x')
            return s.recv(1) == b'x'
    return False

