# SPDX-License-Identifier: BSD-3-Clause
"""The connector alone, against a fake edge: how many flows fit, what is refused and how, and an edge that dies and comes back.

      edge (fake_edge, a device) ── conn (sluice-connector) ── origin
"""
import contextlib
import os
import select
import signal
import socket
import time

import pytest
from connlab import EDGE, ORIGIN4, ORIGIN6, Cgroup, ConnLab
from sluicelab.plan import LabError

MIB = 1 << 20


@pytest.fixture(scope='module')
def bench():
    lab = ConnLab()
    if not os.path.exists(os.path.join(lab.lab.build, 'connector', 'fake_edge')):
        pytest.skip('fake_edge is not built')
    lab.up()
    try:
        yield lab
    finally:
        lab.down()


@contextlib.contextmanager
def connector(bench, config='', **kw):
    bench.start_connector(config, **kw)
    try:
        yield
    finally:
        if 'connector' in bench.procs:
            bench.end('connector', signal.SIGKILL)


def device_udp(bench, dst, port, payload, timeout_s=2):
    """What came back from dst; ConnectionRefusedError and friends where an ICMP error did."""
    with bench.socket('edge', socket.AF_INET6 if ':' in dst else socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(timeout_s * bench.slow)
        s.connect((dst, port))
        for last in (False, False, True):
            s.send(payload)
            try:
                return s.recv(2048)
            except TimeoutError:
                if last:
                    raise
        return None


def echo_all(socks, payload, deadline_s):
    """Every socket sends the payload and gets it back; answers the seconds it took."""
    began, left = time.monotonic(), {}
    for s in socks:
        s.setblocking(False)
        left[s] = [payload, len(payload)]
    while left:
        assert time.monotonic() < began + deadline_s, f'{len(left)} of {len(socks)} echoes are not back'
        readable, writable, _ = select.select(list(left), [s for s in left if left[s][0]], [], 1)
        for s in writable:
            with contextlib.suppress(BlockingIOError):
                left[s][0] = left[s][0][s.send(left[s][0]):]
        for s in readable:
            got = len(s.recv(65536))
            assert got, 'the connection was closed'
            left[s][1] -= got
            if not left[s][1]:
                del left[s]
    return time.monotonic() - began


def test_echo_over_both_families(bench):
    with connector(bench):
        for dst in (ORIGIN4, ORIGIN6):
            with bench.device_tcp(dst) as s:
                s.sendall(b'hello')
                assert s.recv(16) == b'hello'
            assert device_udp(bench, dst, 7, b'datagram') == b'datagram'
            bench.sh('edge', 'ping', '-c', '2', '-i', '0.1', '-W', '3', dst)
        m = bench.metrics()
        assert m['flows_total{protocol="tcp"}'] == 2 and m['flows_total{protocol="udp"}'] == 2
        assert m['connect_latency_seconds_count'] == 2 and m['connect_latency_seconds_bucket{le="+Inf"}'] == 2
        assert m['ha_connections'] == 2 and m['workers_covered'] == 2 and m['register_success_total'] >= 1
        assert m['icmp_replies_total'] == 4
        bench.wait('the round trip is known', lambda: 'session_rtt_seconds{edge="0",session="1"}' in bench.metrics())
        assert 'mismatch' not in bench.log('edge')


def test_connect_errors_by_cause(bench):
    with connector(bench):
        with pytest.raises(ConnectionRefusedError):
            bench.device_tcp(ORIGIN4, 4)
        bench.wait('the refusal is counted', lambda: bench.metrics()['connect_errors_total{cause="refused"}'] == 1)


def test_300_tcp_flows_in_100_mib(bench):
    """The scenario's limits: 300 connections with full buffers, the rest refused by a RST; never an OOM kill."""
    group = Cgroup(f'{bench.lab.name}-100m', 100 * MIB)
    if not group.usable:
        pytest.skip('no memory control group can be made here')
    if bench.slow > 1:
        pytest.skip('a sanitized program takes more memory than the limit that is tested')
    one_cpu = ['taskset', '-c', '0']
    socks = []
    try:
        with connector(bench, wrap=lambda argv: group.argv(one_cpu + argv)):
            limit = int(bench.metrics()['max_active_tcp_flows'])
            assert 300 <= limit < 310
            for n in range(limit):
                socks.append(bench.device_tcp(ORIGIN4 if n % 2 else ORIGIN6, timeout_s=20))
            for _ in range(5):
                began = time.monotonic()
                with pytest.raises(ConnectionRefusedError):
                    bench.device_tcp()
                assert time.monotonic() - began < 1 * bench.slow, 'a refusal is a RST, not silence'
            m = bench.metrics()
            assert m['flows_refused_total'] == 5 and m['active_flows{protocol="tcp"}'] == limit
            assert 'refused: as many flows as fit run already' in bench.log('connector')
            took = echo_all(socks, os.urandom(200 * 1024), 120 * bench.slow)
            stall(socks)
            peak = group.peak_bytes()
            print(f'note: {limit} TCP flows echo 200 KiB each in {took:.1f} s inside 100 MiB and one CPU; peak {peak / MIB:.1f} MiB')
            assert bench.procs['connector'].poll() is None and peak < 100 * MIB
            for s in socks:
                s.close()
            bench.wait('flows end', lambda: bench.device_tcp().close() is None)
            assert bench.ready() == 200
    finally:
        for s in socks:
            s.close()
        group.remove()


def stall(socks):
    """All devices send and none reads, so that every buffer on the way fills up."""
    block = os.urandom(65536)
    for _ in range(12):
        for s in socks:
            with contextlib.suppress(BlockingIOError):
                s.send(block)
        time.sleep(0.2)


def test_ended_flows_make_room(bench):
    """Connections that the origin closed rest in the stack for a while (TIME-WAIT): new ones take their place at once."""
    with connector(bench, 'max-active-flows: 20\n'):
        server = bench.socket('origin', socket.AF_INET, socket.SOCK_STREAM)
        server.bind((ORIGIN4, 0))
        server.listen(64)
        try:
            for _ in range(100):
                with bench.device_tcp(ORIGIN4, server.getsockname()[1]) as s:
                    peer, _ = server.accept()
                    peer.close()
                    assert s.recv(1) == b''
        finally:
            server.close()
        m = bench.metrics()
        assert m['flows_refused_total'] == 0 and m['flows_evicted_total'] > 50 and m['active_flows{protocol="tcp"}'] <= 20


def test_udp_at_the_limit_is_prohibited(bench):
    with connector(bench, 'max-active-flows: 3\n'):
        for port in (7, 8, 9):
            with contextlib.suppress(OSError):
                device_udp(bench, ORIGIN4, port, b'x', 0.2)
        with pytest.raises(OSError) as e:
            device_udp(bench, ORIGIN4, 10, b'x')
        assert not isinstance(e.value, TimeoutError), 'an ICMP error, not silence'
        bench.wait('it is counted', lambda: bench.metrics()['flows_refused_total'] == 1)


def sniff(bench):
    """Every frame that reaches the origin's side of the private network."""
    s = bench.socket('origin', socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
    s.bind(('lan0', 0))
    s.setblocking(False)
    return s


def frames_to(sniffer, dst, port):
    found = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            data = sniffer.recv(2048)
            v6 = data[0] >> 4 == 6
            to = data[24:40] if v6 else data[16:20]
            at = 40 if v6 else (data[0] & 15) * 4
            found += to == dst and int.from_bytes(data[at + 2:at + 4], 'big') == port
    return found


@pytest.mark.parametrize('config', ['deny: [198.51.100.101, "2001:db8::/64"]\n', 'allow: [10.0.0.0/8]\n',
                                    'allow: [0.0.0.0/0, "::/0"]\ndeny: ["198.51.100.0/24", "2001:db8::101"]\n'])
def test_the_connectors_own_fence(bench, config):
    """Refused at once, counted and logged; the origin sees nothing."""
    with connector(bench, config), sniff(bench) as sniffer:
        for dst in (ORIGIN4, ORIGIN6):
            with pytest.raises(ConnectionRefusedError):
                bench.device_tcp(dst)
            with pytest.raises(OSError) as e:
                device_udp(bench, dst, 7, b'x')
            assert not isinstance(e.value, TimeoutError), 'an ICMP error, not silence'
            packed = socket.inet_pton(socket.AF_INET6 if ':' in dst else socket.AF_INET, dst)
            assert frames_to(sniffer, packed, 7) == 0
        assert bench.metrics()['dropped_packets_total{reason="denied"}'] >= 4
        assert 'allow and deny of this connector' in bench.log('connector')


def test_an_allowed_destination_passes_the_fence(bench):
    with connector(bench, f'allow: [{ORIGIN4}/32]\ndeny: [198.51.100.102]\n'), sniff(bench) as sniffer:
        with bench.device_tcp() as s:
            s.sendall(b'x')
            assert s.recv(1) == b'x'
        assert frames_to(sniffer, socket.inet_aton(ORIGIN4), 7) > 0, 'the sniffer of these tests sees what passes'


def test_a_dead_edge_is_noticed_and_its_restart_survived(bench):
    """The edge falls silent: /ready says so. It is back under a new instance: sessions look for their workers again."""
    with connector(bench):
        with bench.device_tcp() as s:
            bench.procs['edge'].send_signal(signal.SIGUSR2)
            began = time.monotonic()
            bench.wait('a silent edge is noticed', lambda: bench.ready() == 503, 30)
            noticed = time.monotonic() - began
            bench.procs['edge'].send_signal(signal.SIGUSR2)
            bench.procs['edge'].send_signal(signal.SIGUSR1)
            began = time.monotonic()
            bench.wait('the connector is ready again', lambda: bench.ready() == 200, 30)
            back = time.monotonic() - began
            bench.wait('on all its workers', lambda: bench.metrics()['workers_covered'] == 2)
            s.sendall(b'still here')
            assert s.recv(64) == b'still here', 'a connection outlives its edge'
        print(f'note: silent edge noticed after {noticed:.1f} s, back {back:.1f} s after its restart')


def test_a_quick_restart_of_the_edge(bench):
    with connector(bench):
        bench.procs['edge'].send_signal(signal.SIGUSR1)
        began = time.monotonic()
        seen = bench.log('edge').count('restarted')
        bench.wait('the edge restarts', lambda: bench.log('edge').count('restarted') >= seen)

        def answered():
            with contextlib.suppress(OSError):
                return device_udp(bench, ORIGIN4, 7, b'x', 0.2) == b'x'
            return False
        bench.wait('flows run again', answered, 10)
        print(f'note: flows run {time.monotonic() - began:.2f} s after the edge restarted')


def test_sigterm_ends_it_cleanly(bench):
    """Idle: at once, with goodbyes both ways. With an open connection: after it has ended."""
    with connector(bench):
        device_udp(bench, ORIGIN4, 7, b'x')
        with bench.device_tcp() as s:
            bench.procs['connector'].send_signal(signal.SIGTERM)
            bench.wait('the edge is told', lambda: 'drain session' in bench.log('edge'))
            s.sendall(b'x')
            assert s.recv(1) == b'x'
        began = time.monotonic()
        assert bench.end('connector', 0) == 0
        assert time.monotonic() - began < 8 * bench.slow
        bench.wait('goodbyes', lambda: 'goodbye session' in bench.log('edge') and 'goodbye over HTTPS' in bench.log('edge'))


def test_grace_period_cuts_what_stays(bench):
    with connector(bench, 'grace-period: 1s\n'):
        with bench.device_tcp() as s:
            assert bench.end('connector') == 0
            assert 'grace-period is over; 1 flows are cut' in bench.log('connector')
            assert s.fileno() >= 0


def test_the_next_registration_address(bench):
    """The first one does not answer: the second serves."""
    with connector(bench, f'edge: ["{EDGE}:9", "{EDGE}:8443"]\n'):
        assert device_udp(bench, ORIGIN4, 7, b'x') == b'x'


def test_preserve_source_needs_tun(bench):
    bench.write_config('preserve-source: true\n')
    with pytest.raises(LabError) as e:
        bench.sh('conn', *bench.connector_argv())
    assert 'preserve-source: true needs mode: tun' in str(e.value)
