# SPDX-License-Identifier: BSD-3-Clause
"""A server of the tests' own for sluicectl, and what the tests share. Test programs take the path of sluicectl and print TAP."""
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

CTL = os.path.abspath(sys.argv[1])
TESTS = []


def test(fn):
    TESTS.append(fn)
    return fn


class Refused(Exception):
    """What the fake server answers as an error."""

    def __init__(self, code, name, field, message):
        super().__init__(message)
        self.body = {'code': code, 'message': message}
        if name:
            self.body['data'] = {'code': name, 'field': field}


class Stream:
    """An answer that begins with notifications [(method, params)]; `close`: and ends the connection."""

    def __init__(self, notes, result, close=False):
        self.notes, self.result, self.close = notes, result, close


class Server(threading.Thread):
    """One unix socket; answers by method name from `replies` (value, exception, or function of params)."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path, self.replies, self.calls, self.silent = path, {}, [], False
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(16)
        self.start()

    def run(self):
        while True:
            conn, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    def serve(self, conn):
        with conn, conn.makefile('rwb') as f:
            for line in f:
                request = json.loads(line)
                self.calls.append((request['method'], request.get('params', {})))
                if self.silent:
                    time.sleep(30)
                reply = self.replies.get(request['method'], Refused(-32601, None, None, 'no such method'))
                if callable(reply):
                    reply = reply(request.get('params', {}))
                answer, close = {'jsonrpc': '2.0', 'id': request['id']}, False
                if isinstance(reply, Stream):
                    for method, params in reply.notes:
                        f.write(json.dumps({'jsonrpc': '2.0', 'method': method, 'params': params}).encode() + b'\n')
                    reply, close = reply.result, reply.close
                if isinstance(reply, Refused):
                    answer['error'] = reply.body
                else:
                    answer['result'] = reply
                f.write(json.dumps(answer).encode() + b'\n')
                f.flush()
                if close:
                    return


TMP = tempfile.TemporaryDirectory(prefix='sluicectl-test.')
CTRL = Server(os.path.join(TMP.name, 'ctrl.sock'))
EDGE = Server(os.path.join(TMP.name, 'edge.sock'))


def path(name):
    return os.path.join(TMP.name, name)


def write(name, text):
    with open(path(name), 'wb') as f:
        f.write(text if isinstance(text, bytes) else text.encode())
    return path(name)


def run(*argv, stdin=None, sockets=True, env=None, prefix=()):
    CTRL.calls.clear()
    EDGE.calls.clear()
    sock = ['--socket', CTRL.path, '--edge-socket', EDGE.path] if sockets else []
    done = subprocess.run([*prefix, CTL, *sock, *argv], input=stdin, capture_output=True, text=True, timeout=60, cwd=TMP.name,
                          env={'PATH': os.environ['PATH'], 'LC_ALL': 'C', **(env or {})}, **({} if stdin is not None else {'stdin': subprocess.DEVNULL}))
    return done


def eq(got, want, what='value'):
    assert got == want, f'{what}: got {got!r}, want {want!r}'


def ok(*argv, **kw):
    done = run(*argv, **kw)
    assert done.returncode == 0, f'{argv}: exit {done.returncode}: {done.stdout}{done.stderr}'
    return done


def fails(status, *argv, **kw):
    done = run(*argv, **kw)
    eq(done.returncode, status, f'exit of {argv} ({done.stdout}{done.stderr})')
    return done


def one_line(text):
    assert text.count('\n') == 1 and text.endswith('\n'), f'not one line: {text!r}'
    return text.strip()


def error_doc(done):
    doc = json.loads(done.stdout)
    eq(set(doc), {'error'})
    eq(set(doc['error']), {'code', 'message', 'field'})
    return doc['error']


APPLIED = {'revision': 7, 'applied': True, 'warnings': []}


def main():
    failed = 0
    print(f'1..{len(TESTS)}')
    for number, fn in enumerate(TESTS, 1):
        name = fn.__name__.replace('_', ' ').replace('#', '')
        CTRL.replies, EDGE.replies = {}, {}
        try:
            fn()
            print(f'ok {number} - {name}')
        except Exception:  # pylint: disable=broad-except
            failed += 1
            print(f'not ok {number} - {name}')
            for line in traceback.format_exc().splitlines()[-6:]:
                print('# ' + line)
        sys.stdout.flush()
    return 1 if failed else 0

