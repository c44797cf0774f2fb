# SPDX-License-Identifier: BSD-3-Clause
"""Rules over host names: real clients' first bytes are held, looked at, and go on or go nowhere.

      client1 ── inet ── edge ── conn1 ── origin
"""
import os
import random
import shutil
import socket
import struct
import subprocess
import threading
import time

import packets
import pytest
from sluicelab import plan
from sluicelab.net import in_ns
from sluicelab.scenario import RULE as OFF_RULE
from test_policy import Sniffer, logged

SHAPE = {'clients': 1, 'connectors': 1, 'workers': 1, 'outer': 4}
V4, V6 = plan.ORIGIN_V4, plan.ORIGIN_V6
FIXTURES = os.path.join(os.path.dirname(__file__), '..', '..', 'dataplane', 'inspect', 'fixtures')
HTTPS = 6443
RESET = (35, 52, 55, 56)  # curl: TLS failed, empty reply, sending failed, receiving failed: all of a RST, by when it came


def fixture(name):
    with open(os.path.join(FIXTURES, name + '.bin'), 'rb') as f:
        return f.read()


@pytest.fixture(autouse=True)
def inspected(lab):
    """The scenario's rule would end inspection of http rules; here they are what is tested."""
    lab.ctl('rule', 'disable', OFF_RULE)
    yield
    lab.ctl('rule', 'enable', OFF_RULE)


@pytest.fixture
def undo(lab):
    """Commands to run at the end, last first."""
    todo = []
    yield lambda *args: todo.append(args)
    for args in reversed(todo):
        lab.ctl(*args)


@pytest.fixture
def rule(lab, undo):
    """Makes a rule for one test."""
    def make(name, action, kind, traffic, precedence='50'):
        made = lab.ctl('rule', 'create', name, '--precedence', precedence, '--action', action, '--filter', kind, '--traffic', traffic)
        undo('rule', 'delete', name, '--yes')
        assert made['applied']
    return make


@pytest.fixture
def setting(lab, undo):
    def change(key, value):
        before = lab.ctl('settings', 'get', key)['settings']
        lab.ctl('settings', 'set', key, value)
        undo('settings', 'set', key, str(before[key] if isinstance(before, dict) else before[0]['value']))
    return change


def curl(lab, *args, seconds=5):
    """(exit status, HTTP status) of curl at client1."""
    p = subprocess.run(in_ns(lab.lab, 'client1', ['curl', '-s', '-o', '/dev/null', '-m', str(seconds * lab.slow), '-w', '%{http_code}', *args]),
                       capture_output=True, text=True, check=False)
    return p.returncode, p.stdout


def https(lab, name, dst=V4, *more):
    pki = [lab.lab.path('pki', f) for f in ('client.pem', 'client.key')]
    at = f'[{dst}]' if ':' in dst else dst
    return curl(lab, '-k', '--cert', pki[0], '--key', pki[1], '--resolve', f'{name}:{HTTPS}:{at}', *more, f'https://{name}:{HTTPS}/version')


def access_log(lab):
    with open(lab.lab.path('origin', 'access.log'), encoding='utf-8', errors='replace') as f:
        return f.read().count('\n')


def data_to(port):
    """Keeps IPv4 TCP packets with payload to this port, whoever sends them."""
    def keep(p):
        return (len(p) >= 40 and p[0] == 0x45 and p[9] == 6 and struct.unpack('!H', p[22:24])[0] == port
                and struct.unpack('!H', p[2:4])[0] > 20 + (p[32] >> 4) * 4)
    return keep


class NothingReaches:
    """While it lasts the origin gets no byte of payload at the port, and logs no request."""

    def __init__(self, lab, port):
        self.lab, self.port = lab, port

    def __enter__(self):
        self.sniffer, self.before = Sniffer(self.lab, 'origin', 'br0', data_to(self.port)), access_log(self.lab)

    def __exit__(self, kind, *_):
        time.sleep(0.2)
        seen = self.sniffer.stop()
        if kind is None:
            assert seen == [], f'{len(seen)} packets with payload came to port {self.port}'
            assert access_log(self.lab) == self.before


def ended(lab, end):
    return lab.counters()['inspection']['ended'][end]


# --- real clients -----------------------------------------------------------------------------------------------------

def test_http1_host(lab, rule):
    rule('no evil', 'block', 'http', 'http.request.host == "evil.example"')
    names = ended(lab, 'names')
    assert curl(lab, '-H', 'Host: good.example', f'http://{V4}/') == (0, '200')
    assert curl(lab, '-H', 'Host: good.example', f'http://[{V6}]/') == (0, '200')
    with NothingReaches(lab, 80):
        code, _ = curl(lab, '-H', 'Host: Evil.Example:80', f'http://{V4}/')
    assert code in RESET
    assert curl(lab, '-H', 'Host: evil.example', f'http://[{V6}]/')[0] in RESET
    assert ended(lab, 'names') == names + 4
    lab.wait('the request is in the log by its name',
             lambda: any(line['host'] == 'evil.example' and line['detected_protocol'] == 'http' for line in logged(lab, event='blocked', rule='no evil')), 5)


def test_http1_path_and_method(lab, rule):
    rule('no upload', 'block', 'http', 'http.request.method == "PUT" and http.request.uri contains "/upload/"')
    assert curl(lab, f'http://{V4}/upload/x')[0] == 0
    with NothingReaches(lab, 80):
        assert curl(lab, '-X', 'PUT', '-d', 'x', f'http://{V4}/upload/x')[0] in RESET


@pytest.mark.parametrize('more', [(), ('--http2',), ('--http1.1', '--tls-max', '1.2')], ids=['any', 'http2', 'tls12'])
def test_https_by_its_server_name(lab, rule, more):
    rule('no evil', 'block', 'l4', 'any(net.sni.domains[*] == "evil.example")')
    assert https(lab, 'good.example', V4, *more) == (0, '200')
    assert https(lab, 'good.example', V6, *more) == (0, '200')
    with NothingReaches(lab, HTTPS):
        code, _ = https(lab, 'www.evil.example', V4, *more)
    assert code in RESET
    assert https(lab, 'evil.example', V6, *more)[0] in RESET


def test_a_name_opens_what_is_closed(lab, rule, undo):
    lab.ctl('account', 'set', 'default', '--default-action', 'block')
    undo('account', 'set', 'default', '--default-action', 'allow')
    rule('the api', 'allow', 'l4', f'net.dst.port == {HTTPS} and net.sni.host == "api.example"')
    assert https(lab, 'api.example') == (0, '200')
    with NothingReaches(lab, HTTPS):
        assert https(lab, 'other.example')[0] in RESET
        assert curl(lab, f'https://{V4}:{HTTPS}/')[0] in RESET  # an address: no name in the hello
    assert curl(lab, f'http://{V4}/')[0] == 7  # another port: addresses alone decide, the SYN is refused
    lab.wait('it is in the log by its name', lambda: logged(lab, event='start', host='api.example', rule='the api'), 5)


def test_http2_with_prior_knowledge(lab, rule):
    rule('no h2c', 'block', 'l4', 'net.detected_protocol == "http2"')
    with NothingReaches(lab, 80):
        assert curl(lab, '--http2-prior-knowledge', f'http://{V4}/')[0] in RESET + (16,)
    assert curl(lab, f'http://{V4}/') == (0, '200')


@pytest.mark.skipif(not shutil.which('kubectl'), reason='no kubectl')
def test_kubectl(lab, rule):
    def version(name):
        argv = ['env', 'KUBECONFIG=/dev/null', 'HOME=/nonexistent', 'kubectl', '--request-timeout', f'{10 * lab.slow}s',
                f'--server=https://{V4}:{HTTPS}', f'--tls-server-name={name}', '--insecure-skip-tls-verify',
                f'--client-certificate={lab.lab.path("pki", "client.pem")}', f'--client-key={lab.lab.path("pki", "client.key")}', 'version']
        return subprocess.run(in_ns(lab.lab, 'client1', argv), capture_output=True, text=True, check=False, timeout=60 * lab.slow)
    rule('no staging', 'block', 'l4', 'net.sni.host == "staging.example"')
    good = version('api.example')
    assert 'Server Version' in good.stdout, good.stderr
    with NothingReaches(lab, HTTPS):
        bad = version('staging.example')
    assert bad.returncode != 0 and 'Server Version' not in bad.stdout


# --- UDP --------------------------------------------------------------------------------------------------------------

class UdpOrigin:
    """Answers every datagram with itself, and remembers it."""

    def __init__(self, lab, port):
        self.got = []
        self.sock = lab.socket('origin', socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((V4, port))
        self.sock.settimeout(0.2)
        self.ended = False
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        while not self.ended:
            try:
                data, peer = self.sock.recvfrom(4096)
            except TimeoutError:
                continue
            self.got.append(data)
            self.sock.sendto(data, peer)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended = True
        self.thread.join(5)
        self.sock.close()


def query(name):
    labels = b''.join(bytes([len(x)]) + x.encode() for x in name.split('.')) + b'\0'
    return struct.pack('!6H', random.getrandbits(16), 0x0100, 1, 0, 0, 0) + labels + struct.pack('!2H', 1, 1)


def ask(sock, data, port):
    sock.sendto(data, (V4, port))
    try:
        return sock.recv(4096) == data
    except (TimeoutError, OSError):  # an ICMP error is told as "connection refused" or alike
        return False


def test_dns_questions_one_by_one(lab, rule):
    rule('no evil', 'block', 'dns', 'any(dns.domains[*] == "evil.example")')
    with UdpOrigin(lab, 53) as origin, lab.socket('client1', socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(1.5 * lab.slow)
        good, bad = query('www.good.example'), query('WWW.Evil.example')
        assert ask(s, good, 53)
        assert not ask(s, bad, 53)
        assert ask(s, good, 53), 'the same socket: a question that is refused does not close it'
        assert origin.got == [good, good]
    # a line a second of each client and rule: this one may wait for its turn
    lab.wait('the question is in the log by its name',
             lambda: any(line['host'] == 'www.evil.example' and line['detected_protocol'] == 'dns' for line in logged(lab, event='blocked', rule='no evil')), 5)


def test_dns_on_another_port(lab, rule):
    """`dns` rules are of port 53; elsewhere it is known by what it is, question by question too."""
    rule('no evil', 'block', 'dns', 'any(dns.domains[*] == "evil.example")')
    with UdpOrigin(lab, 5300) as origin, lab.socket('client1', socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(1.5 * lab.slow)
        evil = query('evil.example')
        assert ask(s, evil, 5300)
        rule('no dns', 'block', 'l4', 'net.detected_protocol == "dns" and net.dst.port == 5300', '51')
        s.close()
        with lab.socket('client1', socket.AF_INET, socket.SOCK_DGRAM) as t:
            t.settimeout(1.5 * lab.slow)
            assert not ask(t, evil, 5300) and not ask(t, query('good.example'), 5300)
            assert ask(t, b'no question at all', 5300)
        assert origin.got == [evil, b'no question at all']


@pytest.mark.skipif(not shutil.which('dig'), reason='no dig')
def test_dig(lab, rule):
    rule('no evil', 'block', 'dns', 'dns.fqdn == "evil.example"')
    with UdpOrigin(lab, 53) as origin:
        for name in ('good.example', 'evil.example'):
            lab.sh('client1', 'dig', '+tries=1', '+time=1', f'@{V4}', name, check=False)
        assert len(origin.got) == 1 and b'\x04good' in origin.got[0]


@pytest.mark.parametrize('name', ['quic-rfc9001', 'quic-rfc9369'])
def test_quic_initial(lab, rule, name):
    initial = fixture(name)
    with UdpOrigin(lab, 443) as origin:
        for verdict in (False, True):
            rule(f'{verdict}', 'block', 'l4', 'net.sni.host == "%s"' % ('other.com' if verdict else 'example.com'), '50' if verdict else '51')
            if verdict:
                lab.ctl('rule', 'disable', 'False')
            with lab.socket('client1', socket.AF_INET, socket.SOCK_DGRAM) as s:
                s.settimeout(1.5 * lab.slow)
                assert ask(s, initial, 443) == verdict
        assert origin.got == [initial]


def test_quic_in_two_initials(lab, rule):
    parts = [fixture('quic-split-2'), fixture('quic-split-1')]
    rule('no other', 'block', 'l4', 'net.sni.host == "other.example"')
    with UdpOrigin(lab, 443) as origin, lab.socket('client1', socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.sendto(parts[0], (V4, 443))
        time.sleep(0.2)
        assert origin.got == [] and lab.counters()['inspection']['active'] == 1
        s.sendto(parts[1], (V4, 443))
        lab.wait('both go on, in order', lambda: origin.got == parts, 5)


# --- segments of the test's making --------------------------------------------------------------------------------------

class RawTcp:
    """One TCP connection of a hand-made client, segment by segment."""

    def __init__(self, client, port):
        self.client, self.port, self.sport = client, port, random.randrange(20000, 60000)
        self.src, self.isn, self.ack = client.addresses[0], random.getrandbits(32), 0
        self.send('S', -1)
        syn_ack = self.receive(lambda flags, data: flags & 0x12 == 0x12)
        assert syn_ack is not None, 'the handshake passes before the verdict'
        self.ack = (struct.unpack_from('!I', syn_ack, 4)[0] + 1) & 0xffffffff
        self.send('A', 0)

    def send(self, flags, offset, data=b''):
        seq = (self.isn + 1 + offset) & 0xffffffff
        self.client.send(packets.tcp(self.src, V4, self.sport, self.port, flags, seq, self.ack, data))

    def receive(self, wanted, timeout_s=3.0):
        """The next segment whose (flags, payload) are wanted, from its TCP header on."""
        ports = struct.pack('!HH', self.port, self.sport)
        p = self.client.receive(lambda p: p.proto == 6 and p.payload[:4] == ports
                                and wanted(p.payload[13], p.payload[(p.payload[12] >> 4) * 4:]), timeout_s)
        return None if p is None else p.payload

    def answer(self, timeout_s=3.0):
        """'data' or 'reset': what comes next that is no bare ACK."""
        segment = self.receive(lambda flags, data: flags & 4 or data, timeout_s)
        return None if segment is None else 'reset' if segment[13] & 4 else 'data'


@pytest.mark.parametrize('order', [(0, 1), (1, 0)], ids=['in order', 'swapped'])
@pytest.mark.parametrize('blocked', [False, True], ids=['passes', 'blocked'])
def test_a_hello_of_two_segments(lab, rule, order, blocked):
    hello = fixture('tls-kubectl')  # names api.example
    parts = [(0, hello[:1200]), (1200, hello[1200:])]
    rule('one name', 'block', 'l4', 'net.sni.host == "%s.example"' % ('api' if blocked else 'other'))
    client = lab.add_raw(f'raw-{random.getrandbits(32)}')
    data = Sniffer(lab, 'origin', 'br0', data_to(HTTPS))
    conn = RawTcp(client, HTTPS)
    conn.send('A', *parts[order[0]])
    assert conn.answer(0.3 / lab.slow) is None and data.times == []  # well before the edge stops waiting
    conn.send('PA', *parts[order[1]])
    assert conn.answer() == ('reset' if blocked else 'data')
    seen = data.stop()
    assert (seen == []) == blocked


# --- limits -------------------------------------------------------------------------------------------------------------

def server_first(lab, port, banner=b'220 mail.example ESMTP\r\n'):
    """A server at the origin that speaks first; ends by itself."""
    listener = lab.socket('origin', socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((V4, port))
    listener.listen()
    listener.settimeout(10 * lab.slow)

    def serve():
        try:
            conn, _ = listener.accept()
            conn.sendall(banner)
            conn.settimeout(5 * lab.slow)
            conn.recv(100)
        except OSError:
            pass
        listener.close()
    threading.Thread(target=serve, daemon=True).start()


def first_words(lab, port):
    """(what the server says first, after how many seconds)."""
    with lab.socket('client1', socket.AF_INET, socket.SOCK_STREAM) as s:
        s.settimeout(8 * lab.slow)
        s.connect((V4, port))
        began = time.monotonic()
        try:
            return s.recv(100), time.monotonic() - began
        except OSError:
            return None, time.monotonic() - began


def test_a_server_that_speaks_first(lab, rule, setting):
    rule('no evil', 'block', 'l4', 'net.sni.host == "evil.example"')
    setting('inspect_timeout_ms', '500')
    server_first(lab, 2525)
    timeouts = ended(lab, 'timeout')
    words, after = first_words(lab, 2525)
    assert words is None and 0.4 < after < 3 * lab.slow, 'inspect_unknown is block: reset after the timeout'
    setting('inspect_unknown', 'continue')
    server_first(lab, 2526)
    words, after = first_words(lab, 2526)
    assert words == b'220 mail.example ESMTP\r\n' and 0.4 < after < 3 * lab.slow
    assert ended(lab, 'timeout') == timeouts + 2
    server_first(lab, 2527, b'SSH-2.0-test\r\n')
    words, after = first_words(lab, 2527)
    assert words == b'SSH-2.0-test\r\n' and after < 0.4 * lab.slow, 'SSH is known by its first bytes'
    lab.note(f'server-first bytes released {after * 1000:.0f} ms after connect where the protocol is known')


def test_off_takes_no_inspector(lab, rule):
    rule('no evil', 'block', 'http', 'http.request.host == "evil.example"')
    before = lab.counters()['inspection']['started']
    assert curl(lab, '-H', 'Host: good.example', f'http://{V4}/') == (0, '200')
    assert lab.counters()['inspection']['started'] == before + 1
    lab.ctl('rule', 'enable', OFF_RULE)
    assert curl(lab, '-H', 'Host: evil.example', f'http://{V4}/') == (0, '200')
    assert lab.counters()['inspection']['started'] == before + 1


def test_what_a_turn_costs(lab, rule):
    """Many connections, without and with inspection: how long the worker's longest turn was, for people."""
    def fetch_many():
        lab.edge_call('settings.reset_turns')
        for _ in range(10):
            urls = []
            for _ in range(20):
                urls += ['-o', '/dev/null', f'http://{V4}/']
            argv = ['curl', '-s', '-Z', '--parallel-immediate', '-H', 'Connection: close', *urls]
            assert subprocess.run(in_ns(lab.lab, 'client1', argv), check=False).returncode == 0
        return lab.ctl('show', 'workers')['workers'][0]['max_turn_cpu_us']
    before = lab.counters()['inspection']['started']
    plain = fetch_many()
    assert lab.counters()['inspection']['started'] == before
    rule('no evil', 'block', 'l4', 'net.sni.host == "evil.example"')
    inspected_us = fetch_many()
    assert lab.counters()['inspection']['started'] == before + 200
    assert lab.counters()['inspection']['active'] == 0
    lab.note(f'200 connections: longest turn {plain} µs of CPU time without inspection, {inspected_us} µs with all of them inspected')
