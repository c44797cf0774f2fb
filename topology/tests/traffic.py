# SPDX-License-Identifier: BSD-3-Clause
"""Traffic that goes on while something is killed: a stream of pings, a loop of requests, a slow download; each says what it saw."""
import hashlib
import os
import re
import signal
import subprocess
import threading
import time

from sluicelab.net import in_ns


class Pings:
    """Stock ping, 20 a second, with the time of each reply."""

    def __init__(self, lab, node, dst, interval_s=0.05):
        self.interval_s = interval_s
        self.proc = subprocess.Popen(in_ns(lab.lab, node, ['ping', '-D', '-n', '-i', str(interval_s), dst]), text=True,
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.replies, self.lock = [], threading.Lock()
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        for line in self.proc.stdout:
            m = re.match(r'\[(\d+\.\d+)\] \d+ bytes from .*icmp_seq=(\d+)', line)
            if m:
                with self.lock:
                    self.replies.append((float(m[1]), int(m[2])))

    def first_after(self, moment):
        """Seconds from the moment (time.time()) to the first reply after it; None while there is none."""
        with self.lock:
            return next((t - moment for t, _ in self.replies if t > moment), None)

    def stop(self):
        """(sent, received, longest gap between replies in seconds)."""
        self.proc.send_signal(signal.SIGINT)
        self.proc.wait(10)
        self.thread.join(10)
        times = [t for t, _ in self.replies]
        gap = max((b - a for a, b in zip(times, times[1:])), default=0)
        sent = max((seq for _, seq in self.replies), default=0)
        return sent, len(self.replies), gap


class Requests:
    """One HTTP request after the other, each on a new connection, each with 2 seconds to succeed."""

    def __init__(self, lab, node, dst, max_time_s=2):
        host = f'[{dst}]' if ':' in dst else dst
        self.argv = in_ns(lab.lab, node, ['curl', '-s', '-o', '/dev/null', '-m', str(max_time_s), '-w', '%{http_code}',
                                          f'http://{host}/'])
        self.results, self.ended = [], threading.Event()
        self.thread = threading.Thread(target=self.loop, daemon=True)
        self.thread.start()

    def loop(self):
        while not self.ended.is_set():
            began = time.time()
            out = subprocess.run(self.argv, capture_output=True, text=True, check=False).stdout
            self.results.append((began, time.time(), out == '200'))
            self.ended.wait(0.05)

    def stop(self):
        """(requests, failed, seconds from the first failure's start to the next success)."""
        self.ended.set()
        self.thread.join(20)
        failed = [r for r in self.results if not r[2]]
        outage = 0.0
        if failed:
            good = [end for _, end, ok in self.results if ok and end > failed[-1][1]]
            outage = (good[0] if good else time.time()) - failed[0][0]
        return len(self.results), len(failed), outage


class Download:
    """A file fetched at a bounded rate, so that it lasts; its hash at the end."""

    def __init__(self, lab, node, dst, name='10M.bin', rate='2M', max_time_s=120):
        host = f'[{dst}]' if ':' in dst else dst
        self.path = lab.lab.path(f'download-{node}.bin')
        self.began = time.time()
        self.proc = subprocess.Popen(in_ns(lab.lab, node, ['curl', '-sS', '-f', '--limit-rate', rate, '-m', str(max_time_s),
                                                           '-o', self.path, f'http://{host}/{name}']),
                                     text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def size(self):
        return os.path.getsize(self.path) if os.path.exists(self.path) else 0

    def finish(self):
        """(curl's exit status, SHA-256 of what came, seconds it took)."""
        self.proc.communicate()
        took = time.time() - self.began
        with open(self.path, 'rb') as f:
            digest = hashlib.file_digest(f, 'sha256').hexdigest()
        os.unlink(self.path)
        return self.proc.returncode, digest, took
