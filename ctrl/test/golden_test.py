#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The JSON IPC of sluice-ctrl as others rely on it: golden messages of every method, the schema that they keep to, and docs/ipc.md.
RECORD=1 writes the golden messages anew: read the difference before you commit it."""
import json
import os
import re
import sys

import jsonschema
import scenario
from daemon import Daemon, Refused, eq, main, test

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
GOLDEN = os.path.join(HERE, 'golden.jsonl')
with open(os.path.join(TOP, 'ctrl/schema/ipc.json'), encoding='utf-8') as f:
    SCHEMA = json.load(f)
PLAYED = []

UUID = re.compile(r'[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}')
MASKS = ((re.compile(r'\b2\d{3}-\d\d-\d\dT\d\d:\d\d:\d\dZ'), '<time>'), (re.compile(r'fd[0-9a-f]{2}:[0-9a-f:]+?(?=::)'), '<ula>'),
         (re.compile(r'-----BEGIN CERTIFICATE-----[^"]*'), '<certificate>'))


def played():
    """The scenario's answers; played once."""
    if not PLAYED:
        with Daemon() as d:
            PLAYED.extend(scenario.play(d))
    return PLAYED


def masked(messages):
    """One line a message. Ids are numbered in the order in which they are seen; what differs from run to run has a name."""
    seen = {}
    out = []

    def number(match):
        return seen.setdefault(match.group(0).replace('-', ''), f'<id {len(seen) + 1}>')
    for message in messages:
        text = json.dumps(message, ensure_ascii=False)
        for pattern, name in MASKS:
            text = pattern.sub(name, text)
        text = re.sub(r'\b[0-9a-f]{32}\b', number, UUID.sub(number, text))
        text = re.sub(r'"(uid|gid|pid|uptime_s|since|connected_since|age_s)": \d+', r'"\1": "<number>"', text)
        text = re.sub(r'"comm": "[^"]*"', '"comm": "<program>"', text)
        out.append(text)
    return out


@test
def golden_messages():
    lines = masked(played())
    if os.environ.get('RECORD'):
        with open(GOLDEN, 'w', encoding='utf-8') as out:
            out.write('\n'.join(lines) + '\n')
    with open(GOLDEN, encoding='utf-8') as golden:
        wanted = golden.read().splitlines()
    for number, (got, want) in enumerate(zip(lines, wanted), 1):
        eq(got, want, f'golden.jsonl, line {number} (RECORD=1 ctrl/test/golden_test.py SLUICE-CTRL writes it anew)')
    eq(len(lines), len(wanted), 'number of messages')


def check(document, *path):
    schema = {'$defs': SCHEMA['$defs'], '$ref': '#/' + '/'.join(path), 'methods': SCHEMA['methods'], 'sync': SCHEMA['sync']}
    try:
        jsonschema.Draft202012Validator(schema).validate(document)
    except jsonschema.ValidationError as e:
        raise AssertionError(f'{path}: {"/".join(map(str, e.absolute_path))}: {e.message[:300]}') from None


@test
def the_schema_is_one():
    for part in (*SCHEMA['$defs'].values(), *(s for m in SCHEMA['methods'].values() for s in m.values())):
        jsonschema.Draft202012Validator.check_schema(part)


@test
def every_answer_keeps_to_the_schema():
    for method, params, answer in played():
        part = 'sync' if method.startswith(('sync.', 'edge.')) else 'methods'
        if answer and 'error' in answer:
            check(answer['error'], '$defs', 'error')
            continue
        check(params, part, method, 'params')
        if answer:
            check(answer['result'], part, method, 'result')


@test
def every_method_is_played_and_answered_well():
    done = {method for method, _, answer in played() if answer is None or 'result' in answer}
    missing = set(SCHEMA['methods']) | set(SCHEMA['sync'])
    # no connector has registered here: ctrl/register and the lab do that
    eq(missing - done, {'connector.drain', 'connector.undrain', 'connector.weight'}, 'never answered with a result')


def table_of_methods():
    """(method, {param: (letter, required, may be null)}) of the program's own table."""
    with open(os.path.join(TOP, 'ctrl/api.c'), encoding='utf-8') as source:
        text = source.read()
    for name, flags, params in re.findall(r'\{"([a-z]+(?:\.[a-z]+)?)", \w+, ([A-Z_ |]+),\s*"([^"]*)"\}', text):
        spec = {}
        for word in params.split():
            param, kind = word.split(':')
            spec[param] = (kind[0], '!' in kind, '?' in kind)
        spec['account'] = ('s', False, False)
        if 'API_CHANGE' in flags:
            spec |= {'wait': ('b', False, False), 'timeout_s': ('i', False, False)}
        yield name, spec


@test
def schema_and_program_know_the_same_methods_and_params():
    table = dict(table_of_methods())
    assert len(table) > 50, 'the table of ctrl/api.c was not found'
    eq(set(table), set(SCHEMA['methods']), 'methods')
    letters = {'string': 's', 'integer': 'i', 'boolean': 'b', 'array': 'a', 'object': 'o'}
    for method, spec in table.items():
        params = SCHEMA['methods'][method]['params']
        eq(set(params['properties']), set(spec), f'params of {method}')
        eq(set(params['required']), {p for p, (_, needed, _) in spec.items() if needed}, f'required params of {method}')
        for name, (letter, _, nullable) in spec.items():
            kinds = params['properties'][name].get('anyOf', [params['properties'][name]])
            if letter != 'x':
                eq({letters[k['type']] for k in kinds if k['type'] != 'null'}, {letter}, f'{method}: type of {name}')
                eq(any(k['type'] == 'null' for k in kinds), nullable, f'{method}: {name} may be null')


@test
def wrong_params_are_refused_by_name():
    with Daemon() as d:
        for method, spec in table_of_methods():
            d.refuses('unknown_field', 'x_y', method, "'x_y'", method=method, x_y=1)
            for name, (letter, needed, _) in spec.items():
                if needed:
                    d.refuses('missing_field', next(n for n, s in spec.items() if s[1]), 'is missing', method=method)
                wrong = 7 if letter != 'i' else 'seven'
                if letter != 'x':
                    d.refuses('invalid', name, method, name, 'must be', method=method, **{name: wrong})


@test
def the_docs_name_every_method():
    with open(os.path.join(TOP, 'docs/ipc.md'), encoding='utf-8') as doc:
        text = doc.read()
    told = set(re.findall(r'`([a-z]+\.[a-z_]+|apply|export|history|rollback)`', text))
    known = set(SCHEMA['methods']) | set(SCHEMA['sync'])
    eq(known - told, set(), 'methods that docs/ipc.md does not name')
    for method in SCHEMA['methods']:
        row = re.search(rf'^\| `{re.escape(method)}` \| ([^|]*) \|', text, re.M)
        assert row, f'docs/ipc.md: no row of {method}'
        params = SCHEMA['methods'][method]['params']
        common = {'account', 'wait', 'timeout_s'}
        want = ', '.join(f'**`{p}`**' if p in params['required'] else f'`{p}`' for p in params['properties'] if p not in common) or '–'
        eq(row.group(1).strip(), want, f'docs/ipc.md: params of {method}')


@test
def faults_of_the_protocol():
    with Daemon() as d:
        for line, code in ((b'{"jsonrpc":"2.0","id":1,"method":"show.revision","params":[]}', -32600), (b'not json', -32700), (b'[]', -32600)):
            one = d.connect()
            one.sock.sendall(line + b'\n')
            eq(one.read()['error']['code'], code, line)
            try:
                one.read()
                raise AssertionError(f'the connection stays open after {line}')
            except ConnectionError:
                pass
        try:
            d.call('tunnel.list')
        except Refused as e:
            raise AssertionError('another connection was disturbed') from e


if __name__ == '__main__':
    sys.exit(main())
