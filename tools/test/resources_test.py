#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Commands of sluicectl that do more than one call: keys, secrets, files, plans, both sides, questions."""
import base64
import json
import os
import pty
import select
import stat
import subprocess
import sys
import time

from harness import APPLIED, CTL, CTRL, EDGE, Refused, eq, error_doc, fails, main, ok, one_line, path, run, test, write


# --- clients ----------------------------------------------------------------------------------------------------
CONFIG = {'addresses': ['100.96.0.2', 'fd12::2'], 'edge_public_key': base64.b64encode(b'\x09' + b'\0' * 31).decode(),
          'endpoints': ['203.0.113.1:51820', '[2001:db8:e::1]:51820'], 'allowed_ips': ['198.51.100.101/32', '2001:db8::101/128', '100.96.0.1/32'], 'mtu': 1280}


def b64(data):
    return base64.b64encode(data).decode()


def x25519_public(private_text):
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
    key = X25519PrivateKey.from_private_bytes(base64.b64decode(private_text))
    return b64(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))


def client_server():
    clients = {}

    def add(p):
        clients[p['name']] = {'id': 'id-' + p['name'], 'name': p['name'], 'public_key': p['public_key']}
        return {**APPLIED, 'client': clients[p['name']], 'config': CONFIG}

    def config(p):
        full = {**CONFIG, 'allowed_ips': ['0.0.0.0/0', '::/0']} if p.get('full') else CONFIG
        return {'config': full}
    CTRL.replies = {'client.add': add, 'client.config': config, 'client.show': lambda p: {'client': clients[p['client']]}, 'client.delete': APPLIED,
                    'client.rotate': lambda p: {**APPLIED, 'client': {'name': p['client'], 'public_key': p['public_key']}}}
    return clients


def fields_of(text):
    return dict(line.split(' = ', 1) for line in text.splitlines() if ' = ' in line and not line.startswith('#'))


@test
def client_add_keeps_the_private_key_here():
    client_server()
    done = ok('client', 'add', 'laptop', '--email', 'ana@example.com', '--group', 'engineers', '--vnet', 'v', '--keepalive')
    got = fields_of(done.stdout)
    (method, params), = CTRL.calls
    eq(method, 'client.add')
    eq(params, {'name': 'laptop', 'email': 'ana@example.com', 'groups': ['engineers'], 'vnet': 'v', 'public_key': x25519_public(got['PrivateKey'])})
    private = base64.b64decode(got['PrivateKey'])
    assert private[0] & 7 == 0 and private[31] & 0xc0 == 0x40, 'clamped'
    eq({k: v for k, v in got.items() if k != 'PrivateKey'},
       {'Address': '100.96.0.2/32, fd12::2/128', 'MTU': '1280', 'PublicKey': CONFIG['edge_public_key'],
        'AllowedIPs': '198.51.100.101/32, 2001:db8::101/128, 100.96.0.1/32', 'Endpoint': '203.0.113.1:51820', 'PersistentKeepalive': '25'})
    assert done.stdout.index('[Interface]') < done.stdout.index('PrivateKey') < done.stdout.index('[Peer]') < done.stdout.index('AllowedIPs')
    assert '# Endpoint = [2001:db8:e::1]:51820' in done.stdout
    second = fields_of(ok('client', 'add', 'l2', '--email', 'e').stdout)
    assert second['PrivateKey'] != got['PrivateKey'] and 'PersistentKeepalive' not in second


@test
def rates_are_bits_and_packets():
    CTRL.replies = {'client.set': APPLIED}
    for words, want in ((['100mbit', '20kpps'], {'rate_bps': 100_000_000, 'rate_pps': 20_000}), (['1Gbps'], {'rate_bps': 10**9}),
                        (['7pps'], {'rate_pps': 7}), (['none'], {'rate_bps': None, 'rate_pps': None})):
        ok('client', 'set', 'c', *(w for r in words for w in ('--rate', r)))
        eq(CTRL.calls, [('client.set', {'client': 'c', **want})])
    for words in (['fast'], ['10'], ['-1pps'], ['1.5mbit'], ['9999999999gbit'], ['1mbit', '2mbit'], ['none', '1pps'], ['1pps', 'none']):
        done = fails(2, 'client', 'set', 'c', *(w for r in words for w in ('--rate', r)))
        assert f"--rate: '{words[-1]}'" in done.stderr, done.stderr
        eq(CTRL.calls, [])


@test
def client_add_writes_a_private_file_once():
    client_server()
    conf = path('laptop.conf')
    done = ok('client', 'add', 'laptop', '--email', 'e', '--config-file', conf, prefix=('sh', '-c', 'umask 0; exec "$@"', 'x'))
    eq(stat.S_IMODE(os.stat(conf).st_mode), 0o600)
    text = open(conf, encoding='utf-8').read()
    assert fields_of(text)['PrivateKey'] not in done.stdout + done.stderr
    error = error_doc(fails(1, '--json', 'client', 'add', 'other', '--email', 'e', '--config-file', conf))
    eq((error['code'], error['field']), ('exists', 'config_file'))
    eq(CTRL.calls, [], 'nothing is added when the file cannot be')
    eq(open(conf, encoding='utf-8').read(), text)
    os.symlink(path('nowhere'), path('link'))
    fails(1, 'client', 'add', 'other', '--email', 'e', '--config-file', path('link'))
    eq(CTRL.calls, [])
    doc = json.loads(ok('--json', 'client', 'add', 'third', '--email', 'e', '--config-file', path('third.conf')).stdout)
    eq(doc['config_file'], path('third.conf'))
    assert 'wireguard_config' not in doc
    assert fields_of(open(path('third.conf'), encoding='utf-8').read())['PrivateKey'] not in json.dumps(doc)


@test
def client_add_as_json_has_the_whole_configuration():
    client_server()
    doc = json.loads(ok('--json', 'client', 'add', 'j', '--email', 'e').stdout)
    eq(doc['client']['public_key'], x25519_public(fields_of(doc['wireguard_config'])['PrivateKey']))
    eq(doc['config'], CONFIG)


@test
def client_add_is_undone_when_the_file_cannot_be_written():
    client_server()
    done = fails(1, 'client', 'add', 'laptop', '--email', 'e', '--config-file', path('nospace.conf'), prefix=('sh', '-c', 'ulimit -f 0; exec "$@"', 'x'))
    eq([c[0] for c in CTRL.calls], ['client.add', 'client.delete'])
    eq(CTRL.calls[1][1], {'client': 'id-laptop'})
    assert not os.path.exists(path('nospace.conf'))
    assert 'cannot write' in one_line(done.stderr)


@test
def client_add_leaves_no_file_when_it_is_refused():
    CTRL.replies = {'client.add': Refused(-32000, 'exists', 'name', 'client laptop exists')}
    fails(1, 'client', 'add', 'laptop', '--email', 'e', '--config-file', path('refused.conf'))
    assert not os.path.exists(path('refused.conf'))


@test
def client_add_with_a_public_key_prints_no_private_one():
    client_server()
    key = x25519_public(b64(bytes(range(32))))
    text = ok('client', 'add', 'k', '--email', 'e', '--public-key', key).stdout
    eq(CTRL.calls[0][1]['public_key'], key)
    assert 'PrivateKey' not in fields_of(text) and '# PrivateKey' in text


@test
def client_names_and_servers_cannot_add_lines_to_the_configuration():
    client_server()
    text = ok('client', 'add', 'x\n[Peer]\nPublicKey = evil', '--email', 'e').stdout
    eq([line for line in text.splitlines() if 'evil' in line and not line.startswith('#')], [])
    CTRL.replies['client.add'] = {**APPLIED, 'client': {'id': 'i', 'name': 'x'}, 'config': {**CONFIG, 'allowed_ips': ['10.0.0.0/8\nPostUp = evil']}}
    error = error_doc(fails(1, '--json', 'client', 'add', 'x', '--email', 'e'))
    assert 'allowed_ips' in error['message']
    eq(CTRL.calls[-1][0], 'client.delete')


@test
def client_config_wants_the_clients_own_key():
    clients = client_server()
    private = b64(bytes(range(1, 33)))
    clients['laptop'] = {'name': 'laptop', 'public_keys': [x25519_public(private)]}
    key = write('laptop.key', private + '\n')
    got = fields_of(ok('client', 'config', 'laptop', '--private-key-file', key).stdout)
    eq(got['PrivateKey'], private)
    other = write('other.key', b64(bytes(range(2, 34))))
    error = error_doc(fails(1, '--json', 'client', 'config', 'laptop', '--private-key-file', other))
    eq((error['code'], error['field']), ('invalid', 'private_key_file'))
    assert b64(bytes(range(2, 34))) not in error['message']
    for bad in ('', 'abc', private + ' ' + private, 'PrivateKey = abc', private[:-1]):
        fails(1, 'client', 'config', 'laptop', '--private-key-file', write('bad.key', bad))
        eq(CTRL.calls, [])
    fails(2, 'client', 'config', 'laptop')


@test
def client_config_full_asks_for_default_routes():
    clients = client_server()
    private = b64(bytes(range(1, 33)))
    clients['laptop'] = {'name': 'laptop', 'public_key': x25519_public(private)}
    got = fields_of(ok('client', 'config', 'laptop', '--full', '--private-key-file', write('f.key', private)).stdout)
    eq(CTRL.calls[-1], ('client.config', {'client': 'laptop', 'full': True}))
    eq(got['AllowedIPs'], '0.0.0.0/0, ::/0')


@test
def client_config_warns_of_changed_routes():
    clients = client_server()
    private = b64(bytes(range(1, 33)))
    clients['laptop'] = {'name': 'laptop', 'public_key': x25519_public(private)}
    old = write('old.conf', f'[Interface]\nPrivateKey={private} # mine\n[Peer]\nAllowedIPs = 198.51.100.101/32, 2001:db8::101/128, 10.0.0.0/8\n')
    done = ok('client', 'config', 'laptop', '--private-key-file', old)
    eq(done.stderr, 'sluicectl: warning: routes changed since that configuration was made: +100.96.0.1/32 -10.0.0.0/8\n')
    doc = json.loads(ok('--json', 'client', 'config', 'laptop', '--private-key-file', old).stdout)
    eq(len(doc['warnings']), 1)
    same = write('same.conf', f'[Interface]\nPrivateKey = {private}\n[Peer]\nAllowedIPs = ' + ','.join(CONFIG['allowed_ips']))
    eq(ok('client', 'config', 'laptop', '--private-key-file', same).stderr, '')
    eq(ok('client', 'config', 'laptop', '--full', '--private-key-file', old).stderr, '')


@test
def client_rotate_has_the_file_before_the_server_has_the_key():
    client_server()
    conf = path('rotated.conf')

    def rotate(p):
        assert x25519_public(fields_of(open(conf, encoding='utf-8').read())['PrivateKey']) == p['public_key']
        return {**APPLIED, 'client': {'name': p['client']}}
    CTRL.replies['client.rotate'] = rotate
    ok('client', 'rotate', 'laptop', '--overlap', '10m', '--config-file', conf)
    eq([c[0] for c in CTRL.calls], ['client.config', 'client.rotate'])
    eq(CTRL.calls[1][1]['overlap_s'], 600)
    CTRL.replies['client.rotate'] = Refused(-32000, 'not_found', 'client', 'no')
    fails(1, 'client', 'rotate', 'laptop', '--config-file', path('r2.conf'))
    assert not os.path.exists(path('r2.conf'))


@test
def qr_codes_are_blocks():
    client_server()
    lines = ok('client', 'add', 'q', '--email', 'e', '--qr').stdout.splitlines()
    assert len(lines) > 20 and set(''.join(lines)) <= set('█▀▄ ') and len({len(line) for line in lines}) == 1
    eq(set(lines[0]), {'█'}, 'quiet zone')


@test
def no_edge_yet_is_a_warning():
    client_server()
    CTRL.replies['client.add'] = {**APPLIED, 'client': {'id': 'i'}, 'config': {**CONFIG, 'endpoints': [], 'edge_public_key': None}}
    done = ok('client', 'add', 'q', '--email', 'e')
    assert 'Endpoint' not in fields_of(done.stdout) and 'no edge has announced' in done.stderr


# --- tunnels ----------------------------------------------------------------------------------------------------
TUNNEL_ID = '6ff42ae2-765d-4adf-8112-31c55c1551ef'


def tunnel_server():
    made = {**APPLIED, 'tunnel': {'id': TUNNEL_ID, 'name': 'k8s'}, 'account_tag': 'a' * 32, 'edge_ca': 'PEM', 'edge': 'edge.example:8443'}
    CTRL.replies = {'tunnel.create': lambda p: dict(made), 'tunnel.rotate': lambda p: dict(made), 'tunnel.delete': APPLIED,
                    'tunnel.show': {'tunnel': {'id': TUNNEL_ID, 'name': 'k8s'}}}


@test
def tunnel_create_writes_the_credentials_once():
    tunnel_server()
    creds = path('creds.json')
    done = ok('tunnel', 'create', 'k8s', '--credentials-file', creds)
    (method, params), = CTRL.calls
    eq((method, set(params), params['name']), ('tunnel.create', {'name', 'secret'}, 'k8s'))
    eq(len(base64.b64decode(params['secret'], validate=True)), 32)
    eq(json.load(open(creds, encoding='utf-8')), {'AccountTag': 'a' * 32, 'TunnelID': TUNNEL_ID, 'TunnelName': 'k8s', 'TunnelSecret': params['secret'],
                                                 'EdgeCA': 'PEM', 'Edge': 'edge.example:8443'})
    eq(stat.S_IMODE(os.stat(creds).st_mode), 0o400)
    assert params['secret'] not in done.stdout + done.stderr
    before = CTRL.calls[:]
    eq(error_doc(fails(1, '--json', 'tunnel', 'create', 'k8s', '--credentials-file', creds))['code'], 'exists')
    eq(CTRL.calls, [], 'no tunnel is made when the file exists')
    assert before


@test
def tunnel_create_names_the_file_by_the_id():
    tunnel_server()
    doc = json.loads(ok('--json', 'tunnel', 'create', 'k8s').stdout)
    eq(doc['credentials_file'], TUNNEL_ID + '.json')
    assert CTRL.calls[0][1]['secret'] not in json.dumps(doc)
    eq(stat.S_IMODE(os.stat(path(TUNNEL_ID + '.json')).st_mode), 0o400)
    fails(1, 'tunnel', 'create', 'k8s')
    eq([c[0] for c in CTRL.calls], ['tunnel.create', 'tunnel.delete'])
    os.unlink(path(TUNNEL_ID + '.json'))


@test
def tunnel_create_is_undone_when_writing_fails():
    tunnel_server()
    fails(1, 'tunnel', 'create', 'k8s', '--credentials-file', path('full.json'), prefix=('sh', '-c', 'ulimit -f 0; exec "$@"', 'x'))
    eq([c[0] for c in CTRL.calls], ['tunnel.create', 'tunnel.delete'])
    eq(CTRL.calls[1][1], {'tunnel': TUNNEL_ID})
    assert not os.path.exists(path('full.json'))


@test
def tunnel_create_takes_a_secret():
    tunnel_server()
    secret = b64(bytes(range(40)))
    ok('tunnel', 'create', 'k8s', '--secret-file', write('secret', secret + '\n'))
    eq(CTRL.calls[0][1]['secret'], secret)
    assert not os.path.exists(path(TUNNEL_ID + '.json'))
    for bad in ('', b64(bytes(31)), 'not base64!', secret + ' ' + secret):
        eq(error_doc(fails(1, '--json', 'tunnel', 'create', 'k8s', '--secret-file', write('secret', bad)))['field'], 'secret')
        eq(CTRL.calls, [])


@test
def tunnel_rotate_writes_new_credentials():
    tunnel_server()
    ok('tunnel', 'rotate', 'k8s', '--credentials-file', path('rot.json'))
    eq((CTRL.calls[0][0], set(CTRL.calls[0][1])), ('tunnel.rotate', {'tunnel', 'secret'}))
    eq(json.load(open(path('rot.json'), encoding='utf-8'))['TunnelSecret'], CTRL.calls[0][1]['secret'])


@test
def tunnel_token_needs_the_right_credentials():
    tunnel_server()
    creds = {'AccountTag': 'a' * 32, 'TunnelID': TUNNEL_ID, 'TunnelName': 'k8s', 'TunnelSecret': b64(bytes(32)), 'Edge': 'e:1'}
    token = ok('tunnel', 'token', 'k8s', '--credentials-file', write('c.json', json.dumps(creds))).stdout
    eq(json.loads(base64.b64decode(one_line(token), validate=True)), {'a': 'a' * 32, 's': b64(bytes(32)), 't': TUNNEL_ID, 'e': 'e:1'})
    eq(json.loads(ok('--json', 'tunnel', 'token', 'k8s', '--credentials-file', path('c.json')).stdout), {'token': token.strip()})
    error = error_doc(fails(1, '--json', 'tunnel', 'token', 'k8s', '--credentials-file', write('d.json', json.dumps({**creds, 'TunnelID': 'other'}))))
    eq((error['code'], error['field']), ('invalid', 'credentials_file'))
    for bad in ('', '[]', '{}', '{"TunnelID": 1}'):
        assert b64(bytes(32)) not in one_line(fails(1, 'tunnel', 'token', 'k8s', '--credentials-file', write('e.json', bad)).stderr)
    fails(2, 'tunnel', 'token', 'k8s')


# --- lists, apply, export -----------------------------------------------------------------------------------------
@test
def list_items_come_from_files():
    CTRL.replies = {'list.create': APPLIED, 'list.remove': APPLIED}
    plain = write('items.txt', '# ours\r\n10.0.0.1\r\n\n  10.0.0.0/24  # office\n2001:db8::1#not a comment\n')
    ok('list', 'create', 'l', '--type', 'IP', '192.0.2.1', '--from', plain)
    eq(CTRL.calls[0][1], {'name': 'l', 'type': 'IP', 'items': ['192.0.2.1', '10.0.0.1', '10.0.0.0/24', '2001:db8::1#not a comment']})
    table = write('items.csv', 'Value,Description\r\n10.0.0.1,"one, ""the"" first"\n10.0.0.2\n10.0.0.3,\n')
    ok('list', 'create', 'l', '--type', 'IP', '--from', table)
    eq(CTRL.calls[0][1]['items'], [{'value': '10.0.0.1', 'description': 'one, "the" first'}, '10.0.0.2', '10.0.0.3'])
    ok('list', 'remove', 'l', '--from', table)
    eq(CTRL.calls[0][1]['items'], ['10.0.0.1', '10.0.0.2', '10.0.0.3'])
    for bad, line in (('value,description\na,b,c\n', 2), ('value,description\nok\n"a\n', 3), ('value,description\n"a"b\n', 2), (b'\xff\n', 1),
                      ('value,description\n,b\n', 2)):
        error = error_doc(fails(1, '--json', 'list', 'create', 'l', '--type', 'IP', '--from', write('bad.csv', bad)))
        eq((error['code'], error['field']), ('invalid', 'items'))
        assert f'line {line}:' in error['message'], error
        eq(CTRL.calls, [])


DOCUMENT = """
# the scenario
tunnels:
  - name: k8s
routes:
  - {network: 198.51.100.101/32, tunnel: k8s, comment: "API: v4"}
  - network: 2001:db8::101/128
    tunnel: k8s
rules:
  - name: off
    precedence: 10000
    enabled: true
    filters: [http]
    traffic: |-
      any(http.conn.dst_ip[*] in $api)
    identity: null
    note: "10"
    ratio: 1.5
"""
PARSED = {'tunnels': [{'name': 'k8s'}],
          'routes': [{'network': '198.51.100.101/32', 'tunnel': 'k8s', 'comment': 'API: v4'}, {'network': '2001:db8::101/128', 'tunnel': 'k8s'}],
          'rules': [{'name': 'off', 'precedence': 10000, 'enabled': True, 'filters': ['http'], 'traffic': 'any(http.conn.dst_ip[*] in $api)',
                     'identity': None, 'note': '10', 'ratio': 1.5}]}
PLAN = [{'op': 'create', 'resource': 'route', 'name': '10.0.0.0/8'}, {'op': 'update', 'resource': 'rule', 'name': 'off', 'fields': ['action', 'traffic']},
        {'op': 'delete', 'resource': 'list', 'name': 'x\x1b'}]


@test
def apply_takes_yaml_and_json():
    CTRL.replies = {'apply': {**APPLIED, 'plan': PLAN}}
    done = ok('apply', '-f', write('doc.yaml', DOCUMENT), '--prune')
    eq(CTRL.calls, [('apply', {'document': PARSED, 'prune': True})])
    eq(done.stdout.splitlines(), ['+ route 10.0.0.0/8', '~ rule off: action, traffic', '- list x\\x1b', '1 to add, 1 to change, 1 to delete',
                                  'revision 7 applied'])
    assert ok('apply', '--file', '-', '--dry-run', stdin=json.dumps(PARSED)).stdout.endswith('1 to delete\nnothing was changed (dry run)\n')
    eq(CTRL.calls, [('apply', {'document': PARSED, 'dry_run': True})])
    eq(json.loads(ok('apply', '-f', '-', '--json', stdin=DOCUMENT).stdout)['plan'], PLAN)
    CTRL.replies['apply'] = {**APPLIED, 'plan': PLAN, 'plan_truncated': True, 'counts': {'create': 5000, 'update': 1, 'delete': 1}, 'dry_run': False}
    eq(ok('apply', '-f', '-', stdin=DOCUMENT).stdout.splitlines()[3:],
       ['... (the plan is longer than what is shown)', '5000 to add, 1 to change, 1 to delete', 'revision 7 applied'])


@test
def apply_refuses_what_is_no_document():
    for text, what in (('a: [1', 'line '), ('- a\n', 'mapping'), ('a: 1\na: 2\n', 'line 2'), ('a: &x 1\n', 'anchors'), ('a: !!str 1\n', 'anchors'),
                       ('a: 1\n---\nb: 2\n', 'one document'), ('{"a": 1, "a": 2}', 'line '), ('a: ' + '[' * 40 + ']' * 40, 'deep'), ('', 'mapping'),
                       (b'a: "\xff"\n', 'line ')):
        error = error_doc(fails(1, '--json', 'apply', '-f', write('bad.yaml', text)))
        eq((error['code'], error['field']), ('invalid', 'document'))
        assert what in error['message'], (text, error)
        eq(CTRL.calls, [])
    assert 'No such file' in one_line(fails(1, 'apply', '-f', path('absent.yaml')).stderr)
    fails(2, 'apply')


@test
def apply_says_when_a_document_is_too_large():
    CTRL.replies = {'apply': {**APPLIED, 'plan': []}}
    big = {'routes': [{'network': f'10.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255}/32', 'tunnel': 'k8s', 'comment': 'x' * 60} for i in range(180000)]}
    error = error_doc(fails(1, '--json', 'apply', '-f', write('big.json', json.dumps(big))))
    eq(error['code'], 'limit')
    eq(CTRL.calls, [])


@test
def export_round_trips():
    odd = {'rules': [{'a': 'yes', 'b': 'true', 'c': '10', 'd': '', 'e': 'null', 'f': 'x: y', 'g': '- z', 'h': '#', 'i': 'é\u202e\n', 'j': 1.0, 'k': -5,
                      'l': None, 'm': [], 'n': {}, 'o': True, 'p': '~', 'q': "it's", 'r': '1e3', 's': ' lead', 't': '0x10', 'u': '\x85'}]}
    CTRL.replies = {'export': {'document': odd}, 'apply': {**APPLIED, 'plan': []}}
    text = ok('export').stdout
    assert text.isascii()
    ok('apply', '-f', '-', stdin=text)
    eq(CTRL.calls[0][1]['document'], odd)
    eq(json.loads(ok('export', '-o', 'json').stdout), odd)
    eq(json.loads(ok('--json', 'export').stdout), odd)
    assert ok('export', '-o', 'yaml').stdout.startswith('rules:\n')


# --- show ---------------------------------------------------------------------------------------------------------
COUNTERS = {'edge_id': 'edge1', 'revision': {'configured': 41, 'applied': 40}, 'workers': [{'worker': 0, 'rx_packets': 12345}],
            'totals': {'rx_packets': 12345, 'rx_bytes': 1536000, 'tx_packets': 1}, 'drops': {'none_of_these': 0, 'small': 2, 'large': 900}}


@test
def show_counters():
    EDGE.replies = {'show.counters': COUNTERS}
    eq(json.loads(ok('show', 'counters', '--json').stdout), COUNTERS)
    eq(EDGE.calls, [('show.counters', {})])
    eq(CTRL.calls, [])
    text = ok('show', 'counters').stdout
    assert 'none_of_these' not in text and text.index('large') < text.index('small')
    widths = {len(line) for line in text.split('totals:\n')[1].split('\n\n')[0].splitlines()}
    eq(len(widths), 1, 'numbers are aligned')
    human = ok('show', 'counters', '--human').stdout
    assert '12.3k' in human and '1.5MiB' in human


@test
def show_counters_takes_the_configured_revision_from_ctrl():
    EDGE.replies = {'show.counters': {**COUNTERS, 'revision': {'applied': 40}}}
    CTRL.replies = {'show.revision': {'configured': 44, 'edges': []}}
    eq(json.loads(ok('show', 'counters', '--json').stdout)['revision'], {'applied': 40, 'configured': 44})
    CTRL.replies = {}
    eq(json.loads(ok('show', 'counters', '--json').stdout)['revision'], {'applied': 40, 'configured': None})


@test
def show_revision_and_health_merge_both_sides():
    CTRL.replies = {'show.revision': {'configured': 44, 'edges': [{'edge_id': 'edge1', 'applied': 43, 'connected': True, 'errors': []}]}}
    EDGE.replies = {'show.revision': {'edge_id': 'edge1', 'configured': 43, 'applied': 43, 'errors': []}, 'show.health': {'status': 'ok', 'reasons': []}}
    doc = json.loads(ok('show', 'revision', '--json').stdout)
    eq((doc['configured'], doc['applied'], doc['down'], doc['edge']['edge_id']), (44, 43, [], 'edge1'))
    CTRL.replies['show.health'] = {'configured': 44}
    eq(json.loads(ok('show', 'health', '--json').stdout)['status'], 'ok')
    argv = ['show', 'health', '--socket', path('nobody.sock'), '--edge-socket', EDGE.path]
    done = ok(*argv, '--json', sockets=False)
    doc = json.loads(done.stdout)
    eq((doc['status'], doc['ctrl'], [d['side'] for d in doc['down']]), ('degraded', None, ['sluice-ctrl']))
    assert 'sluice-ctrl is down' in ok(*argv, sockets=False).stderr
    error = error_doc(fails(1, '--json', 'show', 'health', '--socket', path('n1'), '--edge-socket', path('n2'), sockets=False))
    assert 'n1' in error['message'] and 'n2' in error['message']


@test
def show_watch_repeats():
    EDGE.replies = {'show.ports': {'ports': [{'port': 0, 'name': 'p'}]}}
    child = subprocess.Popen([CTL, '--edge-socket', EDGE.path, '--json', 'show', 'ports', '--watch', '1'], stdout=subprocess.PIPE, text=True)
    try:
        for _ in range(2):
            eq(json.loads(child.stdout.readline()), EDGE.replies['show.ports'])
    finally:
        child.terminate()
        child.wait(10)


# --- questions on a terminal --------------------------------------------------------------------------------------
def on_terminal(answer, *argv):
    CTRL.calls.clear()
    pid, fd = pty.fork()
    if not pid:
        os.execv(CTL, [CTL, '--socket', CTRL.path, *argv])
    text, answered, end = b'', False, time.monotonic() + 20
    while time.monotonic() < end:
        if not select.select([fd], [], [], 1)[0]:
            continue
        try:
            got = os.read(fd, 4096)
        except OSError:
            break
        if not got:
            break
        text += got
        if b'[y/N]' in text and not answered:
            os.write(fd, answer)
            answered = True
    _, status = os.waitpid(pid, 0)
    os.close(fd)
    return os.waitstatus_to_exitcode(status), text.decode(), answered


@test
def destructive_verbs_ask_on_a_terminal():
    CTRL.replies = {'tunnel.delete': APPLIED, 'tunnel.list': {'tunnels': []}}
    status, text, asked = on_terminal(b'n\n', 'tunnel', 'delete', 'k8s')
    eq((status, asked, CTRL.calls), (1, True, []))
    assert "tunnel delete 'k8s'? [y/N]" in text
    status, _, asked = on_terminal(b'\n', 'tunnel', 'delete', 'k8s')
    eq((status, asked, CTRL.calls), (1, True, []))
    status, _, asked = on_terminal(b'y\n', 'tunnel', 'delete', 'k8s')
    eq((status, asked, [c[0] for c in CTRL.calls]), (0, True, ['tunnel.delete']))
    for argv in (['tunnel', 'delete', 'k8s', '--yes'], ['tunnel', 'list']):
        status, _, asked = on_terminal(b'', *argv)
        eq((status, asked), (0, False))


@test
def a_plan_that_deletes_is_shown_before_the_question():
    CTRL.replies = {'apply': {**APPLIED, 'plan': PLAN}}
    doc = write('doc.yaml', DOCUMENT)
    status, text, asked = on_terminal(b'n\n', 'apply', '-f', doc, '--prune')
    eq((status, asked), (1, True))
    eq([c[1].get('dry_run') for c in CTRL.calls], [True])
    assert '- list' in text and 'apply, and delete 1?' in text
    status, _, asked = on_terminal(b'y\n', 'apply', '-f', doc, '--prune')
    eq((status, [c[1].get('dry_run') for c in CTRL.calls]), (0, [True, None]))


if __name__ == '__main__':
    sys.exit(main())
