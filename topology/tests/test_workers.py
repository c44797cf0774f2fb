# SPDX-License-Identifier: BSD-3-Clause
"""Two workers: clients spread over both, each stays on its owner, connectors have a session on each.

      client1 … client8 ── inet ══ (2 queues) ══ edge (2 workers) ── conn1, conn2 ── origin
"""
import pytest
from sluicelab import plan

SHAPE = {'clients': 8, 'connectors': 2, 'workers': 2, 'outer': 4}
V4, V6 = plan.ORIGIN_V4, plan.ORIGIN_V6


def sessions(lab, kind):
    return [s for s in lab.ctl('show', 'sessions')['sessions'] if s['kind'] == kind]


def worker_of(lab):
    """{client name: worker} of the sessions that carry traffic."""
    return {s['client']: s['worker'] for s in sessions(lab, 'client')}


def test_clients_are_on_both_workers(lab):
    owners = worker_of(lab)
    assert len(owners) == 8 and set(owners.values()) == {0, 1}, owners


def test_both_workers_forward(lab):
    before = [w['tx_packets'] for w in lab.ctl('show', 'workers')['workers']]
    for i in range(1, 9):
        assert lab.ping(f'client{i}', V4, 5) == (5, 5)
    after = [w['tx_packets'] for w in lab.ctl('show', 'workers')['workers']]
    assert all(b - a >= 10 for a, b in zip(before, after)), (before, after)


def test_each_client_stays_on_its_owner(lab):
    before = worker_of(lab)
    for dst in (V4, V6):
        for i in range(1, 9):
            assert lab.ping(f'client{i}', dst, 5) == (5, 5)
    assert worker_of(lab) == before


def test_flows_stay_with_their_client(lab):
    owners = worker_of(lab)
    for i in range(1, 9):
        assert lab.ping(f'client{i}', V4, 1) == (1, 1)
    flows = lab.ctl('show', 'flows')['flows']
    assert flows
    for flow in flows:
        assert flow['worker'] == owners[flow['client']], flow


def test_connectors_have_a_session_on_each_worker(lab):
    workers = {}
    for s in sessions(lab, 'connector'):
        if s['live'] and s['settled']:
            workers.setdefault(s['connector_id'], set()).add(s['worker'])
    assert len(workers) == 2 and all(w == {0, 1} for w in workers.values()), workers


def test_handoff_is_counted_apart(lab):
    """What crosses from one worker to the other is a counter of its own, and small when everything has settled."""
    with lab.measure() as m:
        for i in range(1, 9):
            assert lab.ping(f'client{i}', V4, 10) == (10, 10)
    crossed = m.totals['handoff_packets']
    lab.note(f'8 clients, 2 workers: {crossed} of {m.forwarded} packets crossed between workers')
    assert m.forwarded == 160 and crossed <= m.forwarded // 2


@pytest.mark.parametrize('dst', [V4, V6], ids=['inner4', 'inner6'])
def test_eight_at_once(lab, dst):
    """Eight downloads at the same time, all equal to what the origin holds."""
    host = f'[{dst}]' if ':' in dst else dst
    running = [lab.spawn(f'client{i}', 'sh', '-c', f'curl -sS -f -m 100 http://{host}/10M.bin | sha256sum') for i in range(1, 9)]
    digests = [proc.communicate()[0].split()[0] for proc in running]
    assert digests == [lab.digest_of('10M.bin')] * 8
