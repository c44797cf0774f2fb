# SPDX-License-Identifier: BSD-3-Clause
"""Helpers of the end-to-end tests: a lab with counters before and after, transfers, and hand-made clients."""
import base64
import hashlib
import json
import os
import re
import socket
import subprocess
import time

import wgclient
from sluicelab import net, plan, procs, programs, raw, scenario
from sluicelab.net import in_ns, run
from sluicelab.plan import LabError

TOTALS = ('rx_packets', 'tx_packets', 'originated_packets', 'kernel_packets', 'consumed_packets', 'dropped_packets')


class Delta:
    """Difference of two readings of the edge's counters."""

    def __init__(self, before, after):
        self.totals = {k: after['totals'][k] - before['totals'].get(k, 0) for k in after['totals']}
        self.drops = {k: v - before['drops'].get(k, 0) for k, v in after['drops'].items() if v != before['drops'].get(k, 0)}
        self.forwarded = self.totals['tx_packets'] - self.totals['originated_packets']

    def __repr__(self):
        return f'totals {self.totals}, drops {self.drops}'


class Measured:
    """`with lab.measure() as m:` … then m.drops, m.totals, m.forwarded of what happened inside, at rest."""

    def __init__(self, lab):
        self.lab = lab

    def __enter__(self):
        self.before = self.lab.at_rest()
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            delta = Delta(self.before, self.lab.at_rest())
            self.totals, self.drops, self.forwarded = delta.totals, delta.drops, delta.forwarded
        return False


class LabTest:
    """One lab under test. The verbs of `topology/lab`, and what tests need besides."""

    def __init__(self, clients=1, connectors=1, workers=1, outer=4, bare=False, mode='userspace', preserve=False):
        self.lab = plan.Lab()
        self.shape = {'clients': clients, 'connectors': connectors, 'workers': workers, 'outer': outer, 'bare': bare,
                      'mode': mode, 'preserve': preserve}
        self.raws = []
        self.notes = []

    slow = property(lambda self: self.lab.slow)

    def missing_program(self):
        for name in ('sluice-edge', 'sluice-ctrl', 'sluicectl', 'sluice-connector'):
            try:
                self.lab.program(name)
            except LabError:
                return name
        return None

    def up(self):
        scenario.down(self.lab)
        self.lab = plan.Lab()
        for field, value in self.shape.items():
            setattr(self.lab, field, value)
        try:
            scenario.up(self.lab, lambda text: None)
        except Exception:
            tails = procs.log_tails(self.lab, ('edge', 'ctrl', 'connector1', 'client1'))
            scenario.down(self.lab)
            print(tails)
            raise

    def down(self):
        self.close_raws()
        scenario.down(self.lab)

    def logs(self, *names):
        return procs.log_tails(self.lab, names or ('edge', 'ctrl', 'connector1'))

    # --- commands -----------------------------------------------------------------------------
    def ctl(self, *args, check=True):
        return programs.ctl(self.lab, *args, check=check)

    def sh(self, node, *argv, check=True, timeout_s=60):
        return run(in_ns(self.lab, node, list(argv)), check=check, timeout_s=timeout_s * self.slow)

    def spawn(self, node, *argv, **kw):
        return subprocess.Popen(in_ns(self.lab, node, list(argv)), text=True, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **kw)

    def wait(self, what, condition, deadline_s=20, logs=('edge', 'ctrl', 'connector1')):
        return procs.wait_until(self.lab, what, condition, deadline_s, logs=logs)

    def start(self, program):
        programs.start_program(self.lab, program)

    def kill(self, program):
        programs.end_program(self.lab, program, 9)

    def stop(self, program):
        programs.end_program(self.lab, program, 15)

    def log_text(self, program):
        with open(self.lab.log(program), encoding='utf-8', errors='replace') as f:
            return f.read()

    # --- counters -----------------------------------------------------------------------------
    def counters(self):
        return self.ctl('show', 'counters')

    def edge_call(self, method, **params):
        """One JSON-RPC call on edge.sock, for what sluicectl has no command for."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(30)
            s.connect(self.lab.edge_sock)
            s.sendall(json.dumps({'jsonrpc': '2.0', 'id': 1, 'method': method, 'params': params}).encode() + b'\n')
            with s.makefile() as f:
                answer = json.loads(f.readline())
        assert 'result' in answer, answer
        return answer['result']

    def at_rest(self, quiet_s=0.3, deadline_s=15):
        """Counters once no drop and no forwarded packet was added for quiet_s. Keepalives and probes may go on."""
        end = time.monotonic() + deadline_s * self.slow
        last, since = None, time.monotonic()
        while True:
            now = self.counters()
            moving = (now['totals']['tx_packets'] - now['totals']['originated_packets'], now['totals']['dropped_packets'],
                      now['totals']['kernel_packets'])
            if moving != last:
                last, since = moving, time.monotonic()
            elif time.monotonic() - since >= quiet_s and balance(now) == 0:
                return now
            assert time.monotonic() < end, f'the counters do not come to rest, out by {balance(now)}: {now["totals"]}'
            time.sleep(0.05)

    def check_books(self):
        """The conservation rule: it must hold once traffic rests; a packet on its way may delay it."""
        self.close_raws()
        self.at_rest(quiet_s=0.2)

    def measure(self):
        return Measured(self)

    # --- traffic ------------------------------------------------------------------------------
    def ping(self, node, dst, count=3, *more, interval='0.05'):
        """(sent, received) of stock ping."""
        out = self.sh(node, 'ping', '-c', str(count), '-i', interval, '-W', '3', *more, dst, check=False)
        m = re.search(r'(\d+) packets transmitted, (\d+) received', out)
        assert m, out
        return int(m[1]), int(m[2])

    def download(self, node, dst, name, deadline_s=120):
        """SHA-256 and length of what curl fetched from the origin over plain HTTP."""
        host = f'[{dst}]' if ':' in dst else dst
        proc = subprocess.Popen(in_ns(self.lab, node, ['curl', '-sS', '-f', '-m', str(int(deadline_s * self.slow)),
                                                       f'http://{host}/{name}']), stdout=subprocess.PIPE)
        digest, length = hashlib.sha256(), 0
        while block := proc.stdout.read(1 << 20):
            digest.update(block)
            length += len(block)
        assert proc.wait() == 0, f'curl exit status {proc.returncode} after {length} bytes\n{self.logs()}'
        return digest.hexdigest(), length

    def upload(self, node, dst, name, deadline_s=180):
        """SHA-256 of what the origin holds after curl has sent a file there."""
        host = f'[{dst}]' if ':' in dst else dst
        target = self.lab.path('origin', 'www', 'upload', f'{node}.bin')
        self.sh(node, 'curl', '-sS', '-f', '-m', str(int(deadline_s * self.slow)), '-T', self.www(name),
                f'http://{host}/upload/{node}.bin', timeout_s=deadline_s + 30)
        with open(target, 'rb') as f:
            digest = hashlib.file_digest(f, 'sha256').hexdigest()
        os.unlink(target)
        return digest

    def www(self, name):
        return self.lab.path('origin', 'www', name)

    def digest_of(self, name):
        with open(self.www(f'{name}.sha256'), encoding='ascii') as f:
            return f.read().strip()

    def socket(self, node, family, kind, proto=0):
        return raw.socket_in(self.lab, node, family, kind, proto)

    def udp_echo(self, node, dst, payloads):
        """The payloads that came back from the origin's echo, one socket for all, each asked up to 3 times."""
        family = socket.AF_INET6 if ':' in dst else socket.AF_INET
        with self.socket(node, family, socket.SOCK_DGRAM) as s:
            s.settimeout(2 * self.slow)
            back = []
            for payload in payloads:
                s.sendto(payload, (dst, 7))
                back.append(s.recv(65536))
            return back

    # --- hand-made clients --------------------------------------------------------------------
    def add_raw(self, name, node='client1', account=None, vnet=None, outer=None, handshake=True):
        """A registered client whose packets the test makes itself, living in a node's network."""
        key = wgclient.Key()
        args = ['client', 'add', name, '--email', f'{name}@example.com', '--public-key', key.public_base64]
        args = (['--account', account] if account else []) + args + (['--vnet', vnet] if vnet else [])
        made = self.ctl(*args)
        addresses = [a.split('/')[0] for a in made['client']['addresses']]
        client = raw.RawClient(self.lab, node, self.edge_public(), key, addresses, outer)
        client.name = name
        self.raws.append(client)
        if handshake:
            client.handshake()
        return client

    def close_raws(self):
        for client in self.raws:
            client.close()
        self.raws = []

    def edge_public(self):
        with open(self.lab.path('edge', 'private.key'), encoding='ascii') as f:
            return base64.b64decode(run(['wg', 'pubkey'], stdin=f.read()).strip())

    def note(self, text):
        """A measured number, for people: printed, and gathered where SLUICE_NOTES says."""
        print(f'note: {text}')
        if os.environ.get('SLUICE_NOTES'):
            with open(os.environ['SLUICE_NOTES'], 'a', encoding='utf-8') as f:
                f.write(text + '\n')


def balance(counters):
    """rx − ((tx − originated) + kernel + consumed + dropped): 0 when every packet is accounted for."""
    t = counters['totals']
    return t['rx_packets'] - (t['tx_packets'] - t['originated_packets'] + t['kernel_packets'] + t['consumed_packets']
                              + t['dropped_packets'])


def namespaces_of(lab):
    return net.existing_namespaces(lab.lab)
