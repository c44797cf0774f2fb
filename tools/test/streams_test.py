#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Commands whose answer comes as notifications: logs, trace, capture."""
import base64
import json
import os
import struct
import sys

from harness import EDGE, Refused, Stream, eq, error_doc, fails, main, ok, path, run, test

WHO = {'client': 'ana', 'client_id': 'c-1', 'email': 'ana@example.com', 'account': 'default', 'vnet': 'default'}
START = {'time': '2026-11-24T02:31:00.123456Z', 'event': 'start', 'flow': '0001000000000001', **WHO, 'proto': 'tcp', 'src': '100.96.0.2',
         'sport': 40000, 'dst': '198.51.100.101', 'dport': 443, 'host': None, 'verdict': 'allow', 'rule': 'default', 'rule_id': None,
         'revision': 7, 'tunnel': 'k8s', 'connector_id': 'k-1', 'hostname': 'node7'}
END = {**START, 'event': 'end', 'time': '2026-11-24T02:31:02.000000Z', 'host': 'www.example.com', 'duration_s': 1.875, 'packets_up': 10,
       'bytes_up': 900, 'packets_down': 20, 'bytes_down': 31234, 'reason': 'closed'}
BLOCKED = {**START, 'event': 'blocked', 'proto': 'icmpv6', 'src': 'fd00::2', 'dst': '2001:db8::1', 'verdict': 'block', 'rule': 'no pings',
           'tunnel': None, 'reason': 'policy_block', 'count': 12}
LINES = [START, END, BLOCKED]


def lines(*rows, lost=0):
    return ('logs.lines', {'lost': lost, 'lines': list(rows)})


@test
def logs_asks_for_what_was_said():
    EDGE.replies = {'logs.read': Stream([], {'lines': 0, 'lost': 0}), 'logs.follow': Stream([], {'following': True}, close=True)}
    eq(ok('logs').stdout, '')
    eq(EDGE.calls, [('logs.read', {})])
    ok('logs', '--denied', '--client', 'c', '--limit', '5')
    eq(EDGE.calls, [('logs.read', {'denied': True, 'client': 'c', 'limit': 5})])
    run('logs', '--follow', '--denied')
    eq(EDGE.calls, [('logs.follow', {'denied': True})])


@test
def lines_are_aligned_for_people():
    EDGE.replies = {'logs.read': Stream([lines(START), lines(END, BLOCKED)], {'lines': 3, 'lost': 0})}
    out = ok('logs').stdout.splitlines()
    eq(out, ['2026-11-24 UTC',
             '02:31:00.123  start    ana  tcp     100.96.0.2:40000  198.51.100.101:443  allow  default  k8s  ',
             '02:31:02.000  end      ana  tcp     100.96.0.2:40000  198.51.100.101:443 www.example.com  allow  default  k8s  '
             'closed  1.9s  up 900B  down 31kB',
             '02:31:00.123  blocked  ana  icmpv6  fd00::2           2001:db8::1                         block  no pings  -    '
             'policy_block  12 packets'])


@test
def json_gives_the_lines_as_they_are():
    EDGE.replies = {'logs.read': Stream([lines(*LINES, lost=3)], {'lines': 3, 'lost': 3})}
    out = [json.loads(text) for text in ok('logs', '--json').stdout.splitlines()]
    eq(out, [{'event': 'lost', 'count': 3}] + LINES)
    done = ok('logs')
    assert '3 lines lost' in done.stderr


@test
def outside_text_is_harmless_on_a_terminal():
    evil = {**START, 'client': '\x1b[31mx', 'rule': 'a\nb', 'host': '\u202eevil'}
    EDGE.replies = {'logs.read': Stream([lines(evil)], {'lines': 1, 'lost': 0})}
    out = ok('logs').stdout
    assert '\x1b' not in out and '\u202e' not in out and out.count('\n') == 2, out


@test
def follow_goes_on_until_the_edge_goes():
    EDGE.replies = {'logs.follow': Stream([lines(START)], {'following': True}, close=True)}
    done = fails(1, 'logs', '--follow')
    assert 'start' in done.stdout and 'closed the connection' in done.stderr


@test
def refusals_are_told():
    EDGE.replies = {'logs.read': Refused(-32000, 'unsupported', None, 'the flow log is off')}
    eq(error_doc(fails(1, '--json', 'logs'))['message'], 'the flow log is off')


PACKET = {'time_ns': 1700000000123456789, 'worker': 1, 'direction': 'up', 'outcome': 'sent', 'stage': 'encrypt', 'reason': None, 'received': False,
          'length': 60, 'client': 'ana', 'rule': 'default', 'tunnel': 'k8s', 'hostname': 'node7', 'src': '100.96.0.2', 'dst': '2001:db8::1',
          'protocol': 6, 'sport': 4000, 'dport': 443, 'tcp_flags': 'S'}
DROPPED = {**PACKET, 'outcome': 'dropped', 'stage': 'decide', 'reason': 'policy_block', 'rule': '\x1b[1mno', 'tcp_flags': None}


@test
def trace_prints_a_line_a_packet():
    EDGE.replies = {'trace': Stream([('trace.packets', {'lost': 2, 'packets': [PACKET, DROPPED]})], {'packets': 2, 'lost': 2})}
    done = ok('trace', '--client', 'c', '--dst', '10.0.0.0/8', '--dropped', '--count', '3')
    eq(EDGE.calls, [('trace', {'client': 'c', 'dst': '10.0.0.0/8', 'dropped': True, 'count': 3})])
    way = 'rx>classify>session>decrypt>replay>inner_check>flow>decide'
    eq(done.stdout.splitlines(), [
        f'22:13:20.123456 w1 up   ana          tcp    100.96.0.2:4000 > [2001:db8::1]:443 [S] 60B  {way}>act>encrypt  '
        'sent to k8s (node7), rule default',
        f'22:13:20.123456 w1 up   ana          tcp    100.96.0.2:4000 > [2001:db8::1]:443 60B  {way}  '
        'dropped at decide: policy_block, rule \\x1b[1mno'])
    assert '2 packets not shown' in done.stderr
    eq([json.loads(line) for line in ok('trace', '--json').stdout.splitlines()], [{'lost': 2}, PACKET, DROPPED])


@test
def capture_writes_pcapng():
    rows = [{**PACKET, 'data': base64.b64encode(b'E' * 59).decode()}, {**DROPPED, 'received': True, 'data': base64.b64encode(b'F' * 60).decode()}]
    EDGE.replies = {'capture': Stream([('capture.packets', {'lost': 0, 'packets': rows})], {'packets': 2, 'lost': 0})}
    eq(ok('capture', '-w', path('c.pcapng'), '--client', 'c', '--inner', '--count', '2').stdout, f'2 packets in {path("c.pcapng")}\n')
    eq(EDGE.calls, [('capture', {'client': 'c', 'inner': True, 'count': 2})])
    eq(os.stat(path('c.pcapng')).st_mode & 0o777, 0o600)
    with open(path('c.pcapng'), 'rb') as f:
        data = f.read()
    at, kinds = 0, []
    while at < len(data):
        kind, total = struct.unpack_from('<II', data, at)
        eq(struct.unpack_from('<I', data, at + total - 4)[0], total, 'length at the end')
        kinds.append(kind)
        at += total
    eq(kinds, [0x0a0d0d0a, 1, 6, 6])
    high, low, kept, length = struct.unpack_from('<IIII', data, data.index(b'E' * 59) - 16)
    eq((high << 32 | low, kept, length), (1700000000123456789, 59, 60))
    assert b'sent to k8s (node7), rule default' in data and b'dropped at decide: policy_block' in data
    eq(fails(2, 'capture', '-w', path('d.pcapng'), '--inner', '--outer').returncode, 2)
    assert 'No such file' in fails(1, 'capture', '-w', path('no/such/file')).stderr


if __name__ == '__main__':
    sys.exit(main())
