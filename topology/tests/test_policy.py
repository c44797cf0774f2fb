# SPDX-License-Identifier: BSD-3-Clause
"""Rules decide who may open what, before a packet leaves; a change cuts what runs; and the edge can say why.

      client1, client2 ── inet ── edge ── conn1 ── origin
"""
import json
import os
import random
import re
import socket
import struct
import subprocess
import threading
import time

import pytest
from sluicelab import plan
from sluicelab.net import in_ns
from traffic import Download

SHAPE = {'clients': 2, 'connectors': 1, 'workers': 1, 'outer': 4}
V4, V6 = plan.ORIGIN_V4, plan.ORIGIN_V6
TRIES = 10000
SO_TIMESTAMPNS = 35


def source(lab, client, family=4):
    addresses = [a.split('/')[0] for a in lab.ctl('client', 'show', client)['client']['addresses']]
    return next(a for a in addresses if (':' in a) == (family == 6))


def explain(lab, client, dst=V4, *args):
    return lab.ctl('explain', '--client', client, '--dst', dst, *args)


def explain_text(lab, client, dst=V4, *args):
    argv = [lab.lab.program('sluicectl'), '--edge-socket', lab.lab.edge_sock, 'explain', '--client', client, '--dst', dst, *args]
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout


def flows(lab, client, **fields):
    rows = lab.ctl('show', 'flows', '--client', client)['flows']
    return [r for r in rows if all(r[k] == v for k, v in fields.items())]


def logged(lab, **fields):
    argv = [lab.lab.program('sluicectl'), '--edge-socket', lab.lab.edge_sock, 'logs', '--json']
    text = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout
    rows = [json.loads(line) for line in text.splitlines()]
    return [r for r in rows if all(r.get(k) == v for k, v in fields.items())]


def fetch(lab, node, dst=V4, seconds=5):
    """(curl's exit status, HTTP status)."""
    host = f'[{dst}]' if ':' in dst else dst
    p = subprocess.run(in_ns(lab.lab, node, ['curl', '-s', '-o', '/dev/null', '-m', str(seconds * lab.slow), '-w', '%{http_code}',
                                             f'http://{host}/']), capture_output=True, text=True, check=False)
    return p.returncode, p.stdout


REFUSED = 7  # curl: connection refused


@pytest.fixture
def undo(lab):
    """Commands to run at the end, last first."""
    todo = []
    yield lambda *args: todo.append(args)
    for args in reversed(todo):
        lab.ctl(*args)


class Sniffer:
    """Packets at an interface of a node, with the kernel's time of each; `keep` chooses among them."""

    def __init__(self, lab, node, iface, keep):
        self.sock = lab.socket(node, socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
        self.sock.bind((iface, 3))
        self.sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 20)
        self.sock.settimeout(0.2)
        self.keep, self.times, self.ended = keep, [], False
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        while True:
            try:
                data, more, _, _ = self.sock.recvmsg(2048, 64)
            except TimeoutError:
                if self.ended:
                    return
                continue
            except OSError:  # the interface went away
                return
            if self.keep(data):
                s, ns = struct.unpack('qq', more[0][2][:16])
                self.times.append(s + ns / 1e9)

    def stop(self):
        """Unix times of the packets kept."""
        self.ended = True
        self.thread.join(10)
        self.sock.close()
        return self.times


def tcp_between(a, b, port, data_only=False):
    """Packets of IPv4 TCP from a to b with this port on either side."""
    a, b = socket.inet_aton(a), socket.inet_aton(b)

    def keep(p):
        if len(p) < 40 or p[0] != 0x45 or p[9] != 6 or p[12:16] != a or p[16:20] != b:
            return False
        sport, dport = struct.unpack('!HH', p[20:24])
        return port in (sport, dport) and (not data_only or struct.unpack('!H', p[2:4])[0] > 20 + (p[32] >> 4) * 4)
    return keep


# --- 1: the scenario's rule, and one group may ------------------------------------------------------------------------

def test_the_off_rule_ends_inspection_and_allows_nothing(lab, undo):
    # somebody asks for host names, so that there is something to end
    made = lab.ctl('rule', 'create', 'no evil', '--precedence', '20000', '--action', 'block', '--filter', 'http',
                   '--traffic', 'http.request.host == "evil.example"')
    undo('rule', 'delete', 'no evil', '--yes')
    assert made['applied']
    assert fetch(lab, 'client1') == (0, '200') and fetch(lab, 'client1', V6) == (0, '200')
    for dst in (V4, V6):
        why = explain(lab, 'client1', dst)
        off = next(r for r in why['rules'] if r['action'] == 'off')
        assert off['match'] == 'yes' and off['decided'] and why['inspection'] == 'off'
        assert why['verdict'] == 'allow' and why['rule'] == 'default' and why['connector']['id']
        assert why['route']['network'] == f'{dst}/{32 if dst == V4 else 128}' and why['next_route'] is None
    lab.ctl('account', 'set', 'default', '--default-action', 'block')
    undo('account', 'set', 'default', '--default-action', 'allow')
    assert fetch(lab, 'client1')[0] == REFUSED
    why = explain(lab, 'client1')
    assert why['verdict'] == 'block' and why['rule'] == 'default' and why['inspection'] == 'off' and why['connector'] is None


@pytest.fixture
def engineers_only(lab, undo):
    lab.ctl('account', 'set', 'default', '--default-action', 'block')
    undo('account', 'set', 'default', '--default-action', 'allow')
    lab.ctl('client', 'set', 'client2', '--group', 'sales')
    undo('client', 'set', 'client2', '--group', 'engineers')
    lab.ctl('rule', 'create', 'engineers only', '--precedence', '100', '--action', 'allow', '--filter', 'l4',
            '--traffic', f'net.dst.ip in {{{V4} {V6}}} and net.dst.port in {{80 6443}}',
            '--identity', 'any(identity.groups.name[*] == "engineers")')
    undo('rule', 'delete', 'engineers only', '--yes')
    lab.ctl('rule', 'create', 'nobody else', '--precedence', '200', '--action', 'block', '--filter', 'l4', '--traffic', 'net.dst.port == 80')
    undo('rule', 'delete', 'nobody else', '--yes')


def test_one_group_passes_and_another_is_refused_by_name(lab, engineers_only):
    assert fetch(lab, 'client1') == (0, '200') and fetch(lab, 'client1', V6) == (0, '200')
    row = min(flows(lab, 'client1', dst=V4, dport=80), key=lambda r: r['age_s'])
    assert (row['verdict'], row['rule']) == ('allow', 'engineers only') and row['rule_id']
    began = time.monotonic()
    with lab.measure() as m:
        assert fetch(lab, 'client2')[0] == REFUSED, 'a reset, not a wait'
        assert fetch(lab, 'client2', V6)[0] == REFUSED
    assert time.monotonic() - began < 5 * lab.slow
    assert m.drops == {'policy_block': 2} and m.forwarded == 0
    row = min(flows(lab, 'client2', dst=V4, dport=80), key=lambda r: r['age_s'])
    assert (row['verdict'], row['rule']) == ('block', 'nobody else')
    hits = {h['rule']: h for h in lab.ctl('show', 'hits', '--by', 'rule')['hits']}
    assert hits['nobody else']['packets_blocked'] == 2 and hits['nobody else']['flows_allowed'] == 0, hits
    assert hits['engineers only']['flows_allowed'] == 2 and hits['engineers only']['packets_blocked'] == 0, hits
    lab.wait('the refusal is logged', lambda: logged(lab, event='blocked', client='client2', rule='nobody else', verdict='block'))
    assert fetch(lab, 'client1')[1] == '200' and flows(lab, 'client1', dst=V4, dport=22) == []
    assert lab.sh('client1', 'curl', '-s', '-m', '3', f'http://{V4}:7/', check=False) == '', 'another port is nobody\'s'


def test_explain_says_why(lab, engineers_only):
    why = explain(lab, 'client2', V4, '--dport', '80')
    assert why['verdict'] == 'block' and why['rule'] == 'nobody else' and why['answer'] == 'tcp reset' and why['reason'] == 'policy_block'
    first, second = [r for r in why['rules'] if r['filter'] == 'l4']
    assert (first['rule'], first['match'], first['failed']) == ('engineers only', 'no', 'identity')
    assert (second['rule'], second['match'], second['decided']) == ('nobody else', 'yes', True)
    assert explain(lab, 'client2@example.com', V4, '--dport', '443')['rule'] == 'default'
    why = explain(lab, 'client1', V4, '--dport', '80')
    assert why['verdict'] == 'allow' and why['rule'] == 'engineers only' and why['connector']['one_of'] == 1
    assert why['route']['tunnel'] and why['client'] == 'client1' and why['src'] == source(lab, 'client1')
    # the less specific route that would hold
    lab.ctl('route', 'add', '198.51.100.0/24', why['route']['tunnel'])
    try:
        assert explain(lab, 'client1')['next_route']['network'] == '198.51.100.0/24'
    finally:
        lab.ctl('route', 'delete', '198.51.100.0/24', '--yes')
    why = explain(lab, 'client1', '192.0.2.200')
    assert (why['verdict'], why['reason'], why['route']) == ('drop', 'no_route', None)
    text = explain_text(lab, 'client2', V4, '--dport', '80')
    print(text)
    assert 'BLOCK by rule nobody else' in text and 'no: identity' in text and 'tunnel k8s_zero_trust_tunnel' in text
    text = explain_text(lab, 'client1', V4, '--dport', '80')
    print(text)
    assert 'ALLOW by rule engineers only' in text and 'comes too late' in text and 'connector' in text
    for wrong, field in ((('--client', 'nobody', '--dst', V4), 'client'), (('--client', 'client1', '--dst', 'here'), 'dst')):
        error = lab.ctl('explain', *wrong, check=False)['error']
        assert error['field'] == field, error


def test_explain_asks_for_the_name_that_decides(lab, undo):
    lab.ctl('rule', 'create', 'no evil', '--precedence', '400', '--action', 'block', '--filter', 'l4', '--traffic', 'net.sni.host == "evil.example"')
    undo('rule', 'delete', 'no evil', '--yes')
    why = explain(lab, 'client1')
    assert why['verdict'] == 'inspect' and why['inspection'] == 'needed' and why['dport_assumed']
    assert next(r for r in why['rules'] if r['rule'] == 'no evil')['match'] == 'unknown'
    why = explain(lab, 'client1', V4, '--host', 'evil.example')
    assert (why['verdict'], why['rule'], why['seen_as']) == ('block', 'no evil', 'tls')
    assert explain(lab, 'client1', V4, '--host', 'good.example')['verdict'] == 'allow'
    assert 'try --host' in explain_text(lab, 'client1')


def test_a_rule_that_never_matches_is_said(lab, undo):
    lab.ctl('rule', 'create', 'wide', '--precedence', '300', '--action', 'allow', '--filter', 'l4', '--traffic', 'net.dst.ip in {198.51.100.0/24}')
    undo('rule', 'delete', 'wide', '--yes')
    made = lab.ctl('rule', 'create', 'narrow', '--precedence', '310', '--action', 'block', '--filter', 'l4', '--traffic',
                   f'net.dst.ip == {V4} and net.dst.port == 22')
    undo('rule', 'delete', 'narrow', '--yes')
    assert any("'narrow'" in w and "'wide'" in w for w in made['warnings']), made['warnings']
    assert lab.ctl('rule', 'set', 'narrow', '--precedence', '290')['warnings'] == []
    made = lab.ctl('rule', 'create', 'both', '--precedence', '320', '--action', 'allow', '--filter', 'l4', '--traffic',
                   f'net.dst.ip in {{{V4} 198.51.100.128/25}} and net.dst.port in {{22 80}}', '--identity', 'identity.email == "a@example.com"')
    undo('rule', 'delete', 'both', '--yes')
    assert any("'both'" in w and "'wide'" in w for w in made['warnings']), made['warnings']


def test_answers_are_as_the_rule_says(lab, undo):
    lab.ctl('rule', 'create', 'hush', '--precedence', '50', '--action', 'block', '--filter', 'l4', '--traffic', 'net.dst.port == 80',
            '--rule-settings', '{"answer": "drop"}')
    undo('rule', 'delete', 'hush', '--yes')
    assert fetch(lab, 'client1', V4, 2)[0] == 28, 'silence: curl waits until its time is over'
    lab.ctl('rule', 'set', 'hush', '--rule-settings', '{"answer": "reject"}')
    assert fetch(lab, 'client1')[0] == REFUSED
    error = lab.ctl('rule', 'set', 'hush', '--rule-settings', '{"answer": "shout"}', check=False)['error']
    assert error['code'] == 'invalid' and error['field'] == 'answer', error


# --- 2: what is blocked never leaves -----------------------------------------------------------------------------------

def raw_syn(src, sport):
    tcp = struct.pack('!HHIIBBHHH', sport, 4433, random.getrandbits(32), 0, 0x50, 0x02, 65535, 0, 0)
    pseudo = socket.inet_aton(src) + socket.inet_aton(V4) + struct.pack('!BBH', 0, 6, len(tcp))
    total = sum(struct.unpack('!16H', pseudo + tcp))
    total = (total & 0xffff) + (total >> 16)
    tcp = tcp[:16] + struct.pack('!H', ~(total + (total >> 16)) & 0xffff) + tcp[18:]
    return struct.pack('!BBHHHBBH4s4s', 0x45, 0, 40, 0, 0x4000, 64, 6, 0, socket.inet_aton(src), socket.inet_aton(V4)) + tcp


def test_a_blocked_syn_never_reaches_the_connector(lab, undo):
    lab.ctl('rule', 'create', 'no 4433', '--precedence', '60', '--action', 'block', '--filter', 'l4', '--traffic', 'net.dst.port == 4433')
    undo('rule', 'delete', 'no 4433', '--yes')
    src, every = source(lab, 'client1'), lambda p: len(p) >= 40 and p[0] >> 4 == 4 and p[9] == 6 and 4433 in struct.unpack('!HH', p[20:24])
    lan, origin = Sniffer(lab, 'conn1', 'lan0', every), Sniffer(lab, 'origin', 'br0', every)
    resets = Sniffer(lab, 'client1', 'wg0', tcp_between(V4, src, 4433))
    began = time.monotonic()
    with lab.measure() as m:
        with lab.socket('client1', socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as s:
            for i in range(TRIES):
                s.sendto(raw_syn(src, 10000 + i), (V4, 0))
                if i % 50 == 49:
                    time.sleep(0.01)
    took = time.monotonic() - began
    reached, answered = lan.stop() + origin.stop(), resets.stop()
    lab.note(f'{TRIES} blocked SYNs in {took:.1f} s: {m.drops.get("policy_block", 0)} refused at the edge, {m.forwarded} packets forwarded, '
             f'{len(reached)} seen at the connector and the origin, {len(answered)} resets to the client')
    assert reached == [] and m.forwarded == 0
    assert m.drops['policy_block'] == TRIES
    assert 0 < len(answered) <= 100 + 110 * took + 10, 'answers are limited'


# --- 3: a change cuts what runs ----------------------------------------------------------------------------------------

# Counted where the edge's packets leave it: after the command has returned at most one may. What left before may wait in the stock client for
# its turn on a busy core; a download of 30 MB/s is 600 packets in that time.
IN_FLIGHT_MS = 25


def sealed_data(p):
    """A packet from the edge that is long enough to carry data of a download."""
    return len(p) >= 1000 and p[0] == 0x45 and p[9] == 17 and p[12:16] == socket.inet_aton(plan.EDGE_V4)


class Running:
    """A download of 100 MB: every packet of data that leaves the edge, and every one that reaches the device."""

    def __init__(self, lab, node, rate='30M'):
        self.lab, self.src = lab, source(lab, node)
        self.sniffer = Sniffer(lab, node, 'wg0', tcp_between(V4, self.src, 80, data_only=True))
        self.wire = Sniffer(lab, 'inet', 'e0', sealed_data)
        self.proc = subprocess.Popen(in_ns(lab.lab, node, ['curl', '-s', '--limit-rate', rate, '-o', '/dev/null', f'http://{V4}/100M.bin']))
        lab.wait('the download runs', lambda: len(self.sniffer.times) > 2000, 30)

    def cut(self, what, moment, within_s=10):
        """The download ended by itself; what came after the moment (unix time)."""
        code = self.proc.wait(within_s * self.lab.slow)
        told = time.time()
        last_ms = self.late(what, moment, f', curl ended with {code} {1000 * (told - moment):+.0f} ms')
        assert code == 56, f'curl: {code}, not a reset'
        return last_ms

    def late(self, what, moment, more=''):
        """How long after the moment the last packet of data came to the device."""
        left, came = self.wire.stop(), self.sniffer.stop()
        late = [len([t for t in times if t > moment]) for times in (left, came)]
        last_ms = [(max(times) - moment) * 1000 for times in (left, came)]
        self.lab.note(f'a running 100 MB download, {what}: {late[0]} packets of data left the edge after it, the last {last_ms[0]:+.1f} ms; '
                      f'{late[1]} came to the device, the last {last_ms[1]:+.1f} ms{more}; {len(left)} and {len(came)} in all')
        assert min(len(left), len(came)) > 1000, f'{len(left)} left, {len(came)} came'
        assert late[0] <= 1, f'{late[0]} packets left the edge after {what}, the last {last_ms[0]:.1f} ms'
        assert last_ms[1] <= IN_FLIGHT_MS * self.lab.slow, f'{late[1]} packets after {what}, the last {last_ms[1]:.1f} ms'
        return last_ms[1]


def timed(lab, *args):
    lab.ctl(*args)
    return time.time()


def test_a_rule_cuts_a_download(lab, undo):
    run = Running(lab, 'client1')
    undo('rule', 'delete', 'stop', '--yes')
    run.cut('after `rule create` returned', timed(lab, 'rule', 'create', 'stop', '--precedence', '10', '--action', 'block', '--filter', 'l4',
                                                  '--traffic', 'net.dst.port == 80'))


def test_a_list_item_cuts_a_download(lab, undo):
    made = lab.ctl('list', 'create', 'stopped', '--type', 'IP', '192.0.2.0/24')
    undo('list', 'delete', 'stopped', '--yes')
    lab.ctl('rule', 'create', 'listed', '--precedence', '10', '--action', 'block', '--filter', 'l4', '--traffic',
            f'net.dst.ip in ${made["list"]["id"]}')
    undo('rule', 'delete', 'listed', '--yes')
    run = Running(lab, 'client1')
    run.cut('after `list add` returned', timed(lab, 'list', 'add', 'stopped', V4))


def test_a_default_action_cuts_a_download(lab, undo):
    run = Running(lab, 'client1')
    undo('account', 'set', 'default', '--default-action', 'allow')
    run.cut('after `account set` returned', timed(lab, 'account', 'set', 'default', '--default-action', 'block'))


def test_an_expired_check_cuts_a_download(lab, undo):
    lab.ctl('rule', 'create', 'healthy', '--precedence', '10', '--action', 'allow', '--filter', 'l4', '--posture',
            'any(device_posture.checks.passed[*] == "disk encrypted")')
    undo('rule', 'delete', 'healthy', '--yes')
    lab.ctl('account', 'set', 'default', '--default-action', 'block')
    undo('account', 'set', 'default', '--default-action', 'allow')
    expires = int(time.time() + 7 * lab.slow)
    lab.ctl('client', 'posture', 'client1', 'disk encrypted', 'pass', '--expires',
            time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(expires)))
    run = Running(lab, 'client1', rate=f'{int(8000 / lab.slow)}k')
    # nobody says anything: the second itself does it; the edge looks at the clock at least every tenth of a second
    late_ms = run.cut('0.15 s after posture expired', expires + 0.15, within_s=30)
    assert late_ms > -1150, 'not before its time'
    assert explain(lab, 'client1')['verdict'] == 'block'


def test_a_list_of_100000_takes_one_more(lab, undo):
    path = lab.lab.path('items')
    with open(path, 'w', encoding='ascii') as f:
        f.writelines(f'10.{i >> 16}.{i >> 8 & 255}.{i & 255}\n' for i in range(99999))
    made = lab.ctl('--timeout', '60', 'list', 'create', 'big', '--type', 'IP', '--from', path)
    os.unlink(path)
    undo('list', 'delete', 'big', '--yes')
    lab.ctl('rule', 'create', 'big list', '--precedence', '20', '--action', 'block', '--filter', 'l4', '--traffic', f'net.dst.ip in ${made["list"]["id"]}')
    undo('rule', 'delete', 'big list', '--yes')
    assert fetch(lab, 'client1') == (0, '200')
    began = time.monotonic()
    lab.ctl('list', 'add', 'big', V4)
    took = time.monotonic() - began
    lab.note(f'one address more in a list of 99,999: applied by the edge {took * 1000:.0f} ms after the command began')
    assert fetch(lab, 'client1')[0] == REFUSED
    assert explain(lab, 'client1', '10.1.2.3')['reason'] == 'no_route'


def test_a_download_that_a_rule_allows_survives_kill_9(lab, engineers_only):
    """The tables come back piece by piece: until the rules are there nobody is told that he is blocked."""
    download = Download(lab, 'client1', V4)
    lab.wait('the download runs', lambda: download.size() > 2 << 20, 30)
    lab.kill('edge')
    lab.start('edge')
    status, digest, took = download.finish()
    lab.note(f'10 MB at 2 MB/s that one rule allows, edge killed meanwhile: curl {status}, {took:.1f} s')
    assert status == 0 and digest == lab.digest_of('10M.bin')
    assert fetch(lab, 'client2')[0] == REFUSED
    row = min(flows(lab, 'client1', dst=V4, dport=80), key=lambda r: r['age_s'])
    assert row['rule'] == 'engineers only'


# --- 4: ICMP obeys ------------------------------------------------------------------------------------------------------

def test_icmp_obeys_rules(lab, undo):
    assert lab.ping('client1', V4) == (3, 3) and lab.ping('client1', V6) == (3, 3)
    lab.ctl('rule', 'create', 'no ping', '--precedence', '10', '--action', 'block', '--filter', 'l4', '--traffic',
            'net.protocol in {"icmp" "icmpv6"}')
    undo('rule', 'delete', 'no ping', '--yes')
    with lab.measure() as m:
        out4 = lab.sh('client1', 'ping', '-c', '3', '-i', '0.2', '-W', '2', V4, check=False)
        out6 = lab.sh('client1', 'ping', '-c', '3', '-i', '0.2', '-W', '2', V6, check=False)
    assert m.drops == {'policy_block': 6} and m.forwarded == 0
    assert 'Packet filtered' in out4 and re.search(r'Administratively prohibited', out6), out4 + out6
    assert fetch(lab, 'client1') == (0, '200'), 'TCP is not meant'
    assert explain(lab, 'client1', V4, '--proto', 'icmp')['answer'] == 'icmp prohibited'
    lab.ctl('rule', 'set', 'no ping', '--action', 'allow')
    assert lab.ping('client1', V4) == (3, 3)


# --- 5: last, for it is for good ----------------------------------------------------------------------------------------

def test_revoking_a_client_cuts_its_download(lab):
    lab.ctl('client', 'set', 'client2', '--group', 'engineers')
    run = Running(lab, 'client2')
    lab.ctl('client', 'revoke', 'client2', '--yes')
    moment = time.time()
    time.sleep(1.5)
    run.proc.kill()
    run.proc.wait()
    run.late('after `client revoke` returned', moment)
    rows = [s for s in lab.ctl('show', 'sessions')['sessions'] if s['client'] == 'client2']
    assert not any(s['live'] for s in rows), 'its session is gone'
    assert explain(lab, 'client2')['reason'] == 'peer_disabled'
