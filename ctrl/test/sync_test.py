#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Sync as an edge sees it: snapshots, deltas, epochs, who waits for whom (decisions 6 and 23; docs/protocols.md, 1.2)."""
import sys
import time

from daemon import Daemon, Refused, b64, eq, main, public_key, test

SECRET = b64(bytes(range(32)))


class Edge:
    """An edge as far as sync goes: keeps the rows of each table as ctrl tells them."""

    def __init__(self, daemon, edge_id='edge1', instance='00000000-0000-4000-8000-000000000001', apply=True):
        self.conn, self.edge_id, self.instance, self.apply = daemon.connect(), edge_id, instance, apply
        self.tables, self.revision, self.epoch, self.snapshots = {}, 0, None, 0

    def subscribe(self):
        answer = self.conn.call('sync.subscribe', edge_id=self.edge_id, instance=self.instance, version='1', revision=self.revision, epoch=self.epoch,
                                workers=2, public_keys=[public_key(900)], endpoints=['203.0.113.1:51820'])
        self.epoch, self.mode = answer['epoch'], answer['mode']
        return answer

    def take(self, note):
        method, params = note['method'], note['params']
        if method == 'sync.begin' and params['snapshot']:
            self.tables, self.snapshots = {}, self.snapshots + 1
        elif method == 'sync.rows':
            rows = self.tables.setdefault(params['table'], {})
            for row in params['put']:
                rows[row.get('key') or row.get('network') or row['id']] = row
            for key in params['delete']:
                del rows[key]  # KeyError: it was never told
        elif method == 'sync.end':
            self.revision = params['revision']
            if self.apply:
                self.applied()

    def applied(self, errors=()):
        self.conn.notify('sync.applied', {'edge_id': self.edge_id, 'instance': self.instance, 'revision': self.revision, 'errors': list(errors)})

    def until(self, revision, timeout_s=20):
        deadline = time.monotonic() + timeout_s
        while self.revision < revision:
            assert time.monotonic() < deadline
            self.take(self.conn.notes.pop(0) if self.conn.notes else self.conn.read())
        return self

    def quiet(self, seconds=0.3):
        self.conn.sock.settimeout(seconds)
        try:
            raise AssertionError(f'told: {self.conn.notes.pop(0) if self.conn.notes else self.conn.read()}')
        except (TimeoutError, OSError):
            pass


def names(edge, table):
    return {row['name'] for row in edge.tables.get(table, {}).values()}


@test
def snapshot_then_deltas_then_the_same_as_a_new_snapshot():
    with Daemon() as d:
        d.call('tunnel.create', name='t', secret=SECRET)
        edge = Edge(d)
        eq(edge.subscribe()['mode'], 'snapshot')
        edge.until(d.call('show.revision')['configured'])
        for i in range(30):
            d.call('route.add', network=f'10.{i}.0.0/16', tunnel='t', wait=False)
            if i % 3 == 0:
                d.call('route.delete', network=f'10.{i}.0.0/16', wait=False)
        d.call('client.add', name='c', email='c@example.com', public_key=public_key(1), wait=False)
        last = d.call('rule.create', name='r', precedence=1, action='allow', filters=['l4'], wait=False)['revision']
        edge.until(last)
        eq(edge.snapshots, 1)
        other = Edge(d, 'edge2', '00000000-0000-4000-8000-000000000002')
        other.subscribe()
        other.until(last)
        eq({t: r for t, r in edge.tables.items() if r}, {t: r for t, r in other.tables.items() if r}, 'rows')
        eq(len(edge.tables['routes']), 20)


@test
def coming_back_with_the_epoch_gives_what_is_new():
    with Daemon() as d:
        edge = Edge(d)
        edge.subscribe()
        edge.until(d.call('show.revision')['configured'])
        edge.conn.close()
        last = d.call('vnet.create', name='blue', wait=False)['revision']
        edge.conn = d.connect()
        eq(edge.subscribe()['mode'], 'delta')
        edge.until(last)
        eq((edge.snapshots, names(edge, 'vnets')), (1, {'default', 'blue'}))


@test
def a_foreign_epoch_or_a_future_revision_gets_a_snapshot():
    with Daemon() as d:
        for epoch, revision in (('00000000-0000-4000-8000-0000000000ff', 1), (None, 10 ** 6)):
            edge = Edge(d)
            edge.epoch, edge.revision = epoch or d.call('show.revision')['epoch'], revision
            eq(edge.subscribe()['mode'], 'snapshot', f'{epoch} {revision}')
            edge.conn.close()


@test
def a_restart_keeps_epoch_and_revision():
    with Daemon() as d:
        d.call('vnet.create', name='blue')
        before = d.call('show.revision')
        d.restart()
        after = d.call('show.revision')
        eq((after['configured'], after['epoch']), (before['configured'], before['epoch']))


@test
def changes_wait_for_every_edge():
    with Daemon() as d:
        quick, slow = Edge(d), Edge(d, 'sleepy', '00000000-0000-4000-8000-000000000002', apply=False)
        for edge in (quick, slow):
            edge.subscribe()
            edge.until(1)
        slow.applied()
        began = time.monotonic()
        try:
            d.call('vnet.create', name='blue', timeout_s=1)
            raise AssertionError('the change did not wait')
        except Refused as e:
            eq(e.code, 'timeout')
            assert 'sleepy' in e.message and 'edge1' in e.message, e.message  # neither has read a byte yet
        assert 0.9 < time.monotonic() - began < 8
        eq({v['name'] for v in d.call('vnet.list')['vnets']}, {'default', 'blue'}, 'it is there all the same')
        eq(d.call('vnet.create', name='green', wait=False)['applied'], False)
        quick.until(3)
        slow.until(3)
        slow.applied()
        deadline = time.monotonic() + 10
        while any(e['applied'] != 3 for e in d.call('show.revision')['edges']):
            assert time.monotonic() < deadline, d.call('show.revision')
            time.sleep(0.02)


@test
def errors_of_an_edge_are_shown():
    with Daemon() as d:
        edge = Edge(d, apply=False)
        edge.subscribe()
        edge.until(1)
        edge.applied([{'table': 'vnets', 'key': 'x', 'code': 'limit', 'message': 'vnets: 1 is all there is room for'}])
        deadline = time.monotonic() + 10
        while not any(e.get('errors') for e in d.call('show.revision')['edges']):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert 'room' in str(d.call('show.revision'))


@test
def the_same_edge_again_replaces_the_first():
    with Daemon() as d:
        first = Edge(d)
        first.subscribe()
        first.until(1)
        second = Edge(d, instance='00000000-0000-4000-8000-000000000003')
        second.subscribe()
        second.until(1)
        eq([e['edge_id'] for e in d.call('show.revision')['edges'] if e.get('connected', True)], ['edge1'])
        last = d.call('vnet.create', name='blue', wait=False)['revision']
        second.until(last)


@test
def reports_make_no_revision_and_no_history():
    with Daemon() as d:
        d.call('client.add', name='c', email='c@example.com', public_key=public_key(1))
        edge = Edge(d)
        edge.subscribe()
        edge.until(2)
        before = d.call('show.revision')['configured'], len(d.call('history', limit=100)['history'])
        edge.conn.notify('edge.report', {'edge_id': 'edge1', 'instance': edge.instance, 'tai64n_high_water': 5, 'connectors': [],
                                         'peers': [{'public_key': public_key(1), 'endpoint': '192.0.2.9:999', 'local': '203.0.113.1:51820',
                                                    'tai64n_rx': '400000006553f1000000000a', 'last_handshake': 1700000000, 'active_at': 1700000000}]})
        deadline = time.monotonic() + 10
        while d.call('client.show', client='c')['client']['endpoint'] != '192.0.2.9:999':
            assert time.monotonic() < deadline
            time.sleep(0.02)
        eq(d.call('client.show', client='c')['client']['last_handshake'], '2023-11-14T22:13:20Z')
        eq((d.call('show.revision')['configured'], len(d.call('history', limit=100)['history'])), before)
        edge.conn.close()
        again = Edge(d)
        runtime = again.subscribe()['runtime']
        eq((runtime['tai64n_high_water'], runtime['peers'][0]['endpoint'], runtime['peers'][0]['tai64n_rx']), (5, '192.0.2.9:999', '400000006553f1000000000a'))


@test
def what_was_done_at_an_edge_is_in_the_history():
    with Daemon() as d:
        edge = Edge(d)
        edge.subscribe()
        before = d.call('show.revision')['configured'], d.call('history', limit=1)['history'][0]
        row = {'edge_id': 'edge1', 'instance': edge.instance, 'at': 1700000000, 'uid': 7, 'gid': 8, 'pid': 9, 'comm': 'sluicectl',
               'method': 'capture', 'params': {'client': 'ana'}}
        edge.conn.notify('edge.audit', {**row, 'instance': 'somebody else'})
        edge.conn.notify('edge.audit', {**row, 'params': 'nothing'})
        edge.conn.notify('edge.audit', row)
        deadline = time.monotonic() + 10
        while (rows := d.call('history', limit=3)['history'])[0]['method'] != 'capture':
            assert time.monotonic() < deadline
            time.sleep(0.02)
        eq(rows[0], {'revision': None, 'at': '2023-11-14T22:13:20Z', 'uid': 7, 'gid': 8, 'pid': 9, 'comm': 'sluicectl', 'method': 'capture',
                     'changed': 0, 'changes': [], 'params': {'client': 'ana'}})
        eq(rows[1], before[1], 'one row, and the newest revision behind it')
        eq(d.call('show.revision')['configured'], before[0])
        d.call('vnet.create', name='later', wait=False)
        eq([r['method'] for r in d.call('history', limit=2)['history']], ['vnet.create', 'capture'])



@test
def a_large_snapshot_comes_in_bounded_pieces():
    with Daemon() as d:
        d.call('tunnel.create', name='t', secret=SECRET)
        routes = [{'network': f'10.{i >> 8}.{i & 255}.0/24', 'tunnel': 't'} for i in range(20000)]
        last = d.call('apply', document={'routes': routes}, wait=False)['revision']
        edge = Edge(d)
        edge.subscribe()
        longest = 0
        while edge.revision < last:
            note = edge.conn.notes.pop(0) if edge.conn.notes else edge.conn.read()
            if note['method'] == 'sync.rows':
                longest = max(longest, len(note['params']['put']))
            edge.take(note)
        eq(len(edge.tables['routes']), 20000)
        assert 1 < longest <= 1000, longest


if __name__ == '__main__':
    sys.exit(main())
