# SPDX-License-Identifier: BSD-3-Clause
"""The same counters by edge.sock, by Prometheus and by DPDK telemetry; and a dashboard that asks for what is there."""
import glob
import json
import os
import re
import socket

import packets
from sluicelab import plan, procs

SHAPE = {'clients': 1, 'connectors': 1, 'workers': 2, 'outer': 4}
DASHBOARD = os.path.join(os.path.dirname(plan.TOPOLOGY), 'docs/grafana/sluice.json')


def telemetry(lab, command):
    """What the edge of this lab answers on its DPDK telemetry socket."""
    pid = procs.pid_of(lab.lab, 'edge')
    for path in glob.glob('/var/run/dpdk/sluice-*/dpdk_telemetry.v2*'):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.settimeout(10)
            try:
                s.connect(path)
            except OSError:
                continue  # of an edge that was killed
            if json.loads(s.recv(4096))['pid'] == pid:
                s.sendall(command.encode())
                return json.loads(s.recv(16384))[command]
    raise AssertionError('the edge has no telemetry socket')


def scrape(lab, port):
    return lab.sh('edge', 'curl', '-sS', '--max-time', '10', f'http://127.0.0.1:{port}/metrics')


def test_three_ways_to_the_same_numbers(lab):
    assert lab.ping('client1', plan.ORIGIN_V4, 20) == (20, 20)
    raw = lab.add_raw('lost')
    for port in range(5):
        raw.send(packets.udp(raw.addresses[0], '192.0.2.200', 5000 + port, 7))
    lab.wait('the five are dropped', lambda: telemetry(lab, '/sluice/drops')['no_route'] == 5, 10)
    totals, drops = telemetry(lab, '/sluice/totals'), telemetry(lab, '/sluice/drops')
    shown = lab.edge_call('show.counters')['totals']
    assert totals['rx_packets'] >= 45 and totals['sessions'] >= 2
    assert totals.keys() == shown.keys() - {'inspection'}, 'the same names'
    for name in ('handshakes', 'sessions', 'flows_ended', 'dropped_packets'):
        assert totals[name] <= shown[name] or name == 'sessions', name
    assert sum(drops.values()) == totals['dropped_packets']
    assert drops.keys() == set(re.findall(r'sluice_edge_drops_total\{reason="([a-z0-9_]+)"\}', scrape(lab, 9465)))
    workers = telemetry(lab, '/sluice/workers')
    assert workers.keys() == {'worker0', 'worker1'}
    assert sum(w['tx_packets'] for w in workers.values()) >= 40


def test_dashboard_asks_for_metrics_that_exist(lab):
    lab.ctl('rule', 'create', 'seen', '--precedence', '5', '--action', 'allow', '--filter', 'l4', '--traffic', 'net.protocol == "icmp"')
    assert lab.ping('client1', plan.ORIGIN_V4, 3) == (3, 3)
    there = set(re.findall(r'^(sluice_[a-z0-9_]+)', scrape(lab, 9464) + scrape(lab, 9465), re.M))
    with open(DASHBOARD, encoding='utf-8') as f:
        board = json.load(f)
    asked = {name for panel in board['panels'] for target in panel.get('targets', ())
             for name in re.findall(r'sluice_[a-z0-9_]+', target['expr'])}
    connector = {name for name in asked if name.startswith('sluice_connector_')}
    assert len(asked) >= 20 and not asked - connector - there, asked - connector - there
    lab.ctl('rule', 'delete', 'seen')
