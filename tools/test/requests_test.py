#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""For every command of sluicectl the exact request, what is printed, the exit status."""
import calendar
import json
import re
import subprocess
import sys
import time

from harness import APPLIED, CTL, CTRL, EDGE, Refused, TESTS, TMP, eq, error_doc, fails, main, ok, one_line, path, run, test, write


# --- the request of every command -------------------------------------------------------------------------------
REQUESTS = [  # command line, side, method, exact parameters
    ('account create acme', 'c', 'account.create', {'name': 'acme'}),
    ('account create acme --default-action allow --device-pool-v4 10.9.0.0/16 --device-pool-v6 fd00::/64', 'c', 'account.create',
     {'name': 'acme', 'default_action': 'allow', 'device_pool_v4': '10.9.0.0/16', 'device_pool_v6': 'fd00::/64'}),
    ('account list', 'c', 'account.list', {}),
    ('account show acme', 'c', 'account.show', {'account': 'acme'}),
    ('account set acme --default-action block --name b', 'c', 'account.set', {'account': 'acme', 'default_action': 'block', 'name': 'b'}),
    ('account delete acme', 'c', 'account.delete', {'account': 'acme'}),
    ('settings get', 'c', 'settings.get', {}),
    ('settings get mtu', 'c', 'settings.get', {'key': 'mtu'}),
    ('settings set mtu 1280', 'c', 'settings.set', {'key': 'mtu', 'value': 1280}),
    ('settings set edge_public_endpoint 203.0.113.1:51820', 'c', 'settings.set', {'key': 'edge_public_endpoint', 'value': '203.0.113.1:51820'}),
    ('tunnel list', 'c', 'tunnel.list', {}),
    ('tunnel show k8s', 'c', 'tunnel.show', {'tunnel': 'k8s'}),
    ('tunnel set k8s --affinity client --sessions 4', 'c', 'tunnel.set', {'tunnel': 'k8s', 'affinity': 'client', 'sessions': 4}),
    ('tunnel delete k8s', 'c', 'tunnel.delete', {'tunnel': 'k8s'}),
    ('tunnel delete k8s --force', 'c', 'tunnel.delete', {'tunnel': 'k8s', 'force': True}),
    ('route add 198.51.100.101/32 k8s --comment=API', 'c', 'route.add', {'network': '198.51.100.101/32', 'tunnel': 'k8s', 'comment': 'API'}),
    ('route add --vnet v 2001:db8::101/128 k8s', 'c', 'route.add', {'network': '2001:db8::101/128', 'tunnel': 'k8s', 'vnet': 'v'}),
    ('route list', 'c', 'route.list', {}),
    ('route list --vnet v --tunnel t', 'c', 'route.list', {'vnet': 'v', 'tunnel': 't'}),
    ('route get 10.0.0.0/8', 'c', 'route.get', {'network': '10.0.0.0/8'}),
    ('route lookup 10.1.2.3 --vnet v', 'c', 'route.lookup', {'ip': '10.1.2.3', 'vnet': 'v'}),
    ('route delete 10.0.0.0/8', 'c', 'route.delete', {'network': '10.0.0.0/8'}),
    ('vnet create lab --comment x', 'c', 'vnet.create', {'name': 'lab', 'comment': 'x'}),
    ('vnet list', 'c', 'vnet.list', {}),
    ('vnet delete lab --force', 'c', 'vnet.delete', {'vnet': 'lab', 'force': True}),
    ('vnet default lab', 'c', 'vnet.default', {'vnet': 'lab'}),
    ('list create l --type IP', 'c', 'list.create', {'name': 'l', 'type': 'IP'}),
    ('list create l --type IP 10.0.0.1 10.0.0.0/24', 'c', 'list.create', {'name': 'l', 'type': 'IP', 'items': ['10.0.0.1', '10.0.0.0/24']}),
    ('list list', 'c', 'list.list', {}),
    ('list show l', 'c', 'list.show', {'list': 'l'}),
    ('list add l a b', 'c', 'list.add', {'list': 'l', 'items': ['a', 'b']}),
    ('list remove l a', 'c', 'list.remove', {'list': 'l', 'items': ['a']}),
    ('list delete l', 'c', 'list.delete', {'list': 'l'}),
    ('rule create r --precedence 10000 --action off --filter http --traffic X --identity Y --posture Z --description D', 'c', 'rule.create',
     {'name': 'r', 'precedence': 10000, 'action': 'off', 'filters': ['http'], 'traffic': 'X', 'identity': 'Y', 'device_posture': 'Z', 'description': 'D'}),
    ('rule create r --precedence 1 --action block --filter l4 --enabled false --rule-settings {"a":1}', 'c', 'rule.create',
     {'name': 'r', 'precedence': 1, 'action': 'block', 'filters': ['l4'], 'enabled': False, 'rule_settings': {'a': 1}}),
    ('rule list', 'c', 'rule.list', {}),
    ('rule show r', 'c', 'rule.show', {'rule': 'r'}),
    ('rule set r --traffic= --precedence 5', 'c', 'rule.set', {'rule': 'r', 'traffic': None, 'precedence': 5}),
    ('rule enable r', 'c', 'rule.enable', {'rule': 'r'}),
    ('rule disable r', 'c', 'rule.disable', {'rule': 'r'}),
    ('rule delete r', 'c', 'rule.delete', {'rule': 'r'}),
    ('client list', 'c', 'client.list', {}),
    ('client show c', 'c', 'client.show', {'client': 'c'}),
    ('client set c --email e --group a --group b --vnet v --enabled on --expires never', 'c', 'client.set',
     {'client': 'c', 'email': 'e', 'groups': ['a', 'b'], 'vnet': 'v', 'enabled': True, 'expires_at': None}),
    ('client posture c disk pass --expires 2030-01-01T00:00:00Z', 'c', 'client.posture',
     {'client': 'c', 'check': 'disk', 'passed': True, 'expires_at': '2030-01-01T00:00:00Z'}),
    ('client posture c disk fail', 'c', 'client.posture', {'client': 'c', 'check': 'disk', 'passed': False}),
    ('client revoke c', 'c', 'client.revoke', {'client': 'c'}),
    ('client delete c', 'c', 'client.delete', {'client': 'c'}),
    ('connector list --tunnel t', 'c', 'connector.list', {'tunnel': 't'}),
    ('connector drain i', 'c', 'connector.drain', {'connector': 'i'}),
    ('connector undrain i', 'c', 'connector.undrain', {'connector': 'i'}),
    ('connector weight i 256', 'c', 'connector.weight', {'connector': 'i', 'weight': 256}),
    ('deny add 10.0.0.0/8 fd00::/8', 'c', 'deny.add', {'networks': ['10.0.0.0/8', 'fd00::/8']}),
    ('deny remove 10.0.0.0/8', 'c', 'deny.remove', {'networks': ['10.0.0.0/8']}),
    ('deny list', 'c', 'deny.list', {}),
    ('history --limit 5', 'c', 'history', {'limit': 5}),
    ('rollback 41', 'c', 'rollback', {'revision': 41}),
    ('show drops', 'e', 'show.drops', {}),
    ('show drops --all', 'e', 'show.drops', {'all': True}),
    ('show hits', 'e', 'show.hits', {}),
    ('show hits --by route --limit 5', 'e', 'show.hits', {'by': 'route', 'limit': 5}),
    ('show workers', 'e', 'show.workers', {}),
    ('show stages', 'e', 'show.stages', {}),
    ('show sessions --client c --connector k --limit 9', 'e', 'show.sessions', {'client': 'c', 'connector': 'k', 'limit': 9}),
    ('show flows --client c --dst 10.0.0.0/8 --limit 9', 'e', 'show.flows', {'client': 'c', 'dst': '10.0.0.0/8', 'limit': 9}),
    ('show ports', 'e', 'show.ports', {}),
    ('show tables', 'e', 'show.tables', {}),
    ('top', 'e', 'top', {}),
    ('explain --client c --dst 10.0.0.1 --dport 443 --proto tcp --host h', 'e', 'explain',
     {'client': 'c', 'dst': '10.0.0.1', 'dport': 443, 'proto': 'tcp', 'host': 'h'}),
]


def request_test(words, side, method, params):
    def body():
        server, other = (CTRL, EDGE) if side == 'c' else (EDGE, CTRL)
        server.replies = {method: {'revision': 7, 'applied': True}}
        argv = words.split(' ')
        done = ok(*argv)
        eq(server.calls, [(method, params)], 'requests')
        eq(other.calls, [], 'requests to the other side')
        doc = json.loads(ok('--json', *argv).stdout)
        eq(doc, {'revision': 7, 'applied': True})
        assert done.stdout, 'nothing printed'
    body.__name__ = 'request: ' + words
    return body


for row in REQUESTS:
    TESTS.append(request_test(*row))


@test
def every_command_of_the_table_is_in_these_tests():
    seen = {tuple(w for w in row[0].split(' ')[:2]) for row in REQUESTS} | {(row[0].split(' ')[0],) for row in REQUESTS}
    elsewhere = {('tunnel', 'create'), ('tunnel', 'rotate'), ('tunnel', 'token'), ('client', 'add'), ('client', 'config'), ('client', 'rotate'),
                 ('apply',), ('export',), ('show', 'health'), ('show', 'counters'), ('show', 'revision'), ('completion',), ('man',), ('help',), ('logs',), ('trace',), ('capture',)}
    man = ok('man').stdout
    commands = {tuple(line.split()[2:]) for line in man.splitlines() if line.startswith('.SS sluicectl ')}
    assert len(commands) > 70, commands
    missing = {c for c in commands if c not in seen and c not in elsewhere}
    eq(missing, set(), 'commands without a test')


# --- common parameters ------------------------------------------------------------------------------------------
@test
def account_wait_and_timeout_are_sent_when_given():
    CTRL.replies = {'route.add': APPLIED, 'route.list': {'routes': []}}
    ok('--account', 'acme', 'route', 'add', '10.0.0.0/8', 't', '--no-wait', '--timeout', '3')
    eq(CTRL.calls[0][1], {'account': 'acme', 'network': '10.0.0.0/8', 'tunnel': 't', 'wait': False, 'timeout_s': 3})
    ok('route', 'list', '--no-wait', '--timeout=3', '--account=acme')
    eq(CTRL.calls[0][1], {'account': 'acme'}, 'a reading command sends neither wait nor timeout_s')


@test
def sockets_come_from_the_environment():
    CTRL.replies = {'vnet.list': {'vnets': []}}
    EDGE.replies = {'show.ports': {'ports': []}}
    env = {'SLUICE_CTRL_SOCKET': CTRL.path, 'SLUICE_EDGE_SOCKET': EDGE.path}
    ok('vnet', 'list', sockets=False, env=env)
    ok('show', 'ports', sockets=False, env=env)
    eq(EDGE.calls, [('show.ports', {})])


@test
def double_dash_ends_the_options():
    CTRL.replies = {'vnet.create': APPLIED}
    ok('vnet', 'create', '--', '--odd-name')
    eq(CTRL.calls[0][1], {'name': '--odd-name'})


@test
def relative_times_become_rfc3339():
    CTRL.replies = {'client.set': APPLIED}
    ok('client', 'set', 'c', '--expires', '2h')
    sent = CTRL.calls[0][1]['expires_at']
    at = time.strptime(sent, '%Y-%m-%dT%H:%M:%SZ')
    assert abs(calendar.timegm(at) - time.time() - 7200) < 30, sent


# --- wrong usage ------------------------------------------------------------------------------------------------
USAGE = [  # command line, in the message, field
    ('', 'a command is missing', None),
    ('route', "'route' needs a verb", None),
    ('rotue list', "unknown command 'rotue'; did you mean 'route'?", None),
    ('route lst', "unknown command 'route lst'; did you mean 'list'?", None),
    ('zzzzzz', "unknown command 'zzzzzz' (see", None),
    ('route add 10.0.0.0/8', "missing: 'TUNNEL'", 'tunnel'),
    ('route add 10.0.0.0/8 t extra', "one word too many: 'extra'", None),
    ('route list --vnte v', "unknown option '--vnte'; did you mean '--vnet'?", None),
    ('route list --acount v', "did you mean '--account'?", None),
    ('route list --vnet', "a value is missing after '--vnet'", 'vnet'),
    ('route list --vnet a --vnet b', "given twice: '--vnet'", 'vnet'),
    ('route list --json=1', "no value is taken by '--json'", None),
    ('list create l --type IPS', "--type: 'IPS' is not one of IP DOMAIN EMAIL SERIAL; did you mean 'IP'?", 'type'),
    ('list create l', "missing: '--type'", 'type'),
    ('list add l', "missing: 'ITEM'", 'items'),
    ('rule create r --precedence x --action off --filter http', "--precedence: 'x' is not a whole number", 'precedence'),
    ('rule create r --action off --filter http', "missing: '--precedence'", 'precedence'),
    ('rule set r --enabled maybe', "'maybe' is not true or false", 'enabled'),
    ('client posture c disk maybe', "'maybe' is not pass or fail", 'passed'),
    ('connector weight i 257', 'from 0 to 256', 'weight'),
    ('client add c', "missing: '--email'", 'email'),
    ('client add c --email e --public-key abc', 'not 32 bytes of base64', 'public_key'),
    ('client set c --expires tomorrow', "'tomorrow' is not a time", 'expires_at'),
    ('rule set r --rule-settings {', 'is not JSON', 'rule_settings'),
    ('route list --timeout 0', 'from 1 to 86400', None),
    ('completion zsh', 'is not one of bash', None),
]


def usage_test(words, message, field):
    def body():
        argv = words.split(' ') if words else []
        done = fails(2, *argv)
        eq(done.stdout, '')
        assert message in one_line(done.stderr), done.stderr
        eq(CTRL.calls + EDGE.calls, [], 'requests')
        error = error_doc(fails(2, '--json', *[a for a in argv if not a.startswith('--json=')] + [a for a in argv if a.startswith('--json=')]))
        eq((error['code'], error['field']), ('usage', field))
        assert message in error['message']
    body.__name__ = 'usage: ' + (words or '(nothing)')
    return body


for row in USAGE:
    TESTS.append(usage_test(*row))


# --- errors -----------------------------------------------------------------------------------------------------
@test
def a_refusal_is_one_line_or_one_document():
    CTRL.replies = {'route.add': Refused(-32000, 'invalid', 'network', 'route 10.0.0.1/8: host bits are set')}
    done = fails(1, 'route', 'add', '10.0.0.1/8', 't')
    eq((done.stdout, done.stderr), ('', 'sluicectl: route 10.0.0.1/8: host bits are set\n'))
    done = fails(1, 'route', 'add', '10.0.0.1/8', 't', '--json')
    eq(done.stderr, '')
    eq(error_doc(done), {'code': 'invalid', 'field': 'network', 'message': 'route 10.0.0.1/8: host bits are set'})


@test
def an_unknown_method_is_unsupported():
    EDGE.replies = {}
    for words in (['explain', '--client', 'c', '--dst', '1.2.3.4'], ['trace'], ['capture', '-w', 'f'], ['logs'], ['top']):
        error = error_doc(fails(1, '--json', *words))
        eq(error['code'], 'unsupported')
        assert words[0] in error['message'] and 'sluice-edge' in error['message']
        assert 'unsupported' not in one_line(fails(1, *words).stderr)


@test
def a_missing_server_is_unavailable():
    done = run('--socket', path('nobody.sock'), 'vnet', 'list', '--json', sockets=False)
    eq(done.returncode, 1)
    error = error_doc(done)
    eq(error['code'], 'unavailable')
    assert 'nobody.sock' in error['message']


@test
def a_silent_server_times_out():
    CTRL.silent = True
    began = time.monotonic()
    try:
        error = error_doc(fails(1, '--json', '--timeout', '1', 'vnet', 'list'))
    finally:
        CTRL.silent = False
    eq(error['code'], 'timeout')
    assert time.monotonic() - began < 15


@test
def an_edge_that_lags_is_a_timeout_that_names_it():
    CTRL.replies = {'vnet.create': Refused(-32000, 'timeout', None, 'edge1 has not applied revision 9')}
    eq(error_doc(fails(1, '--json', 'vnet', 'create', 'x')), {'code': 'timeout', 'message': 'edge1 has not applied revision 9', 'field': None})


@test
def a_place_in_an_expression_gets_a_caret():
    CTRL.replies = {'rule.set': Refused(-32000, 'invalid', 'traffic', 'traffic: line 1, column 15: expected a value')}
    done = fails(1, 'rule', 'set', 'r', '--traffic', 'net.dst.ip == é foo')
    eq(done.stderr.splitlines(), ['sluicectl: traffic: line 1, column 15: expected a value', '  net.dst.ip == é foo', '                ^'])
    assert 'caret' not in fails(1, '--json', 'rule', 'set', 'r', '--traffic', 'a\nb').stdout


# --- what is printed --------------------------------------------------------------------------------------------
@test
def tables_are_not_cut_and_keep_the_order_of_the_columns():
    long = 'x' * 400
    CTRL.replies = {'route.list': {'routes': [{'id': 'i1', 'network': '10.0.0.0/8', 'tunnel_name': 't', 'vnet_name': 'default', 'comment': long, 'odd': 1}]}}
    lines = ok('route', 'list').stdout.splitlines()
    eq(lines[0].split(), ['NETWORK', 'TUNNEL_NAME', 'VNET_NAME', 'COMMENT', 'ID'])
    eq(lines[1].split(), ['10.0.0.0/8', 't', 'default', long, 'i1'])


@test
def text_from_outside_is_escaped():
    evil = 'a\x1b[31m\nb\u202ec\u200bd\x9be'
    CTRL.replies = {'vnet.list': {'vnets': [{'name': evil, 'id': 'i', 'comment': 'é'}]}}
    done = ok('vnet', 'list')
    eq(done.stdout.splitlines()[1].split()[0], 'a\\x1b[31m\\nb\\u{202e}c\\u{200b}d\\u{9b}e')
    assert 'é' in done.stdout
    text = ok('--json', 'vnet', 'list').stdout
    assert all(c == '\n' or ' ' <= c <= '~' for c in text), 'JSON is plain ASCII'
    eq(json.loads(text)['vnets'][0]['name'], evil)
    CTRL.replies = {'vnet.create': Refused(-32000, 'invalid', 'name', 'name \x1b]0;x\x07 is bad\nreally')}
    line = one_line(fails(1, 'vnet', 'create', 'x').stderr)
    assert '\x1b' not in line and '\x07' not in line
    line = one_line(fails(2, 'vnet', 'cre\x1bate').stderr)
    assert '\x1b' not in line


@test
def a_change_says_its_revision():
    CTRL.replies = {'vnet.create': {'revision': 9, 'applied': True, 'vnet': {'id': 'i', 'name': 'x'}, 'warnings': ['mind the gap']}}
    done = ok('vnet', 'create', 'x')
    eq(done.stdout.splitlines(), ['id    i', 'name  x', 'revision 9 applied'])
    eq(done.stderr, 'sluicectl: warning: mind the gap\n')
    CTRL.replies['vnet.create']['applied'] = False
    assert ok('vnet', 'create', 'x').stdout.endswith('revision 9 stored; no edge is connected to apply it\n')
    eq(json.loads(ok('--json', 'vnet', 'create', 'x').stdout)['warnings'], ['mind the gap'])


@test
def an_empty_list_says_so():
    CTRL.replies = {'vnet.list': {'vnets': []}}
    eq(ok('vnet', 'list').stdout, '(none)\n')
    eq(json.loads(ok('vnet', 'list', '--json').stdout), {'vnets': []})


@test
def deny_list_prints_one_network_a_line():
    CTRL.replies = {'deny.list': {'deny': [{'network': '10.0.0.0/8'}, {'network': 'fd00::/8'}]}}
    eq(ok('deny', 'list').stdout, 'NETWORK\n10.0.0.0/8\nfd00::/8\n')


@test
def a_full_disk_is_an_error():
    with open('/dev/full', 'w', encoding='ascii') as full:
        done = subprocess.run([CTL, '--help'], stdout=full, stderr=subprocess.PIPE, check=False)
    eq(done.returncode, 1)


# --- help, manual, completion ---------------------------------------------------------------------------------------
@test
def help_at_each_level():
    assert 'usage: sluicectl [OPTION]' in ok('--help', sockets=False).stdout
    assert 'sluicectl route lookup IP [--vnet V]' in ok('route', '--help').stdout
    one = ok('client', 'add', '--help').stdout
    assert '--email E' in one and '--socket PATH' in one and '[--group G]...' in one
    eq(ok('help', 'client', 'add').stdout, one)
    assert re.fullmatch(r'sluicectl \d+\.\d+\.\d+\n', ok('--version').stdout)


@test
def the_manual_is_clean_roff():
    page = ok('man').stdout
    assert page.startswith('.TH SLUICECTL 1') and '.SS sluicectl route lookup' in page
    for line in page.splitlines():
        assert not line.startswith("'"), line


COMPLETE = r'''
source /dev/stdin
complete_words() { COMP_WORDS=("$@"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _sluicectl; printf '%s\n' "${COMPREPLY[@]}"; }
complete_words "$@"
'''


def completed(*words):
    script = ok('completion', 'bash').stdout
    done = subprocess.run(['bash', '-c', COMPLETE, 'x', 'sluicectl', *words], input=script, capture_output=True, text=True, check=True, cwd=TMP.name)
    eq(done.stderr, '')
    return [w for w in done.stdout.splitlines() if w]


@test
def bash_completes():
    eq(completed('rou'), ['route'])
    eq(completed('route', 'loo'), ['lookup'])
    eq(completed('--socket', '/x', '--json', 'route', 'loo'), ['lookup'])
    eq(completed('route', 'list', '--vn'), ['--vnet'])
    eq(completed('list', 'create', 'l', '--type', 'D'), ['DOMAIN'])
    eq(completed('rule', 'set', 'r', '--enabled', ''), ['true', 'false'])
    eq(completed('export', '-o', 'y'), ['yaml'])
    eq(completed('client', 'posture', 'c', 'd', 'p'), ['pass'])
    write('some.yaml', 'x: 1')
    assert 'some.yaml' in completed('apply', '-f', 'so')


if __name__ == '__main__':
    sys.exit(main())
