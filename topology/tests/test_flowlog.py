# SPDX-License-Identifier: BSD-3-Clause
"""The flow log as an operator has it: what a download, a refused ping and a slow reader leave in it.

      client1 ── inet ── edge ── conn1 ── origin
"""
import json
import os
import signal
import subprocess
import time

import pytest
from sluicelab import plan
from sluicelab.net import in_ns

SHAPE = {'clients': 1, 'connectors': 1, 'workers': 1, 'outer': 4}


def logs(lab, *args):
    """`sluicectl logs --json`, line by line."""
    return [json.loads(line) for line in ctl_text(lab, 'logs', '--json', *args).splitlines()]


def ctl_argv(lab, *args):
    return [lab.lab.program('sluicectl'), '--edge-socket', lab.lab.edge_sock, *args]


def ctl_text(lab, *args):
    return subprocess.run(ctl_argv(lab, *args), check=True, capture_output=True, text=True, timeout=60).stdout


def lines_of(lab, event, **fields):
    return [row for row in logs(lab) if row['event'] == event and all(row[k] == v for k, v in fields.items())]


class Captured:
    """Inner packets of one address pair at the origin's side: count and bytes of IP, each way, by tcpdump."""

    def __init__(self, lab, node, iface, condition):
        self.proc = subprocess.Popen(in_ns(lab.lab, node, ['tcpdump', '-nn', '-q', '-l', '--immediate-mode', '-i', iface, '-v', condition]),
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while 'listening on' not in (line := self.proc.stderr.readline()):
            assert line, 'tcpdump ended'

    def stop(self):
        time.sleep(0.5)
        self.proc.send_signal(signal.SIGINT)
        return self.proc.communicate(timeout=20)[0]


def ip_lengths(text, client):
    """(packets, bytes) up and down out of tcpdump -v: `IP (… length N)` and then the addresses."""
    sums = {'up': [0, 0], 'down': [0, 0]}
    length = None
    for line in text.splitlines():
        if ', length ' in line and '(tos' in line:
            length = int(line.rsplit('length ', 1)[1].rstrip(') '))
        elif ' > ' in line and length is not None:
            way = sums['up' if line.strip().startswith(client + '.') else 'down']
            way[0] += 1
            way[1] += length
            length = None
    return tuple(sums['up']), tuple(sums['down'])


def test_a_download_has_one_start_and_one_end_with_its_bytes(lab):
    address = lab.ctl('client', 'show', 'client1')['client']['addresses'][0].split('/')[0]
    lab.ctl('settings', 'set', 'flow_timeout_tcp_closing_s', '2')
    seen = Captured(lab, 'client1', 'wg0', f'tcp and host {plan.ORIGIN_V4}')
    lab.sh('client1', 'curl', '-sS', '-f', '-o', '/dev/null', f'http://{plan.ORIGIN_V4}/')
    lab.wait('the end is logged', lambda: lines_of(lab, 'end', proto='tcp', dst=plan.ORIGIN_V4), 30)
    up, down = ip_lengths(seen.stop(), address)
    starts, ends = lines_of(lab, 'start', proto='tcp', dst=plan.ORIGIN_V4), lines_of(lab, 'end', proto='tcp', dst=plan.ORIGIN_V4)
    assert len(starts) == len(ends) == 1, (starts, ends)
    start, end = starts[0], ends[0]
    assert start['flow'] == end['flow'] and end['reason'] == 'closed'
    assert start['client'] == 'client1' and start['src'] == address and start['dport'] == 80
    assert start['verdict'] == 'allow' and start['rule'] == 'default' and start['tunnel'] == 'k8s_zero_trust_tunnel'
    assert (end['packets_up'], end['bytes_up']) == up and (end['packets_down'], end['bytes_down']) == down
    # the file holds the same lines
    path = lab.lab.path('edge', 'flows.log')
    with open(path, encoding='utf-8') as f:
        written = [json.loads(line) for line in f]
    assert start in written and end in written
    assert os.stat(path).st_mode & 0o777 == 0o640


def test_refused_pings_are_summed_up(lab):
    lab.ctl('account', 'set', 'default', '--default-action', 'block')
    try:
        before = len(lines_of(lab, 'blocked'))
        sent, received = lab.ping('client1', plan.ORIGIN_V4, 60, interval='0.05')
        assert (sent, received) == (60, 0)
        lab.wait('all are told', lambda: sum(r['count'] for r in lines_of(lab, 'blocked')[before:]) == 60, 10)
        rows = lines_of(lab, 'blocked')[before:]
        assert len(rows) <= 10, rows  # the first at once, then one a second
        assert rows[0]['count'] == 1 and rows[0]['reason'] == 'policy_block' and rows[0]['rule'] == 'default'
        assert all(r['client'] == 'client1' and r['proto'] == 'icmp' and r['verdict'] == 'block' for r in rows)
        assert [r for r in logs(lab, '--denied')][-1]['event'] == 'blocked'
        assert not logs(lab, '--denied', '--client', 'nobody')
    finally:
        lab.ctl('account', 'set', 'default', '--default-action', 'allow')


def udp(lab, payloads=1):
    return lab.udp_echo('client1', plan.ORIGIN_V4, [b'x'] * payloads)


def test_follow_tells_within_a_second(lab):
    reader = subprocess.Popen(ctl_argv(lab, 'logs', '--follow', '--json', '--limit', '0', '--client', 'client1'), stdout=subprocess.PIPE, text=True)
    try:
        lab.wait('it follows', lambda: lab.edge_call('show.counters')['flow_log']['readers'] >= 1, 5)
        began = time.monotonic()
        udp(lab)
        line = json.loads(reader.stdout.readline())
        took = time.monotonic() - began
        lab.note(f'logs --follow: {took * 1000:.0f} ms after the packet was sent')
        assert line['event'] == 'start' and line['proto'] == 'udp'
        assert took < 1.0 * lab.slow
    finally:
        reader.terminate()
        reader.wait(10)


def test_a_reader_that_stands_still_costs_lines_and_no_packets(lab):
    """A reader is stopped while many flows begin: packets go on, it is told how many lines it has lost."""
    raw = lab.add_raw('flooder')
    lab.ctl('settings', 'set', 'client_max_flows', '60000')
    lab.ctl('settings', 'set', 'client_new_flows_per_second', '50000')
    reader = subprocess.Popen(ctl_argv(lab, 'logs', '--follow', '--json', '--limit', '0'), stdout=subprocess.PIPE, text=True)
    try:
        lab.wait('it follows', lambda: lab.edge_call('show.counters')['flow_log']['readers'] >= 1, 5)
        reader.send_signal(signal.SIGSTOP)
        before = lab.counters()
        flood(lab, raw, 24000)
        now = lab.counters()
        assert now['flow_log']['lines'] - before['flow_log']['lines'] >= 20000
        assert now['flow_log']['ring_dropped'] == before['flow_log']['ring_dropped']
        assert lab.ping('client1', plan.ORIGIN_V4, 10) == (10, 10)
        reader.send_signal(signal.SIGCONT)
        for text in reader.stdout:
            line = json.loads(text)
            if line['event'] == 'lost':
                break
        assert line['count'] > 0
        lost = lab.counters()['flow_log']['readers_lost'] - before['flow_log']['readers_lost']
        lab.note(f'a reader that stood still for 24,000 flows lost {lost} lines')
        assert lost == line['count']
        # the file has lost none
        assert now['flow_log']['file_lost'] == 0
    finally:
        reader.kill()
        reader.wait(10)


def flood(lab, raw, flows):
    """Each a UDP packet of a flow of its own that dies in the edge (TTL 1), at a pace that the sockets hold."""
    import packets
    source = raw.addresses[0]
    for n in range(flows):
        raw.send(packets.udp(source, plan.ORIGIN_V4, 1024 + n % 60000, 9, b'x', ttl=1))
        if n % 64 == 63:
            time.sleep(0.004)
    end = time.monotonic() + 20 * lab.slow
    last = -1
    while (now := lab.counters()['flow_log']['lines']) != last and time.monotonic() < end:
        last = now
        time.sleep(0.3)


@pytest.mark.no_books
def test_a_stopped_edge_ends_its_flows(lab):
    udp(lab)
    lab.stop('edge')
    with open(lab.lab.path('edge', 'flows.log'), encoding='utf-8') as f:
        last = json.loads(f.readlines()[-1])
    assert last['event'] == 'end' and last['reason'] == 'edge_stopped'
    lab.start('edge')


def hits(lab, by, **which):
    rows = lab.ctl('show', 'hits', '--by', by)['hits']
    found = [r for r in rows if all(r[k] == v for k, v in which.items())]
    assert len(found) <= 1, rows
    return found[0] if found else dict.fromkeys(('packets_up', 'bytes_up', 'packets_down', 'bytes_down', 'flows_allowed', 'flows_blocked',
                                                 'packets_blocked'), 0)


def test_counters_are_exact_at_once(lab):
    """Of rule, route and client, while the flow still runs; a rule that takes another's place begins at zero."""
    route = f'{plan.ORIGIN_V4}/32'
    lab.ctl('rule', 'create', 'pings', '--precedence', '5', '--action', 'allow', '--filter', 'l4', '--traffic', 'net.protocol == "icmp"')
    lab.wait('the client is back', lambda: lab.ping('client1', plan.ORIGIN_V4, 1, '-W', '1')[1] == 1, 60)
    kinds = (('rule', {'rule': 'pings'}), ('client', {'client': 'client1'}), ('route', {'network': route}))
    before = [hits(lab, by, **which) for by, which in kinds]
    assert lab.ping('client1', plan.ORIGIN_V4, 20, '-s', '100') == (20, 20)
    for (by, which), was in zip(kinds, before):
        now = hits(lab, by, **which)
        assert now['packets_up'] - was['packets_up'] == now['packets_down'] - was['packets_down'] == 20, (by, was, now)
        assert now['bytes_up'] - was['bytes_up'] == now['bytes_down'] - was['bytes_down'] == 20 * 128, (by, was, now)
        assert now['flows_allowed'] - was['flows_allowed'] == 1, (by, was, now)
    lab.ctl('rule', 'set', 'pings', '--action', 'block')
    assert lab.ping('client1', plan.ORIGIN_V4, 5)[1] == 0
    now = hits(lab, 'rule', rule='pings')
    assert now['packets_blocked'] == 5 and now['flows_blocked'] == 1
    lab.ctl('rule', 'delete', 'pings')
    lab.ctl('rule', 'create', 'others', '--precedence', '5', '--action', 'allow', '--filter', 'l4', '--traffic', 'net.protocol == "icmp"')
    assert hits(lab, 'rule', rule='others')['packets_up'] == 0
    assert lab.ping('client1', plan.ORIGIN_V4, 3) == (3, 3)
    assert hits(lab, 'rule', rule='others')['packets_up'] == 3
    text = lab.sh('edge', 'curl', '-sS', 'http://127.0.0.1:9465/metrics')
    assert 'sluice_rule_packets_total{rule="' in text and 'sluice_flow_log_lines_total' in text
    lab.ctl('rule', 'delete', 'others')
