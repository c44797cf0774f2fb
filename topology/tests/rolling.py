# SPDX-License-Identifier: BSD-3-Clause
"""A rollout of connectors without Kubernetes, and the load under which it must not be noticed."""
import json
import os
import signal
import subprocess
import sys
import time

from sluicelab import plan
from sluicelab.net import in_ns

V4, V6 = plan.ORIGIN_V4, plan.ORIGIN_V6


class Load:
    """Short HTTPS requests from two clients, both families."""

    def __init__(self, lab):
        script = os.path.join(plan.TOPOLOGY, 'httpsload.py')
        pki = [lab.lab.path('pki', name) for name in ('ca.pem', 'client.pem', 'client.key')]
        self.procs = [subprocess.Popen(in_ns(lab.lab, node, [sys.executable, script, dst, str(plan.API_PORT), *pki, '4']),
                                       stdout=subprocess.PIPE, text=True)
                      for node, dst in (('client1', V4), ('client2', V6))]

    def stop(self):
        """(requests, failures)."""
        for p in self.procs:
            p.send_signal(signal.SIGTERM)
        results = [json.loads(p.communicate(timeout=60)[0]) for p in self.procs]
        return sum(r['requests'] for r in results), [f for r in results for f in r['failed']]


class Downloads:
    """Files fetched at a bounded rate; each must come whole."""

    def __init__(self, lab):
        self.lab, self.running = lab, []

    def begin(self, n, name, rate):
        for k in range(n):
            dst = f'[{V6}]' if k % 2 else V4
            node = f'client{3 + k % 4}'
            self.running.append((name, subprocess.Popen(
                in_ns(self.lab.lab, node, ['sh', '-c', f'curl -sS -f -m 150 --limit-rate {rate} http://{dst}/{name} | sha256sum']),
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)))

    def alive(self):
        return sum(p.poll() is None for _, p in self.running)

    def finish(self):
        """(downloads, those that did not come whole)."""
        wrong = []
        for name, p in self.running:
            out = p.communicate(timeout=200)[0]
            if self.lab.digest_of(name) not in out:
                wrong.append(out)
        return len(self.running), wrong


def roll(lab, downloads, each, before=lambda j: None, after=lambda j: None):
    """One by one as a Deployment with maxSurge 0 and maxUnavailable 1 does: SIGTERM, wait for its end, start, wait until ready."""
    ended = []
    for j in (1, 2, 3):
        each(downloads)
        before(j)
        began = time.monotonic()
        lab.stop(f'connector{j}')
        ended.append(time.monotonic() - began)
        lab.start(f'connector{j}')
        after(j)
    return ended
