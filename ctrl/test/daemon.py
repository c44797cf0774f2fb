# SPDX-License-Identifier: BSD-3-Clause
"""A real sluice-ctrl on sockets of its own, and a client of its JSON IPC. Test programs take the path of sluice-ctrl and print TAP."""
import base64
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

PROGRAM = os.path.abspath(sys.argv[1])
TESTS = []


def test(fn):
    TESTS.append(fn)
    return fn


class Refused(Exception):
    """An error answer: code (of data, or the number), field, message."""

    def __init__(self, error):
        super().__init__(error['message'])
        self.error, self.message = error, error['message']
        data = error.get('data') or {}
        self.code, self.field = data.get('code', error['code']), data.get('field')


class Connection:
    """One connection; requests one after the other, notifications kept."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self.sock.settimeout(30)
        self.file = self.sock.makefile('rb')
        self.number, self.notes = 0, []

    def close(self):
        self.file.close()
        self.sock.close()

    def send(self, document):
        self.sock.sendall(json.dumps(document).encode() + b'\n')

    def read(self):
        line = self.file.readline()
        if not line:
            raise ConnectionError('closed')
        return json.loads(line)

    def answer(self, method, params):
        """The whole answer document; notifications that come before it go to `notes`."""
        self.number += 1
        self.send({'jsonrpc': '2.0', 'id': self.number, 'method': method, 'params': params})
        while True:
            document = self.read()
            if 'id' in document:
                assert document['jsonrpc'] == '2.0' and document['id'] == self.number, document
                return document
            self.notes.append(document)

    def call(self, method, **params):
        document = self.answer(method, params)
        if 'error' in document:
            raise Refused(document['error'])
        return document['result']

    def notify(self, method, params):
        self.send({'jsonrpc': '2.0', 'method': method, 'params': params})


class Daemon:
    """`with Daemon() as d: d.call('tunnel.list')`. `restart` keeps the store."""

    def __init__(self, **config):
        self.tmp = tempfile.TemporaryDirectory(prefix='sluice-ctrl-test.')
        self.socket = self.path('ctrl.sock')
        self.config = {'store': self.path('ctrl.db'), 'socket': self.socket, 'tls-dir': self.path('tls'), 'metrics': 'off',
                       'register': {'listen': ['127.0.0.1:0'], 'names': ['127.0.0.1'], 'address': '127.0.0.1:8443'}, **config}
        self.process = self.main = None

    def path(self, name):
        return os.path.join(self.tmp.name, name)

    def start(self):
        with open(self.path('ctrl.yaml'), 'w', encoding='utf-8') as f:
            json.dump(self.config, f)  # JSON is YAML
        self.log = open(self.path('log'), 'ab')
        self.process = subprocess.Popen([PROGRAM, '--config', self.path('ctrl.yaml')], stderr=self.log, stdout=self.log,
                                        stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while True:
            try:
                self.main = Connection(self.socket)
                self.main.call('show.revision')
                return self
            except (OSError, ConnectionError):
                assert self.process.poll() is None and time.monotonic() < deadline, self.log_text()
                time.sleep(0.02)

    def log_text(self):
        with open(self.path('log'), encoding='utf-8') as f:
            return f.read()

    def stop(self, how=signal.SIGTERM):
        if self.main:
            self.main.close()
        self.process.send_signal(how)
        status = self.process.wait(30)
        self.log.close()
        return status

    def restart(self, how=signal.SIGTERM):
        self.stop(how)
        return self.start()

    def connect(self):
        return Connection(self.socket)

    def call(self, method, **params):
        return self.main.call(method, **params)

    def refuses(self, code, field, *words, method, **params):
        """The call is refused with this code and field, in a sentence that holds all the words."""
        try:
            got = self.call(method, **params)
        except Refused as e:
            assert (e.code, e.field) == (code, field), f'{method}: {e.code} {e.field}: {e.message}'
            assert '\n' not in e.message, e.message
            for word in words:
                assert word in e.message, f'{method}: {word!r} is not in {e.message!r}'
            return e.message
        raise AssertionError(f'{method} {params} was accepted: {got}')

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.stop()
        self.tmp.cleanup()


def b64(data):
    return base64.b64encode(data).decode()


def public_key(number):
    """A well-formed X25519 public key of the tests, another one for each number."""
    return b64(bytes([9]) + number.to_bytes(4, 'big') + bytes(26) + b'\x01')


def eq(got, want, what='value'):
    assert got == want, f'{what}: got {got!r}, want {want!r}'


def main():
    failed, wanted = 0, re.compile(os.environ.get('ONLY', ''))
    tests = [t for t in TESTS if wanted.search(t.__name__)]
    print(f'1..{len(tests)}')
    for number, fn in enumerate(tests, 1):
        name = fn.__name__.replace('_', ' ')
        try:
            fn()
            print(f'ok {number} - {name}')
        except Exception:  # pylint: disable=broad-except
            failed += 1
            print(f'not ok {number} - {name}')
            for line in traceback.format_exc().splitlines()[-8:]:
                print('# ' + line)
        sys.stdout.flush()
    return 1 if failed else 0
