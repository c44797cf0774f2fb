#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The store: what was acknowledged is there after any death, wrong configuration is said at start, one daemon a store."""
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time

from daemon import PROGRAM, Connection, Daemon, b64, eq, main, test

SECRET = b64(bytes(range(32)))


@test
def twenty_deaths_lose_nothing_acknowledged():
    rng = random.Random(7)
    with Daemon() as d:
        known, doubtful = set(), set()
        for life in range(20):
            stop = threading.Event()

            def write(life=life, stop=stop):
                conn = Connection(d.socket)
                for i in range(10 ** 6):
                    if stop.is_set():
                        return
                    name = f'v{life}-{i}'
                    doubtful.add(name)
                    try:
                        conn.call('vnet.create', name=name, wait=False)
                    except (OSError, ValueError):
                        return
                    known.add(name)
                    doubtful.discard(name)
                    if len(known) >= 400:
                        return
            writer = threading.Thread(target=write)
            writer.start()
            time.sleep(rng.random() * 0.05)
            d.restart(signal.SIGKILL)
            stop.set()
            writer.join()
            names = {v['name'] for v in d.call('vnet.list')['vnets']} - {'default'}
            assert known <= names, f'lost: {known - names}'
            assert names <= known | doubtful, f'never asked for: {names - known - doubtful}'
            eq(d.call('show.revision')['configured'], len(names) + 1, 'a revision for each change, and no other')
            known = names


@test
def a_change_and_its_audit_row_are_one():
    with Daemon() as d:
        for i in range(5):
            d.call('vnet.create', name=f'v{i}')
        d.call('tunnel.create', name='t', secret=SECRET)
        rows = d.call('history', limit=100)['history']
        eq([r['method'] for r in rows[:6]], ['tunnel.create'] + ['vnet.create'] * 5)
        eq([r['revision'] for r in rows], sorted((r['revision'] for r in rows), reverse=True))
        eq({r['pid'] for r in rows if r['comm']}, {os.getpid()})


@test
def sqlite_is_set_to_be_safe():
    with Daemon() as d:
        path = d.path('ctrl.db')
        eq(os.stat(path).st_mode & 0o077, 0, 'others may not read the store')
        with sqlite3.connect(f'file:{path}?mode=ro', uri=True) as db:
            eq(db.execute('pragma journal_mode').fetchone()[0], 'wal')
            eq(db.execute('pragma integrity_check').fetchone()[0], 'ok')


@test
def secrets_are_wiped_from_the_answers_but_not_lost():
    with Daemon() as d:
        d.call('tunnel.create', name='t', secret=SECRET)
        d.restart()
        eq(d.call('tunnel.show', tunnel='t')['tunnel']['name'], 't')


@test
def one_daemon_a_store():
    with Daemon() as d:
        second = subprocess.run([PROGRAM, '--config', d.path('ctrl.yaml')], capture_output=True, text=True, timeout=30, check=False)
        eq(second.returncode, 1)
        eq(len(second.stderr.strip().splitlines()[-1:]), 1)
        assert d.socket in second.stderr, second.stderr
        d.call('show.revision')


@test
def wrong_configuration_is_said_with_its_place():
    with Daemon() as d:
        for text, words in (('stoer: /x\n', ('stoer', '1')), ('store: [1]\n', ('store',)), ('log-level: loud\n', ('log-level', 'loud')), (f'store: {d.path("other.db")}\nmetrics: nowhere\n', ('metrics', 'nowhere')),
                            (f'store: {d.path("other.db")}\nregister: {{listen: ["x"]}}\n', ('listen', 'x')), ('{', ())):
            with open(d.path('wrong.yaml'), 'w', encoding='utf-8') as f:
                f.write(text)
            done = subprocess.run([PROGRAM, '--config', d.path('wrong.yaml')], capture_output=True, text=True, timeout=30, check=False)
            eq(done.returncode, 1, text)
            for word in words:
                assert word in done.stderr, f'{text!r}: {done.stderr}'
        for argv in (['--nonsense'], ['--config'], ['extra']):
            eq(subprocess.run([PROGRAM, *argv], capture_output=True, timeout=30, check=False).returncode, 2, argv)


@test
def a_store_that_is_no_store():
    with Daemon() as d:
        d.config['store'] = d.path('garbage.db')
        with open(d.config['store'], 'wb') as f:
            f.write(b'this is no database' * 100)
        d.stop()
        try:
            d.start()
        except AssertionError:
            assert 'garbage.db' in d.log_text()
            d.config['store'] = d.path('ctrl.db')
            d.start()
            return
        raise AssertionError('garbage was taken for a store')


@test
def sigterm_ends_it_cleanly_and_sighup_does_not():
    with Daemon() as d:
        d.process.send_signal(signal.SIGHUP)
        d.call('vnet.create', name='v')
        eq(d.stop(), 0)
        eq(os.path.exists(d.socket), False)
        d.start()


if __name__ == '__main__':
    sys.exit(main())
