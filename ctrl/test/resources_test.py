#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What each resource accepts and refuses (semantics of the resources; decisions 1 to 5, 24, 25, 27), through a real sluice-ctrl."""
import base64
import ipaddress
import json
import random
import sys
import time

from daemon import Daemon, b64, eq, main, public_key, test

SECRET = b64(bytes(range(32)))


class World(Daemon):
    """A daemon with a tunnel to route to."""

    def __enter__(self):
        super().__enter__()
        self.tunnel = self.call('tunnel.create', name='t', secret=SECRET)['tunnel']
        return self

    def client(self, number, **params):
        return self.call('client.add', **{'name': f'c{number}', 'email': f'c{number}@example.com', 'public_key': public_key(number), **params})['client']


@test
def prefixes_are_canonical():
    with World() as d:
        for text, words in (('10.0.0.1/8', 'host bits'), ('2001:db8::1/64', 'host bits'), ('10.0.0.0/33', '10.0.0.0/33'), ('10.0.0/8', '10.0.0/8'),
                            ('010.0.0.0/8', '010.0.0.0/8'), ('banana', 'banana'), ('', '')):
            d.refuses('invalid', 'network', words, method='route.add', network=text, tunnel='t')
        eq(d.call('route.add', network='2001:DB8:0:0::/64', tunnel='t')['route']['network'], '2001:db8::/64')
        d.refuses('exists', 'network', "vnet 'default'", method='route.add', network='2001:db8::/64', tunnel='t')
        d.refuses('not_found', 'tunnel', "'nobody'", method='route.add', network='10.0.0.0/8', tunnel='nobody')
        d.refuses('not_found', 'vnet', "'nobody'", method='route.add', network='10.0.0.0/8', tunnel='t', vnet='nobody')


@test
def a_bare_address_is_a_host_route():
    with World() as d:
        eq(d.call('route.add', network='192.0.2.1/32', tunnel='t')['route']['network'], '192.0.2.1/32')
        d.refuses('exists', 'network', method='route.add', network='192.0.2.1/32', tunnel='t')


@test
def lookup_agrees_with_a_model():
    rng = random.Random(20261124)
    with World() as d:
        model = {}
        d.call('vnet.create', name='blue')
        for _ in range(300):
            v6, length = rng.random() < 0.4, rng.randrange(0, 33)
            base = ipaddress.ip_network((rng.randrange(1 << 14) << 18, length), strict=False) if not v6 else \
                ipaddress.ip_network(((0x20010db8 << 96) | rng.randrange(1 << 20) << 60, min(128, length * 4)), strict=False)
            vnet = rng.choice(['default', 'blue'])
            if (vnet, base) not in model:
                model[vnet, base] = d.call('route.add', network=str(base), tunnel='t', vnet=vnet, wait=False)['route']['id']
        for network in rng.sample(sorted(model, key=str), 60):
            d.call('route.delete', network=str(network[1]), vnet=network[0], wait=False)
            del model[network]
        for _ in range(500):
            vnet, net = rng.choice(sorted(model, key=str))
            address = net[rng.randrange(min(net.num_addresses, 1 << 16))] if rng.random() < 0.8 else ipaddress.ip_address(rng.randrange(1 << 32))
            holds = [n for v, n in model if v == vnet and n.version == address.version and address in n]
            if holds:
                best = max(holds, key=lambda n: n.prefixlen)
                eq(d.call('route.lookup', ip=str(address), vnet=vnet)['route']['network'], str(best), f'{address} in {vnet}')
            else:
                d.refuses('not_found', 'ip', str(address), method='route.lookup', ip=str(address), vnet=vnet)


@test
def get_is_exact_and_lookup_is_not():
    with World() as d:
        d.call('route.add', network='10.0.0.0/8', tunnel='t')
        d.refuses('not_found', 'network', method='route.get', network='10.1.0.0/16')
        eq(d.call('route.lookup', ip='10.1.2.3')['route']['network'], '10.0.0.0/8')


@test
def names_are_unique_within_an_account_and_free_in_another():
    with World() as d:
        d.call('account.create', name='other', default_action='block')
        for method, params in (('tunnel.create', {'name': 't', 'secret': SECRET}), ('vnet.create', {'name': 'blue'}), ('list.create', {'name': 'l', 'type': 'IP'}),
                               ('rule.create', {'name': 'r', 'precedence': 1, 'action': 'allow', 'filters': ['l4']})):
            if method != 'tunnel.create':
                d.call(method, **params)
            d.refuses('exists', 'name', params['name'], method=method, **{**params, **({'precedence': 2} if 'precedence' in params else {})})
            d.call(method, account='other', **params)
        d.client(1)
        d.refuses('exists', 'name', 'c1', method='client.add', name='c1', email='x@example.com', public_key=public_key(2))
        d.client(1, account='other', public_key=public_key(3))


@test
def accounts_do_not_reach_each_other():
    with World() as d:
        d.call('account.create', name='other', default_action='block')
        d.refuses('not_found', 'tunnel', method='route.add', account='other', network='10.0.0.0/8', tunnel=d.tunnel['id'])
        made = d.call('list.create', name='l', type='IP', items=['10.0.0.0/8'])['list']
        d.refuses('not_found', 'list', method='list.show', account='other', list=made['id'])
        d.refuses('invalid', 'traffic', 'no list', method='rule.create', account='other', name='r', precedence=1, action='block', filters=['l4'],
                  traffic=f'net.dst.ip in ${made["id"]}')
        d.refuses('not_found', 'account', "'nowhere'", method='tunnel.list', account='nowhere')


@test
def public_keys_are_unique_everywhere_and_the_owner_is_not_named():
    with World() as d:
        d.call('account.create', name='other', default_action='block')
        d.client(1)
        message = d.refuses('exists', 'public_key', method='client.add', account='other', name='thief', email='eve@example.com', public_key=public_key(1))
        assert 'c1' not in message and 'default' not in message, message
        d.client(2)
        d.refuses('exists', 'public_key', method='client.rotate', client='c2', public_key=public_key(1))
        d.call('client.rotate', client='c1', public_key=public_key(5), overlap_s=100)
        d.refuses('exists', 'public_key', method='client.add', name='late', email='e@example.com', public_key=public_key(1))  # still overlapping
        edge = d.connect()
        edge.call('sync.subscribe', edge_id='e', instance='00000000-0000-4000-8000-000000000001', version='1', revision=0, epoch=None, workers=1,
                  public_keys=[public_key(99)], endpoints=[])
        d.refuses('exists', 'public_key', method='client.add', name='edge', email='e@example.com', public_key=public_key(99))


@test
def keys_that_are_no_keys():
    low_order = ['00' * 32, '01' + '00' * 31, 'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f', 'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
                 'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800', '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157']
    with World() as d:
        for text in [b64(bytes.fromhex(k)) for k in low_order] + ['', 'AAAA', b64(bytes(31)), b64(bytes(33)), '!' * 44, public_key(1)[:-1]]:
            d.refuses('invalid', 'public_key', method='client.add', name='x', email='x@example.com', public_key=text)
        eq(d.call('client.list')['clients'], [])


@test
def secrets_stay_inside():
    with World() as d:
        psk = b64(bytes(range(100, 132)))
        d.client(1, preshared_key=psk)
        told = json.dumps([d.call('client.list'), d.call('client.show', client='c1'), d.call('client.config', client='c1'), d.call('tunnel.show', tunnel='t'),
                           d.call('export'), d.call('history', limit=100)])
        assert psk not in told and SECRET not in told
        assert psk not in d.log_text() and SECRET not in d.log_text()


@test
def device_addresses_are_handed_out_once():
    with World() as d:
        d.call('account.create', name='small', default_action='block', device_pool_v4='100.64.0.0/29', device_pool_v6='fd00:1::/64')
        got = [d.client(i, account='small')['addresses'] for i in range(5)]
        eq([a[0] for a in got], [f'100.64.0.{i}' for i in range(2, 7)], 'not the network, the edge or the broadcast address')
        eq(len({a[1] for a in got}), 5)
        d.refuses('limit', None, method='client.add', account='small', name='late', email='l@example.com', public_key=public_key(50))
        d.call('client.delete', account='small', client='c2')
        d.refuses('limit', None, method='client.add', account='small', name='late', email='l@example.com', public_key=public_key(50))  # it rests for a day
        eq(d.client(77)['addresses'][0], '100.96.0.2', 'another account has a pool of its own')


@test
def the_edge_has_the_first_address():
    with World() as d:
        account = d.call('account.create', name='x', default_action='block', device_pool_v4='100.64.8.0/24', device_pool_v6='fd00:8::/64')['account']
        eq((account['edge_v4'], account['edge_v6']), ('100.64.8.1', 'fd00:8::1'))
        d.refuses('invalid', 'device_pool_v4', method='account.create', name='y', device_pool_v4='100.64.8.1/24')


@test
def an_account_blocks_until_told_otherwise():
    with World() as d:
        eq(d.call('account.create', name='x')['account']['default_action'], 'block')
        d.refuses('invalid', 'default_action', "'perhaps'", method='account.set', account='x', default_action='perhaps')
        eq(d.call('account.set', account='x', default_action='allow')['account']['default_action'], 'allow')


@test
def rules_are_checked_when_they_are_written():
    with World() as d:
        rule = {'name': 'r', 'precedence': 10, 'action': 'block', 'filters': ['l4']}
        for more, field, words in (({'action': 'off'}, 'action', 'off'), ({'action': 'deny'}, 'action', 'deny'), ({'filters': ['l7']}, 'filters', 'l7'),
                                   ({'filters': ['l4', 'http']}, 'filters', ''), ({'filters': []}, 'filters', ''),
                                   ({'traffic': 'net.dst.prt == 1'}, 'traffic', 'line 1, column 1'), ({'traffic': 'http.request.host == "x"'}, 'traffic', 'http.request.host'),
                                   ({'identity': 'net.dst.port == 1'}, 'identity', 'line 1'), ({'device_posture': 'x'}, 'device_posture', 'line 1'),
                                   ({'traffic': 'net.dst.ip in $nothing'}, 'traffic', '$nothing'), ({'rule_settings': {'answer': 'sing'}}, 'answer', 'sing')):
            d.refuses('invalid', field, words, method='rule.create', **{**rule, **more})
        d.call('rule.create', **rule)
        d.refuses('exists', 'precedence', '10', method='rule.create', name='s', precedence=10, action='allow', filters=['http'])
        d.refuses('not_found', 'rule', "'s'", method='rule.set', rule='s', precedence=11)


@test
def an_allow_rule_by_name_alone_warns():
    with World() as d:
        rule = {'precedence': 1, 'action': 'allow', 'filters': ['l4']}
        warned = d.call('rule.create', name='by name', traffic='net.sni.host == "db.corp.example"', **rule)['warnings']
        assert any('claim' in w for w in warned), warned
        eq(d.call('rule.create', name='both', traffic='net.sni.host == "x.example" and net.dst.ip in {10.0.0.0/8}', **{**rule, 'precedence': 2})['warnings'], [])


@test
def a_list_in_use_stays():
    with World() as d:
        made = d.call('list.create', name='l', type='IP', items=['10.0.0.0/8'])['list']
        d.call('rule.create', name='r', precedence=1, action='block', filters=['l4'], traffic=f'net.dst.ip in ${made["id"]}')
        assert "'r'" in d.refuses('in_use', 'list', method='list.delete', list='l')
        d.call('rule.delete', rule='r')
        d.call('list.delete', list='l')


@test
def items_of_lists():
    with World() as d:
        d.call('list.create', name='ip', type='IP', items=['10.0.0.1', {'value': '2001:db8::/32', 'description': 'docs'}])
        for item in ('10.0.0.1/8', 'host.example', '10.0.0.256', ''):
            d.refuses('invalid', 'items', item, method='list.add', list='ip', items=[item])
        d.refuses('exists', 'items', '10.0.0.1', method='list.add', list='ip', items=['10.0.0.2', '10.0.0.1'])
        eq(d.call('list.add', list='ip', items=['10.0.0.2'])['list']['item_count'], 3)
        # 10.0.0.2 is 10.0.0.2/32 and nothing else, however few or many are added
        for many in ([], [f'192.0.2.{i}' for i in range(20)]):
            d.refuses('exists', 'items', '10.0.0.2', method='list.add', list='ip', items=many + ['10.0.0.2/32'])
            d.refuses('exists', 'items', '2001:db8::/32', method='list.add', list='ip', items=many + ['2001:db8::/32'])
        eq(d.call('list.add', list='ip', items=['10.0.0.2/31', '10.0.0.20', '2001:db8::'])['list']['item_count'], 6)
        before = d.call('list.show', list='ip')['list']
        eq(d.call('list.remove', list='ip', items=['10.0.0.2/31', '10.0.0.20/32', '2001:db8::'])['list']['item_count'], 3)
        last = d.call('history', limit=1)['history'][0]['changes'][0]
        eq([len(last[k]['items']) for k in ('before', 'after')], [6, 3])
        eq(last['before']['items'], before['items'])
        d.refuses('not_found', 'items', '10.9.9.9', method='list.remove', list='ip', items=['10.9.9.9'])
        d.refuses('invalid', 'type', 'FISH', method='list.create', name='x', type='FISH')
        d.refuses('invalid', 'items', method='list.create', name='mail', type='EMAIL', items=['not an address'])
        eq(d.call('list.create', name='dns', type='DOMAIN', items=['Example.COM'])['list']['items'][0]['value'].lower(), 'example.com')


@test
def deletes_that_would_cut_something_ask_for_force():
    with World() as d:
        d.call('route.add', network='10.0.0.0/8', tunnel='t')
        d.refuses('in_use', 'tunnel', 'routes', method='tunnel.delete', tunnel='t')
        d.refuses('in_use', 'vnet', method='vnet.delete', vnet='default')
        d.call('tunnel.delete', tunnel='t', force=True)
        eq(d.call('route.list')['routes'], [])


@test
def settings_have_ranges():
    with World() as d:
        for setting in d.call('settings.get')['settings']:
            if isinstance(setting['value'], int):
                for value in (-1, 10 ** 12):
                    d.refuses('invalid', 'value', setting['key'], method='settings.set', key=setting['key'], value=value)
                d.call('settings.set', key=setting['key'], value=setting['value'], wait=False)
        d.refuses('invalid', 'value', method='settings.set', key='mtu', value='large')
        d.refuses('not_found', 'key', "'speed'", method='settings.set', key='speed', value=1)


@test
def posture_and_expiry():
    with World() as d:
        d.client(1)
        d.refuses('invalid', 'expires_at', method='client.posture', client='c1', check='disk', passed=True, expires_at='tomorrow')
        d.refuses('invalid', 'check', method='client.posture', client='c1', check='', passed=True)
        got = d.call('client.posture', client='c1', check='disk', passed=True, expires_at='2036-01-01T00:00:00Z')['client']['posture']
        eq(got, {'disk': {'passed': True, 'expires_at': '2036-01-01T00:00:00Z'}})
        soon = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(time.time() + 2))
        d.call('client.set', client='c1', expires_at=soon)
        deadline = time.monotonic() + 10
        while not d.call('client.show', client='c1')['client']['expired']:
            assert time.monotonic() < deadline, 'the client does not expire'
            time.sleep(0.1)
        eq(d.call('client.set', client='c1', expires_at=None)['client']['expired'], False)


@test
def a_rotation_overlaps():
    with World() as d:
        d.client(1)
        got = d.call('client.rotate', client='c1', public_key=public_key(2), overlap_s=2)['client']
        eq((got['public_key'], got['old_public_key']), (public_key(2), public_key(1)))
        deadline = time.monotonic() + 15
        while 'old_public_key' in d.call('client.show', client='c1')['client']:
            assert time.monotonic() < deadline, 'the old key does not go'
            time.sleep(0.1)
        d.client(9, public_key=public_key(1))  # free again


@test
def rates_have_ranges_and_survive_an_export():
    with World() as d:
        c = d.client(1, rate_bps=100_000_000)
        eq((c['rate_bps'], c['rate_pps']), (100_000_000, None))
        for field, values in (('rate_bps', (15_999, 10**12 + 1, -1)), ('rate_pps', (0, 10**9 + 1))):
            for value in values:
                d.refuses('invalid', field, f'{field} {value}:', method='client.set', client='c1', **{field: value})
        c = d.call('client.set', client='c1', rate_pps=20_000)['client']
        eq((c['rate_bps'], c['rate_pps']), (100_000_000, 20_000))
        document = d.call('export')['document']
        eq(d.call('apply', document=document, dry_run=True)['plan'], [], 'plan of what is there')
        c = d.call('client.set', client='c1', rate_bps=None)['client']
        eq((c['rate_bps'], c['rate_pps']), (None, 20_000))
        d.call('apply', document=document)
        eq(d.call('client.show', client='c1')['client']['rate_bps'], 100_000_000)


@test
def revoked_is_revoked():
    with World() as d:
        d.client(1)
        eq(d.call('client.revoke', client='c1')['client']['enabled'], False)
        eq(d.call('client.set', client='c1', enabled=True)['client']['enabled'], True)


@test
def hostile_text():
    with World() as d:
        for name in ('', 'x' * 300, 'tab\there', '\x1b[31mred', 'del\x7f'):
            d.refuses('invalid', 'name', method='vnet.create', name=name)
        d.refuses('invalid', 'comment', method='route.add', network='10.0.0.0/8', tunnel='t', comment='\x1b]0;title\x07')


@test
def a_tunnel_secret_has_32_bytes():
    with World() as d:
        for secret in (b64(bytes(31)), '', 'not base64!', b64(bytes(16))):
            d.refuses('invalid', 'secret', method='tunnel.create', name='x', secret=secret)
        tag = d.call('tunnel.create', name='x', secret=b64(bytes(64)))
        assert base64.b64decode('AAAA') and tag['edge'] == '127.0.0.1:8443' and 'CERTIFICATE' in tag['edge_ca']


@test
def apply_is_one_transaction_and_export_is_its_inverse():
    with World() as d:
        document = {'vnets': [{'name': 'blue', 'comment': 'b'}], 'lists': [{'name': 'l', 'type': 'IP', 'items': [{'value': '10.0.0.0/8'}]}],
                    'routes': [{'network': '10.0.0.0/8', 'tunnel': 't', 'vnet': 'blue'}], 'settings': {'mtu': 1300},
                    'rules': [{'name': 'r', 'precedence': 5, 'action': 'block', 'filters': ['l4'], 'traffic': 'net.dst.port == 22'}]}
        before = d.call('show.revision')['configured']
        plan = d.call('apply', document=document, dry_run=True)['plan']
        assert {(p['op'], p['resource'], p['name']) for p in plan} >= {('create', 'vnet', 'blue'), ('create', 'list', 'l'), ('create', 'rule', 'r')}, plan
        eq(d.call('show.revision')['configured'], before, 'a dry run changes nothing')
        bad = {**document, 'routes': [{'network': '10.0.0.1/8', 'tunnel': 't'}]}
        d.refuses('invalid', 'network', '10.0.0.1/8', method='apply', document=bad)
        eq(d.call('show.revision')['configured'], before, 'all or nothing')
        eq([v['name'] for v in d.call('vnet.list')['vnets']], ['default'])
        eq(d.call('apply', document=document)['revision'], before + 1, 'one revision')
        exported = d.call('export')['document']
        eq(d.call('apply', document=exported)['plan'], [], 'what was exported is what is there')
        pruned = d.call('apply', document={'vnets': [{'name': 'default', 'is_default': True}], 'routes': [], 'rules': [], 'lists': []}, prune=True)['plan']
        assert {(p['op'], p['name']) for p in pruned} >= {('delete', 'r'), ('delete', 'l')}, pruned
        d.refuses('unknown_field', 'colours', method='apply', document={'colours': []})


@test
def history_and_rollback():
    with World() as d:
        d.call('vnet.create', name='blue')
        there = d.call('show.revision')['configured']
        d.call('vnet.create', name='green')
        d.call('vnet.delete', vnet='blue')
        back = d.call('rollback', revision=there)
        eq({v['name'] for v in d.call('vnet.list')['vnets']}, {'default', 'blue'})
        eq(back['revision'], there + 3, 'a rollback is a revision of its own')
        newest = d.call('history', limit=1)['history'][0]
        eq((newest['method'], newest['revision'], newest['uid']), ('rollback', back['revision'], 0))


if __name__ == '__main__':
    sys.exit(main())
