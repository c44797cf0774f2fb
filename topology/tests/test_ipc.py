# SPDX-License-Identifier: BSD-3-Clause
"""edge.sock of a working edge: every method answers in the form of dataplane/control/schema/show.json, docs/ipc-edge.md names it,
wrong params are refused by name, and what is no request ends that connection alone."""
import json
import os
import re
import signal
import socket

import jsonschema
import pytest
from sluicelab import plan, procs

SHAPE = {'clients': 1, 'connectors': 1, 'workers': 2, 'outer': 4}
TOP = os.path.dirname(plan.TOPOLOGY)
with open(os.path.join(TOP, 'dataplane/control/schema/show.json'), encoding='utf-8') as schema_file:
    SCHEMA = json.load(schema_file)
PARAMS = {'explain': {'client': 'client1', 'dst': plan.ORIGIN_V4}, 'show.drops': {'all': True}}


def ask(lab, line, wait_s=10):
    """The answers to one line of bytes on a connection of its own, and whether it was closed."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(wait_s * lab.slow)
        s.connect(lab.lab.edge_sock)
        s.sendall(line + b'\n')
        with s.makefile('rb') as f:
            first = f.readline()
            s.settimeout(0.3)
            try:
                closed = f.readline() == b''
            except TimeoutError:
                closed = False
        return json.loads(first), closed


@pytest.fixture(scope='module', autouse=True)
def traffic(lab):
    assert lab.ping('client1', plan.ORIGIN_V4) == (3, 3)
    lab.sh('client1', 'curl', '-s', '-o', '/dev/null', '--max-time', '10', f'http://{plan.ORIGIN_V4}/')


@pytest.mark.parametrize('method', sorted(SCHEMA['methods']))
def test_answers_keep_to_the_schema(lab, method):
    answer = lab.edge_call(method, **PARAMS.get(method, {}))
    jsonschema.Draft202012Validator(SCHEMA['methods'][method]).validate(answer)


def test_golden_text_keeps_to_the_schema():
    with open(os.path.join(TOP, 'dataplane/control/show.golden'), encoding='utf-8') as f:
        parts = re.split(r'^== (.*)\n', f.read(), flags=re.M)
    seen = set()
    for method, text in zip(parts[1::2], parts[2::2]):
        if method in SCHEMA['methods']:
            jsonschema.Draft202012Validator(SCHEMA['methods'][method]).validate(json.loads(text))
            seen.add(method)
    assert len(seen) >= 8


def test_docs_name_every_method():
    with open(os.path.join(TOP, 'docs/ipc-edge.md'), encoding='utf-8') as f:
        text = f.read()
    for method in SCHEMA['methods']:
        assert f'`{method}`' in text, f'docs/ipc-edge.md does not name {method}'


def test_totals_hold_what_scripts_rely_on(lab):
    totals = lab.counters()['totals']
    assert {'rx_packets', 'tx_packets', 'rx_bytes', 'tx_bytes', 'originated_packets', 'originated_dropped', 'kernel_packets', 'consumed_packets',
            'dropped_packets', 'handshakes', 'sessions', 'flows'} <= set(totals)


@pytest.mark.parametrize('method', sorted(SCHEMA['methods']))
def test_unknown_params_are_refused_by_name(lab, method):
    answer, closed = ask(lab, json.dumps({'jsonrpc': '2.0', 'id': 1, 'method': method, 'params': {'x_y': 1}}).encode())
    assert answer['error']['data'] == {'code': 'unknown_field', 'field': 'x_y'} and 'x_y' in answer['error']['message']
    assert not closed


@pytest.mark.parametrize('line, code, closed', [
    (b'not json', -32700, True), (b'[]', -32600, True), (b'{"jsonrpc":"2.0","id":1}', -32600, True),
    (b'{"jsonrpc":"2.0","id":1,"method":"no.such","params":{}}', -32601, False),
    (b'[' * 40 + b']' * 40, -32700, True)], ids=['garbage', 'array', 'no-method', 'unknown', 'deep'])
def test_faults_end_that_connection_alone(lab, line, code, closed):
    with socket.socket(socket.AF_UNIX) as bystander:
        bystander.connect(lab.lab.edge_sock)
        answer, was_closed = ask(lab, line)
        assert answer['error']['code'] in (code, -32600) and was_closed == closed
        bystander.settimeout(10 * lab.slow)
        bystander.sendall(b'{"jsonrpc":"2.0","id":7,"method":"show.revision","params":{}}\n')
        assert json.loads(bystander.makefile('rb').readline())['id'] == 7


def test_sighup_takes_what_it_can_and_names_the_rest(lab):
    """The advertised address changes at once and reaches sluice-ctrl; what wants a restart is said by its key."""
    path = lab.lab.path('edge.yaml')
    with open(path, encoding='utf-8') as f:
        was = f.read()
    pid = procs.pid_of(lab.lab, 'edge')

    def write(text):
        with open(path, 'w', encoding='utf-8') as out:
            out.write(text)
        os.kill(pid, signal.SIGHUP)

    def endpoints():
        with socket.socket(socket.AF_UNIX) as ctrl:
            ctrl.settimeout(30)
            ctrl.connect(lab.lab.ctrl_sock)
            ctrl.sendall(b'{"jsonrpc":"2.0","id":1,"method":"client.config","params":{"client":"client1"}}\n')
            return json.loads(ctrl.makefile('rb').readline())['result']['config']['endpoints']
    try:
        write(re.sub(r'(?m)^(advertise|log-level|poll):.*\n', '', was) + '\nlog-level: debug\nadvertise: ["192.0.2.77:51820"]\npoll: busy\n')
        lab.wait('the edge to say what wants a restart', lambda: 'taken at the next start: poll' in lab.log_text('edge'))
        lab.wait('the new address in client configs', lambda: endpoints() == ['192.0.2.77:51820'])
        write('nonsense: 1\n')
        lab.wait('the edge to refuse a wrong file', lambda: 'going on as before' in lab.log_text('edge'))
        assert lab.ping('client1', plan.ORIGIN_V4) == (3, 3)
    finally:
        write(was)
    lab.wait('the old addresses', lambda: '192.0.2.77:51820' not in endpoints())
