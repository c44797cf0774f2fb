# SPDX-License-Identifier: BSD-3-Clause
"""Registration of connectors: what is accepted, and that every refusal looks the same from outside.

      conn1: a hand-made connector ── inet ── edge: sluice-ctrl (HTTPS, TLS 1.3)
"""
import base64
import os
import ssl

import pytest
import wgclient
from sluicelab import plan
from sluicelab.rawconn import RawConnector, Refused

SHAPE = {'clients': 0, 'connectors': 1, 'workers': 1, 'outer': 4}
UNAUTHORIZED = (401, {'error': 'unauthorized'})


@pytest.fixture
def conn(lab):
    connector = RawConnector(lab.lab, 'conn1', lab.lab.credentials)
    yield connector
    connector.close()


def refusal(conn, **changes):
    """(status, body) of a registration with some fields changed after the proof was made."""
    body = conn.registration(*conn.challenge())
    body.update(changes)
    return conn.post('/v1/register', body)[:2]


def test_register_and_goodbye(lab, conn):
    grant = conn.register()
    assert grant['lease_s'] >= 30 and grant['edges'][0]['workers'] == 1
    assert conn.id in [c['id'] for c in lab.ctl('connector', 'list')['connectors']]
    assert conn.goodbye() == 200
    assert conn.id not in [c['id'] for c in lab.ctl('connector', 'list')['connectors']]


def test_renewal_keeps_one_connector(lab, conn):
    conn.register()
    conn.register()
    assert [c['id'] for c in lab.ctl('connector', 'list')['connectors']].count(conn.id) == 1
    assert conn.goodbye() == 200


def test_wrong_secret(lab, conn):
    conn.secret = bytes(32)
    with pytest.raises(Refused) as refused:
        conn.register()
    assert refused.value.args == UNAUTHORIZED


def test_unknown_tunnel(lab, conn):
    conn.creds['TunnelID'] = '00000000-0000-4000-8000-000000000000'
    with pytest.raises(Refused) as refused:
        conn.register()
    assert refused.value.args == UNAUTHORIZED


def test_unknown_account(lab, conn):
    conn.creds['AccountTag'] = 'f' * 32
    with pytest.raises(Refused) as refused:
        conn.register()
    assert refused.value.args == UNAUTHORIZED


def test_replayed_proof(lab, conn):
    body = conn.registration(*conn.challenge())
    assert conn.post('/v1/register', body)[0] == 200
    assert conn.post('/v1/register', body)[:2] == UNAUTHORIZED
    assert conn.goodbye() == 200


@pytest.mark.parametrize('field, value', [
    ('connector_id', '11111111-1111-4111-8111-111111111111'), ('session_keys', [wgclient.Key().public_base64]),
    ('hostname', 'other'), ('client_version', 'other'), ('mode', 'tun'), ('nonce', base64.b64encode(bytes(32)).decode()),
    ('proof', base64.b64encode(bytes(32)).decode())])
def test_each_field_is_bound(lab, conn, field, value):
    assert refusal(conn, **{field: value}) == UNAUTHORIZED


def test_proof_of_another_certificate(lab, conn):
    nonce, _ = conn.challenge()
    body = conn.registration(nonce, bytes(32))
    assert conn.post('/v1/register', body)[:2] == UNAUTHORIZED


def test_nonce_of_another_tunnel(lab, conn):
    path = lab.lab.path('other-creds.json')
    lab.ctl('tunnel', 'create', 'other', '--credentials-file', path)
    other = RawConnector(lab.lab, 'conn1', path)
    nonce, certificate = conn.challenge()
    assert other.post('/v1/register', other.registration(nonce, certificate))[:2] == UNAUTHORIZED
    lab.ctl('tunnel', 'delete', 'other', '--yes')
    os.unlink(path)


def test_deleted_tunnel(lab):
    path = lab.lab.path('gone-creds.json')
    lab.ctl('tunnel', 'create', 'gone', '--credentials-file', path)
    connector = RawConnector(lab.lab, 'conn1', path)
    assert connector.register()
    lab.ctl('tunnel', 'delete', 'gone', '--force', '--yes')
    with pytest.raises(Refused) as refused:
        connector.register()
    assert refused.value.args == UNAUTHORIZED
    os.unlink(path)


def test_low_order_session_key(lab, conn):
    class LowOrder(wgclient.Key):
        def __init__(self):
            super().__init__()
            self.public = bytes(32)
            self.public_base64 = base64.b64encode(self.public).decode()
    conn.key = LowOrder()
    with pytest.raises(Refused) as refused:
        conn.register()
    assert refused.value.args[0] in (400, 401)


def test_key_that_is_taken(lab, conn):
    """A public key belongs to one connector or client; the refusal does not say whose it is."""
    conn.register()
    thief = RawConnector(lab.lab, 'conn1', lab.lab.credentials)
    thief.key = conn.key
    with pytest.raises(Refused) as refused:
        thief.register()
    assert refused.value.args[0] in (400, 401)
    assert conn.goodbye() == 200


@pytest.mark.parametrize('body', [b'', b'{', b'[]', b'"x"', b'{"version": 1}', b'{"version": 2}', b'\xff' * 100],
                         ids=['empty', 'cut', 'array', 'text', 'missing', 'version', 'bytes'])
def test_bad_bodies(lab, conn, body):
    status = lab.sh('conn1', 'curl', '-s', '-m', '5', '--cacert', ca_file(lab, conn), '-o', '/dev/null', '-w', '%{http_code}',
                    '--data-binary', '@' + body_file(lab, body), f'https://{plan.EDGE_V4}:{plan.REGISTER_PORT}/v1/register')
    assert status == '400'


def test_too_long_a_body(lab, conn):
    status = lab.sh('conn1', 'curl', '-s', '-m', '5', '--cacert', ca_file(lab, conn), '-o', '/dev/null', '-w', '%{http_code}',
                    '--data-binary', '@' + body_file(lab, b'{"x": "' + b'a' * 20000 + b'"}'),
                    f'https://{plan.EDGE_V4}:{plan.REGISTER_PORT}/v1/register', check=False)
    assert status in ('400', '413', '000')
    assert conn.register() and conn.goodbye() == 200


def ca_file(lab, conn):
    path = lab.lab.path('edge-ca.pem')
    with open(path, 'w', encoding='ascii') as f:
        f.write(conn.creds['EdgeCA'])
    return path


def body_file(lab, body):
    path = lab.lab.path('body')
    with open(path, 'wb') as f:
        f.write(body)
    return path


def test_the_reason_is_in_the_log(lab, conn):
    conn.secret = bytes(32)
    with pytest.raises(Refused):
        conn.register()
    assert 'proof' in lab.log_text('ctrl')


def test_no_secret_in_the_log(lab, conn):
    conn.register()
    conn.goodbye()
    text = lab.log_text('ctrl') + lab.log_text('edge')
    assert conn.creds['TunnelSecret'] not in text
    with open(lab.lab.path('edge', 'private.key'), encoding='ascii') as f:
        assert f.read().strip() not in text


def test_tls_is_1_3_and_pinned(lab, conn):
    """An older TLS is refused, and a client that trusts another CA does not go on."""
    path = ca_file(lab, conn)
    url = f'https://{plan.EDGE_V4}:{plan.REGISTER_PORT}/v1/challenge'
    assert lab.sh('conn1', 'sh', '-c', f'curl -s -m 5 --tls-max 1.2 --cacert {path} -d {{}} {url}; echo $?').strip() == '35'
    with pytest.raises(ssl.SSLCertVerificationError):
        with open(lab.lab.path('pki', 'ca.pem'), encoding='ascii') as f:
            conn.creds['EdgeCA'] = f.read()
        conn.challenge()
