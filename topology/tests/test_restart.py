# SPDX-License-Identifier: BSD-3-Clause
"""kill -9 and restart of each program under traffic: what a ping, a loop of requests and a running download see.

      client1 (busy)  client2 (idle) ── inet ── edge, ctrl ── conn1, conn2 ── origin
"""
import os
import time

import pytest
from sluicelab import plan, procs, programs
from traffic import Download, Pings, Requests

SHAPE = {'clients': 2, 'connectors': 2, 'workers': 2, 'outer': 4}
V4, V6 = plan.ORIGIN_V4, plan.ORIGIN_V6


@pytest.fixture(autouse=True)
def everything_runs(lab):
    """Each test begins with all programs up and the path warm."""
    for program in ('ctrl', 'edge', 'connector1', 'connector2'):
        if not procs.pid_of(lab.lab, program):
            lab.start(program)
    for j in (1, 2):
        programs.wait_connector(lab.lab, j)
    lab.wait('both clients reach the origin', lambda: all(lab.ping(f'client{i}', V4, 1)[1] for i in (1, 2)))


def started(lab, download):
    lab.wait('the download runs', lambda: download.size() > 1 << 20)


@pytest.mark.parametrize('way', ['kill', 'stop'])
def test_edge_restart(lab, way):
    """A stock client is back within 3 seconds of the edge being ready, untouched, and its download goes on."""
    download = Download(lab, 'client1', V4)
    busy, idle = Pings(lab, 'client1', V4), Pings(lab, 'client2', V6)
    requests = Requests(lab, 'client1', V4)
    started(lab, download)
    getattr(lab, way)('edge')
    down = time.time()
    lab.start('edge')
    ready = time.time()
    for pings, name in ((busy, 'client1'), (idle, 'client2')):
        lab.wait(f'{name} hears replies again', lambda pings=pings: pings.first_after(ready) is not None, 20)
    back = [pings.first_after(ready) for pings in (busy, idle)]
    status, digest, took = download.finish()
    gaps = [pings.stop()[2] for pings in (busy, idle)]
    count, failed, outage = requests.stop()
    lab.note(f'edge {way}: start to ready {ready - down:.2f} s; pings back {back[0]:.2f} and {back[1]:.2f} s after ready, longest gap '
             f'{max(gaps):.2f} s; {failed} of {count} requests failed, outage {outage:.2f} s; 10 MB at 2 MB/s took {took:.1f} s, '
             f'curl {status}')
    assert max(back) < 3 * lab.slow
    assert status == 0 and digest == lab.digest_of('10M.bin'), 'the download survives'


def test_edge_restart_idle_client(lab):
    """A client that has sent nothing for a while: the edge calls it, so a packet towards it would arrive."""
    lab.kill('edge')
    lab.start('edge')
    ready = time.time()
    lab.wait('client2 is answered', lambda: lab.ping('client2', V4, 1, '-W', '1')[1] == 1, 20)
    took = time.time() - ready
    lab.note(f'edge kill, idle client: first ping answered {took:.2f} s after the edge was ready')
    assert took < 3 * lab.slow


def test_ctrl_kill(lab):
    """Without sluice-ctrl the edge forwards on; nothing is lost, and what was acknowledged is there afterwards."""
    lab.ctl('route', 'add', '198.51.100.200/32', 'k8s_zero_trust_tunnel', '--comment', 'before the kill')
    download, pings = Download(lab, 'client1', V4), Pings(lab, 'client2', V6)
    requests = Requests(lab, 'client1', V4)
    started(lab, download)
    lab.kill('ctrl')
    refused = lab.ctl('route', 'list', check=False)
    assert refused and 'error' in refused
    assert lab.counters()['totals']['rx_packets'] > 0, 'the edge still answers operators'
    time.sleep(1.0)
    lab.start('ctrl')
    began = time.time()
    lab.wait('the edge is in step again', lambda: programs.in_step(lab.lab), 20)
    resync = time.time() - began
    assert lab.ctl('route', 'get', '198.51.100.200/32')['route']['comment'] == 'before the kill'
    lab.ctl('route', 'delete', '198.51.100.200/32', '--yes')
    status, digest, took = download.finish()
    sent, received, gap = pings.stop()
    count, failed, outage = requests.stop()
    lab.note(f'ctrl kill: in step again {resync:.2f} s after its start; {sent - received} of {sent} pings lost, longest gap {gap:.2f} s; '
             f'{failed} of {count} requests failed ({outage:.2f} s); 10 MB at 2 MB/s took {took:.1f} s')
    assert (status, digest) == (0, lab.digest_of('10M.bin')) and failed == 0 and sent == received


@pytest.mark.parametrize('way', ['kill', 'stop'])
def test_connector_of_two(lab, way):
    """The other connector takes over: new connections succeed again; a drained one lets its downloads finish."""
    download = Download(lab, 'client1', V4)
    requests = Requests(lab, 'client2', V4)
    pings = Pings(lab, 'client2', V6)
    started(lab, download)
    carrying = 1 if downloads_of(lab, 1) else 2
    gone = time.time()
    getattr(lab, way)(f'connector{carrying}')
    ended = time.time() - gone
    status, digest, took = download.finish()
    lab.wait('pings are answered', lambda: pings.first_after(gone) is not None, 30)
    time.sleep(2.0)
    sent, received, gap = pings.stop()
    count, failed, outage = requests.stop()
    lab.note(f'connector {way} (the one that carried the download): it ended after {ended:.2f} s; {failed} of {count} requests failed, outage '
             f'{outage:.2f} s; {sent - received} of {sent} pings lost, longest gap {gap:.2f} s; download: curl {status} after {took:.1f} s')
    if way == 'stop':
        assert (status, digest) == (0, lab.digest_of('10M.bin')), 'a drained connector lets running downloads finish'
        assert failed == 0
    else:
        assert outage < 10 * lab.slow and gap < 10 * lab.slow


def downloads_of(lab, j):
    """True when connector j has a TCP connection to the origin's port 80."""
    return bool(lab.sh(f'conn{j}', 'ss', '-Htn', 'state', 'established', 'dport', '=', ':80').strip())


def test_connector_kill_and_restart(lab):
    """All connectors gone: dropped with a name. Restarted: the path is back without anybody touching the client."""
    for j in (1, 2):
        lab.kill(f'connector{j}')
    lab.wait('the edge knows that nobody is there',
             lambda: no_connector(lab) if lab.ping('client1', V4, 1, '-W', '1')[1] == 0 else False, 60)
    began = time.time()
    lab.start('connector1')
    lab.wait('the path is back', lambda: lab.ping('client1', V4, 1, '-W', '1')[1] == 1, 30)
    lab.note(f'connector restart: path back {time.time() - began:.2f} s after its start')


def no_connector(lab):
    before = lab.counters()['drops'].get('no_connector', 0)
    lab.ping('client1', V4, 1, '-W', '1')
    return lab.counters()['drops'].get('no_connector', 0) > before


def test_leftover_xdp_program_is_replaced(lab):
    """After kill -9 the program is still attached; the next start replaces it, a clean stop removes it."""
    def attached():
        return 'xdp' in lab.sh('edge', 'ip', 'link', 'show', 'dev', 'eth0')
    lab.kill('edge')
    assert attached(), 'the kernel keeps what a killed process attached'
    lab.start('edge')
    assert attached()
    lab.stop('edge')
    assert not attached()
    lab.start('edge')
    assert os.path.exists(lab.lab.edge_sock)
