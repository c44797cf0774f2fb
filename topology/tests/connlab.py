# SPDX-License-Identifier: BSD-3-Clause
"""A connector alone under test: a fake edge in one namespace, the connector in the next, an origin behind it.

      edge (fake_edge, TUN dev0: devices 100.96.0.2, fd00:96::2)
        │ eth0 10.9.0.1/24
        │ eth0 10.9.0.2/24
      conn (sluice-connector)
        │ lan0 198.51.100.1/24  2001:db8::1001/112
        │ lan0 198.51.100.101   2001:db8::101
      origin (echo on 7, a collector on 9)
"""
import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid

from sluicelab import plan, raw
from sluicelab.net import run

EDGE, CONN = '10.9.0.1', '10.9.0.2'
DEVICE4, DEVICE6 = '100.96.0.2', 'fd00:96::2'
ORIGIN4, ORIGIN6 = plan.ORIGIN_V4, plan.ORIGIN_V6
METRICS = 8081
TESTS = os.path.dirname(os.path.abspath(__file__))


class Cgroup:
    """A memory limit around a process: cgroup v2 where it is the machine's, else v1. `usable` is False where neither can be made."""

    def __init__(self, name, limit_bytes):
        self.path, self.peak_file, self.usable = None, None, False
        for root, limit, peak in (('/sys/fs/cgroup/memory', 'memory.limit_in_bytes', 'memory.max_usage_in_bytes'),
                                  ('/sys/fs/cgroup', 'memory.max', 'memory.peak')):
            path = os.path.join(root, name)
            try:
                os.mkdir(path)
                with open(os.path.join(path, limit), 'w', encoding='ascii') as f:
                    f.write(str(limit_bytes))
            except OSError:
                if os.path.isdir(path):
                    os.rmdir(path)
                continue
            self.path, self.peak_file, self.usable = path, os.path.join(path, peak), True
            return

    def argv(self, argv):
        """argv of a shell that enters the group and becomes the program."""
        return ['sh', '-ec', 'echo $$ >"$0"; exec "$@"', os.path.join(self.path, 'cgroup.procs'), *argv]

    def peak_bytes(self):
        with open(self.peak_file, encoding='ascii') as f:
            return int(f.read())

    def remove(self):
        if self.path:
            end = time.monotonic() + 5
            while os.path.isdir(self.path):
                try:
                    os.rmdir(self.path)
                except OSError:
                    assert time.monotonic() < end, f'{self.path} is busy'
                    time.sleep(0.05)


class ConnLab:
    """The three namespaces, and the programs in them."""

    def __init__(self, workers=2, lease_s=60):
        self.lab = plan.Lab((os.environ.get('LAB') or 'sl') + 'k')
        self.workers, self.lease_s = workers, lease_s
        self.procs, self.tunnel, self.account = {}, str(uuid.uuid4()), '0' * 32
        self.secret = os.urandom(32)
        self.slow = self.lab.slow

    # --- namespaces ---------------------------------------------------------------------------
    def ns(self, node):
        return self.lab.ns(node)

    def argv(self, node, argv):
        # not `ip netns exec`: it would hide the cgroups under a /sys of its own
        return ['nsenter', f'--net=/run/netns/{self.ns(node)}', '--', *argv]

    def sh(self, node, *argv, check=True):
        return run(self.argv(node, argv), check=check)

    def ip(self, node, *lines):
        run(['ip', '-n', self.ns(node), '-batch', '-'], stdin='\n'.join(lines) + '\n')

    def veth(self, a, if_a, b, if_b):
        run(['ip', 'link', 'add', if_a, 'netns', self.ns(a), 'type', 'veth', 'peer', 'name', if_b, 'netns', self.ns(b)])

    def up(self):
        self.down()
        os.makedirs(self.lab.path('tls'), exist_ok=True)
        for node in ('edge', 'conn', 'origin'):
            run(['ip', 'netns', 'add', self.ns(node)])
            self.sh(node, 'sysctl', '-qw', 'net.ipv6.conf.all.accept_dad=0', 'net.ipv6.conf.default.accept_dad=0')
            self.ip(node, 'link set lo up')
        self.sh('conn', 'sysctl', '-qw', 'net.ipv4.ping_group_range=0 2147483647')
        self.veth('edge', 'eth0', 'conn', 'eth0')
        self.veth('origin', 'lan0', 'conn', 'lan0')
        self.ip('edge', f'addr add {EDGE}/24 dev eth0', 'link set eth0 up', 'tuntap add dev0 mode tun',
                f'addr add {DEVICE4}/32 dev dev0', f'addr add {DEVICE6}/128 dev dev0 nodad', 'link set dev0 mtu 1280 up',
                f'route add 198.51.100.0/24 dev dev0 src {DEVICE4}', f'route add 2001:db8::/64 dev dev0 src {DEVICE6}')
        self.ip('conn', f'addr add {CONN}/24 dev eth0', 'link set eth0 up', 'addr add 198.51.100.1/24 dev lan0',
                'addr add 2001:db8::1001/112 dev lan0 nodad', 'link set lan0 up')
        self.ip('origin', f'addr add {ORIGIN4}/24 dev lan0', f'addr add {ORIGIN6}/112 dev lan0 nodad', 'link set lan0 up')
        self.start('echo', 'origin', [sys.executable, os.path.join(plan.TOPOLOGY, 'echo.py')])
        self.start('edge', 'edge', [os.path.join(self.lab.build, 'connector', 'fake_edge'), 'dev0', '51820', f'{EDGE}:51820',
                                    f'{EDGE}:8443', EDGE, self.lab.path('tls'), self.account, self.tunnel, self.secret.hex(),
                                    str(self.workers), str(self.lease_s)])
        self.wait('the fake edge is ready', lambda: 'ready' in self.log('edge'))
        self.wait('the echo listens', lambda: all(self.sh('origin', 'ss', f'-Hln{kind}', 'sport = :7').count(':7') == 2 for kind in 'tu'))
        return self

    def down(self):
        for name in list(self.procs):
            self.end(name, signal.SIGKILL)
        for line in run(['ip', 'netns', 'list']).splitlines():
            name = line.split()[0]
            if name in [self.ns(n) for n in ('edge', 'conn', 'origin')]:
                for pid in run(['ip', 'netns', 'pids', name], check=False).split():
                    try:
                        os.kill(int(pid), signal.SIGKILL)
                    except ProcessLookupError:
                        pass
                run(['ip', 'netns', 'del', name])
        run(['rm', '-rf', self.lab.state])

    # --- programs -----------------------------------------------------------------------------
    def start(self, name, node, argv):
        with open(self.lab.path(f'{name}.log'), 'ab') as log:
            self.procs[name] = subprocess.Popen(self.argv(node, argv), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self.procs[name]

    def end(self, name, sig=signal.SIGTERM, deadline_s=20):
        """Sends a signal, waits, and answers the exit status."""
        proc = self.procs.pop(name)
        if proc.poll() is None:
            proc.send_signal(sig)
        return proc.wait(deadline_s * self.slow)

    def log(self, name):
        try:
            with open(self.lab.path(f'{name}.log'), encoding='utf-8', errors='replace') as f:
                return f.read()
        except OSError:
            return ''

    def wait(self, what, condition, deadline_s=20):
        end, pause = time.monotonic() + deadline_s * self.slow, 0.02
        while not (value := condition()):
            if 'connector' in self.procs:
                assert self.procs['connector'].poll() in (None, 0), self.log('connector')[-2000:]
            assert time.monotonic() < end, (f'{what}: not so after {deadline_s * self.slow:.0f} s\n'
                                            f'{self.log("edge")[-2000:]}\n{self.log("connector")[-3000:]}')
            time.sleep(pause)
            pause = min(pause * 1.5, 0.25)
        return value

    def write_config(self, text=''):
        with open(self.lab.path('tls', 'ca.pem'), encoding='ascii') as f:
            ca = f.read()
        with open(self.lab.path('creds.json'), 'w', encoding='ascii') as f:
            json.dump({'AccountTag': self.account, 'TunnelID': self.tunnel, 'TunnelName': 'test', 'EdgeCA': ca,
                       'TunnelSecret': base64.b64encode(self.secret).decode(), 'Edge': f'{EDGE}:8443'}, f)
        with open(self.lab.path('config.yaml'), 'w', encoding='ascii') as f:
            f.write(f'tunnel: {self.tunnel}\ncredentials-file: {self.lab.path("creds.json")}\nmetrics: 127.0.0.1:{METRICS}\n{text}')
        os.chmod(self.lab.state, 0o755)
        os.chmod(self.lab.path('creds.json'), 0o644)

    def connector_argv(self, privileged=False):
        argv = [self.lab.program('sluice-connector'), 'tunnel', '--config', self.lab.path('config.yaml'), 'run']
        if privileged:
            return argv
        return ['setpriv', '--reuid=nobody', '--regid=nogroup', '--clear-groups', '--no-new-privs', '--bounding-set=-all',
                '--inh-caps=-all', *argv]

    def start_connector(self, config='', wrap=lambda argv: argv, privileged=False):
        self.write_config(config)
        self.start('connector', 'conn', wrap(self.connector_argv(privileged)))
        self.wait('the connector is ready', lambda: self.ready() == 200)

    def http(self, path):
        return self.sh('conn', 'curl', '-s', '-m', '3', '-w', '\n%{http_code}', f'http://127.0.0.1:{METRICS}{path}', check=False)

    def ready(self):
        return int(self.http('/ready').rpartition('\n')[2] or 0)

    def metrics(self):
        """{'name{label="x"}': value} without the common prefix."""
        found = re.findall(r'^sluice_connector_(\S+) (\S+)$', self.http('/metrics'), re.M)
        return {name: float(value) for name, value in found}

    def socket(self, node, family, kind, proto=0):
        return raw.socket_in(self.lab, node, family, kind, proto)

    def device_tcp(self, dst=ORIGIN4, port=7, timeout_s=5):
        """A TCP connection of the device; ConnectionRefusedError where it is reset."""
        import socket
        s = self.socket('edge', socket.AF_INET6 if ':' in dst else socket.AF_INET, socket.SOCK_STREAM)
        s.settimeout(timeout_s * self.slow)
        try:
            s.connect((dst, port))
        except OSError:
            s.close()
            raise
        return s
