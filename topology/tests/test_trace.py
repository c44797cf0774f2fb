# SPDX-License-Identifier: BSD-3-Clause
"""trace and capture: what they show of real packets, who may, and what is left in the audit trail.

      client1 ── inet ── edge ── conn1 ── origin
"""
import json
import os
import signal
import struct
import subprocess

import packets
from sluicelab import plan

SHAPE = {'clients': 1, 'connectors': 1, 'workers': 2, 'outer': 4}


def start(lab, *args):
    """A sluicectl that goes on, once the edge shows it packets."""
    proc = subprocess.Popen([lab.lab.program('sluicectl'), '--edge-socket', lab.lab.edge_sock, *args], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)
    lab.wait('it is on', lambda: lab.edge_call('show.counters')['tap'], 10)
    return proc


def ended(proc, status=0):
    out, err = proc.communicate(timeout=60)
    assert proc.returncode == status, (out, err)
    return out


def blocks(path):
    """(type, body) of each block of a pcapng file."""
    with open(path, 'rb') as f:
        data = f.read()
    at = 0
    while at < len(data):
        kind, total = struct.unpack_from('<II', data, at)
        assert total % 4 == 0 and struct.unpack_from('<I', data, at + total - 4)[0] == total
        yield kind, data[at + 8:at + total - 4]
        at += total


def read_pcapng(path):
    """[(unix seconds, bytes, original length, comment, inbound)] and the link type."""
    out, link = [], None
    for kind, body in blocks(path):
        if kind == 1:
            link = struct.unpack_from('<H', body)[0]
        if kind != 6:
            continue
        _, high, low, kept, length = struct.unpack_from('<IIIII', body)
        options, comment, flags = body[20 + (kept + 3) // 4 * 4:], None, None
        while options:
            code, size = struct.unpack_from('<HH', options)
            if code == 1:
                comment = options[4:4 + size].decode()
            elif code == 2:
                flags = struct.unpack_from('<I', options, 4)[0]
            options = options[4 + (size + 3) // 4 * 4:] if code else b''
        out.append(((high << 32 | low) / 1e9, body[20:20 + kept], length, comment, flags == 1))
    return out, link


def test_trace_tells_what_became_of_packets(lab):
    proc = start(lab, 'trace', '--json', '--client', 'client1', '--dst', plan.ORIGIN_V4, '--count', '8')
    assert lab.ping('client1', plan.ORIGIN_V4, 4) == (4, 4)
    rows = [json.loads(line) for line in ended(proc).splitlines()]
    assert len(rows) == 8
    assert [r['direction'] for r in rows].count('up') == [r['direction'] for r in rows].count('down') == 4
    for row in rows:
        assert row['outcome'] == 'sent' and row['stage'] == 'encrypt' and row['protocol'] == 1 and row['length'] == 84
        assert row['client'] == 'client1' and row['rule'] == 'default' and row['tunnel'] == 'k8s_zero_trust_tunnel'
    assert not lab.edge_call('show.counters')['tap']


def test_trace_of_drops_says_where_and_why(lab):
    proc = start(lab, 'trace', '--dropped', '--count', '2')
    lab.sh('client1', 'ping', '-c', '1', '-t', '1', '-W', '1', plan.ORIGIN_V4, check=False)
    raw = lab.add_raw('stranger')
    raw.send(packets.udp(raw.addresses[0], '127.0.0.1', 1, 2, b'x'))
    out = ended(proc)
    assert 'flow>decide>act' in out and 'dropped at act: ttl_exceeded' in out, out
    assert 'dropped at inner_check: inner_martian' in out, out


def test_capture_of_inner_packets(lab):
    path = lab.lab.path('inner.pcapng')
    proc = start(lab, 'capture', '-w', path, '--client', 'client1', '--count', '6')
    assert lab.ping('client1', plan.ORIGIN_V4, 3, '-s', '100') == (3, 3)
    assert '6 packets in' in ended(proc)
    got, link = read_pcapng(path)
    assert link == 101 and len(got) == 6
    assert os.stat(path).st_mode & 0o777 == 0o600
    for _, data, length, comment, _ in got:
        parsed = packets.Parsed(data)
        assert len(data) == length == 128 and plan.ORIGIN_V4 in (parsed.src, parsed.dst)
        assert comment.startswith('sent to ') and comment.endswith(', rule default')
    # the way there has lost one hop already
    assert lab.sh('client1', 'tcpdump', '-nn', '-r', path).count('ICMP echo request') == 3


def test_capture_of_frames(lab):
    path = lab.lab.path('outer.pcapng')
    proc = start(lab, 'capture', '-w', path, '--outer')
    assert lab.ping('client1', plan.ORIGIN_V4, 5) == (5, 5)
    raw = lab.add_raw('replayer')
    datagram = raw.send(packets.udp(raw.addresses[0], plan.ORIGIN_V4, 7777, 7, b'once'))
    raw.send_outer(datagram)
    lab.wait('it was dropped', lambda: lab.counters()['drops']['replayed'] > 0, 10)
    lab.at_rest()
    proc.send_signal(signal.SIGINT)
    ended(proc)
    got, link = read_pcapng(path)
    assert link == 1
    comments = [comment for *_, comment, _ in got]
    assert sum(c.startswith('sent') for c in comments) >= 20, comments  # 10 packets, in and out
    assert 'dropped at replay: replayed' in comments
    for _, data, length, _, inbound in got:
        assert len(data) == length and data[12:14] == b'\x08\x00'
        assert struct.unpack_from('!H', data, 36 if inbound else 34)[0] == plan.WG_PORT


def test_payloads_are_for_the_write_group(lab):
    """Whoever may read counters and the flow log may not read packets (decision 26)."""
    def as_reader(*args):
        return subprocess.run(['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups', lab.lab.program('sluicectl'), '--edge-socket',
                               lab.lab.edge_sock, '--json', *args], capture_output=True, text=True, timeout=30, cwd='/')
    assert as_reader('show', 'hits').returncode == 0
    assert as_reader('logs').returncode == 0
    for command in (['trace'], ['capture', '-w', '/dev/null'], ['capture', '-w', '/dev/null', '--outer']):
        done = as_reader(*command)
        assert done.returncode == 1 and 'may not call this method' in done.stdout + done.stderr, (done.stdout, done.stderr)
    assert not lab.edge_call('show.counters')['tap']


def test_one_at_a_time_and_in_the_audit_trail(lab):
    proc = start(lab, 'trace')
    other = subprocess.run([lab.lab.program('sluicectl'), '--edge-socket', lab.lab.edge_sock, 'trace'], capture_output=True, text=True, timeout=30)
    assert other.returncode == 1 and 'another trace or capture is on' in other.stderr
    proc.kill()
    proc.wait(10)
    lab.wait('the tap is off', lambda: not lab.edge_call('show.counters')['tap'], 10)
    rows = [r for r in lab.ctl('history', '--limit', '20')['history'] if r['method'] in ('trace', 'capture')]
    assert len(rows) >= 5, rows
    assert rows[0]['uid'] == 0 and rows[0]['comm'] == 'sluicectl' and rows[0]['revision'] is None
    # with sluice-ctrl down the row is kept, and told later
    lab.stop('ctrl')
    lab.wait('the edge knows', lambda: not lab.ctl('show', 'health')['edge']['ctrl']['connected'], 20)
    proc = start(lab, 'capture', '-w', lab.lab.path('x.pcapng'))
    proc.send_signal(signal.SIGINT)
    ended(proc)
    assert os.path.getsize(lab.lab.path('edge', 'audit.jsonl')) > 0
    lab.start('ctrl')
    lab.wait('it is told', lambda: not os.path.exists(lab.lab.path('edge', 'audit.jsonl')), 20)
    again = [r for r in lab.ctl('history', '--limit', '20')['history'] if r['method'] in ('trace', 'capture')]
    assert len(again) > len(rows) and again[0]['method'] == 'capture'
