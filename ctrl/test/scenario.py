# SPDX-License-Identifier: BSD-3-Clause
"""Every method of sluice-ctrl at least once, with what it accepts and some of what it refuses; and one edge that syncs.
The answers, with ids and times masked, are the golden messages."""
import json

from daemon import b64, public_key

SECRET = b64(bytes(range(32)))
T, R, L = 'k8s_zero_trust_tunnel', 'admins only', 'api_servers'

CALLS = [
    ('show.revision', {}),
    ('account.list', {}),
    ('account.show', {}),
    ('account.set', {'default_action': 'allow'}),
    ('account.set', {'default_action': 'maybe'}),
    ('account.create', {'name': 'other', 'default_action': 'block', 'device_pool_v4': '100.100.0.0/16', 'device_pool_v6': 'fd00:5::/64'}),
    ('account.create', {'name': 'other'}),
    ('account.delete', {'account': 'other'}),
    ('account.show', {'account': 'other'}),
    ('settings.get', {}),
    ('settings.get', {'key': 'mtu'}),
    ('settings.set', {'key': 'mtu', 'value': 1400}),
    ('settings.set', {'key': 'mtu', 'value': 100}),
    ('settings.set', {'key': 'mut', 'value': 1280}),
    ('tunnel.create', {'name': T, 'secret': SECRET, 'id': '6f8d5ae3-0000-4000-8000-000000000001'}),
    ('tunnel.create', {'name': T, 'secret': SECRET}),
    ('tunnel.create', {'name': 'short', 'secret': b64(b'short')}),
    ('tunnel.create', {'secret': SECRET}),
    ('tunnel.create', {'name': 't2', 'secret': SECRET, 'colour': 'red'}),
    ('tunnel.list', {}),
    ('tunnel.show', {'tunnel': T}),
    ('tunnel.set', {'tunnel': T, 'affinity': 'client', 'sessions': 2}),
    ('tunnel.rotate', {'tunnel': T, 'secret': b64(bytes(range(1, 33))), 'overlap_s': 60}),
    ('vnet.create', {'name': 'blue', 'comment': 'staging'}),
    ('vnet.list', {}),
    ('vnet.default', {'vnet': 'blue'}),
    ('vnet.default', {'vnet': 'default'}),
    ('route.add', {'network': '198.51.100.101/32', 'tunnel': T, 'comment': 'API server, v4'}),
    ('route.add', {'network': '2001:db8::101/128', 'tunnel': T, 'comment': 'API server, v6'}),
    ('route.add', {'network': '10.0.0.0/8', 'tunnel': T, 'vnet': 'blue'}),
    ('route.add', {'network': '10.0.0.1/8', 'tunnel': T}),
    ('route.add', {'network': '198.51.100.101/32', 'tunnel': T}),
    ('route.list', {}),
    ('route.get', {'network': '198.51.100.101/32'}),
    ('route.get', {'network': '198.51.100.0/24'}),
    ('route.lookup', {'ip': '10.2.3.4', 'vnet': 'blue'}),
    ('route.lookup', {'ip': '10.2.3.4'}),
    ('vnet.delete', {'vnet': 'blue'}),
    ('route.delete', {'network': '10.0.0.0/8', 'vnet': 'blue'}),
    ('vnet.delete', {'vnet': 'blue'}),
    ('list.create', {'name': L, 'type': 'IP', 'items': [{'value': '198.51.100.101', 'description': 'v4'}, '2001:db8::101']}),
    ('list.list', {}),
    ('list.add', {'list': L, 'items': ['198.51.100.0/25']}),
    ('list.add', {'list': L, 'items': ['198.51.100.300']}),
    ('list.remove', {'list': L, 'items': ['198.51.100.0/25']}),
    ('list.show', {'list': L}),
    ('rule.create', {'name': R, 'precedence': 10, 'action': 'allow', 'filters': ['l4'], 'traffic': 'net.dst.port == 6443',
                     'identity': 'any(identity.groups.name[*] in {"admins"})'}),
    ('rule.create', {'name': 'do not inspect', 'precedence': 10000, 'action': 'off', 'filters': ['http'],
                     'traffic': 'any(http.conn.dst_ip[*] in $<id of the list>)'}),
    ('rule.create', {'name': 'wrong', 'precedence': 20, 'action': 'allow', 'filters': ['l4'], 'traffic': 'net.dst.prt == 443'}),
    ('rule.create', {'name': 'clash', 'precedence': 10, 'action': 'allow', 'filters': ['l4']}),
    ('rule.set', {'rule': R, 'description': 'the on-call people'}),
    ('rule.disable', {'rule': R}),
    ('rule.enable', {'rule': R}),
    ('rule.list', {}),
    ('rule.show', {'rule': R}),
    ('list.delete', {'list': L}),
    ('client.add', {'name': 'laptop', 'email': 'ana@example.com', 'public_key': public_key(1), 'groups': ['admins'],
                    'preshared_key': b64(bytes(range(32)))}),
    ('client.add', {'name': 'thief', 'email': 'eve@example.com', 'public_key': public_key(1)}),
    ('client.add', {'name': 'weak', 'email': 'eve@example.com', 'public_key': b64(bytes(32))}),
    ('client.list', {}),
    ('client.show', {'client': 'laptop'}),
    ('client.set', {'client': 'laptop', 'groups': ['admins', 'on call']}),
    ('client.posture', {'client': 'laptop', 'check': 'disk', 'passed': True, 'expires_at': '2036-01-01T00:00:00Z'}),
    ('client.rotate', {'client': 'laptop', 'public_key': public_key(2), 'overlap_s': 3600}),
    ('connector.list', {}),
    ('connector.drain', {'connector': 'nobody'}),
    ('connector.undrain', {'connector': 'nobody'}),
    ('connector.weight', {'connector': 'nobody', 'weight': 5}),
    ('deny.add', {'networks': ['192.0.2.0/24']}),
    ('deny.list', {}),
    ('deny.remove', {'networks': ['192.0.2.0/24']}),
    ('show.health', {}),
    ('<edge>', {}),
    ('client.config', {'client': 'laptop'}),
    ('client.config', {'client': 'laptop', 'full': True}),
    ('apply', {'document': {'vnets': [{'name': 'green'}]}, 'dry_run': True}),
    ('apply', {'document': {'vnets': [{'name': 'green'}]}, 'wait': False}),
    ('apply', {'document': {'vnets': [{'nam': 'green'}]}}),
    ('export', {}),
    ('history', {'limit': 2}),
    ('rollback', {'revision': 100000}),
    ('client.revoke', {'client': 'laptop', 'wait': False}),
    ('client.delete', {'client': 'laptop', 'wait': False}),
    ('rule.delete', {'rule': R, 'wait': False}),
    ('rule.delete', {'rule': 'do not inspect', 'wait': False}),
    ('list.delete', {'list': L, 'wait': False}),
    ('tunnel.delete', {'tunnel': T, 'wait': False}),
    ('tunnel.delete', {'tunnel': T, 'force': True, 'wait': False}),
    ('rollback', {'revision': 2, 'wait': False}),
    ('no.such', {}),
]

SUBSCRIBE = {'edge_id': 'edge1', 'instance': '00000000-0000-4000-8000-00000000000e', 'version': '0.1.0', 'revision': 0, 'epoch': None,
             'workers': 2, 'public_keys': [public_key(9)], 'endpoints': ['203.0.113.1:51820', '[2001:db8:e::1]:51820']}
REPORT = {'edge_id': 'edge1', 'instance': SUBSCRIBE['instance'], 'tai64n_high_water': 1700000000000000000, 'connectors': [],
          'peers': [{'public_key': public_key(2), 'endpoint': '192.0.2.3:40000', 'local': '203.0.113.1:51820',
                     'tai64n_rx': '400000006553f1000000000a', 'last_handshake': 1700000000, 'active_at': 1700000001}]}


def play(daemon):
    """[(method, params, answer document)]; the edge's part as ('sync.…', …)."""
    out = []
    edge, list_id = None, ''
    for method, params in CALLS:
        if method == '<edge>':
            edge = daemon.connect()
            out.append(('sync.subscribe', SUBSCRIBE, strip(edge.answer('sync.subscribe', SUBSCRIBE))))
            while not edge.notes or edge.notes[-1]['method'] != 'sync.end':
                edge.notes.append(edge.read())
            out += [(note['method'], note['params'], None) for note in edge.notes]
            revision = edge.notes[-1]['params']['revision']
            applied = {'edge_id': 'edge1', 'instance': SUBSCRIBE['instance'], 'revision': revision, 'errors': []}
            edge.notify('sync.applied', applied)
            edge.notify('edge.report', REPORT)
            out += [('sync.applied', applied, None), ('edge.report', REPORT, None)]
            edge.call('show.revision')  # both notifications have been read before this is answered
            continue
        sent = json.loads(json.dumps(params).replace('<id of the list>', list_id))
        answer = strip(daemon.main.answer(method, sent))
        if method == 'list.create':
            list_id = answer['result']['list']['id'].replace('-', '')
        out.append((method, params, answer))
    edge.close()
    return out


def strip(document):
    return {k: v for k, v in document.items() if k not in ('jsonrpc', 'id')}
