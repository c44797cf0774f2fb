# SPDX-License-Identifier: BSD-3-Clause
"""A hand-made connector: registers over HTTPS as docs/protocols.md says, and shows every inner packet it is given."""
import base64
import hashlib
import hmac
import json
import os
import socket
import ssl
import struct
import time
import uuid

import packets
import wgclient

from . import raw

EDGE_ADDR, CONN_ADDR, CONTROL_PORT = 'fe80::5:1', 'fe80::5:2', 51821
MAGIC = 0x534c4331
LANDED, HELLO, PROBE, PROBE_REPLY, GOODBYE, DRAIN, LIMITS = range(1, 8)


class Refused(Exception):
    """A registration that was not accepted: (HTTP status, body)."""


def control(kind, body=b'', src=CONN_ADDR, dst=EDGE_ADDR):
    """A control datagram, as an inner packet."""
    payload = struct.pack('>IBBH', MAGIC, kind, 0, len(body)) + body
    return packets.udp(src, dst, CONTROL_PORT, CONTROL_PORT, payload, ttl=255)


class RawConnector:
    """One connector with one session, living in a node's network. Everything it sends is the test's choice."""

    def __init__(self, lab, node, credentials, mtu=1280):
        self.lab, self.node, self.mtu = lab, node, mtu
        with open(credentials, encoding='utf-8') as f:
            self.creds = json.load(f)
        self.secret = base64.b64decode(self.creds['TunnelSecret'])
        self.id, self.key = str(uuid.uuid4()), wgclient.Key()
        self.session = self.sock = self.landed = None

    # --- registration -------------------------------------------------------------------------
    def post(self, path, body):
        """(status, body, SHA-256 of the server's certificate) of one HTTPS request."""
        host, _, port = self.creds['Edge'].rpartition(':')
        host = host.strip('[]')
        family = socket.AF_INET6 if ':' in host else socket.AF_INET
        context = ssl.create_default_context(cadata=self.creds['EdgeCA'])
        text = json.dumps(body)
        plain = raw.socket_in(self.lab, self.node, family, socket.SOCK_STREAM)
        plain.settimeout(15)
        plain.connect((host, int(port)))
        with context.wrap_socket(plain, server_hostname=host) as s:
            certificate = hashlib.sha256(s.getpeercert(True)).digest()
            s.sendall((f'POST {path} HTTP/1.1\r\nHost: edge\r\nConnection: close\r\nContent-Type: application/json\r\n'
                       f'Content-Length: {len(text)}\r\n\r\n{text}').encode())
            answer = b''
            while block := s.recv(65536):
                answer += block
        head, _, rest = answer.partition(b'\r\n\r\n')
        status = int(head.split()[1])
        try:
            return status, json.loads(rest), certificate
        except ValueError:
            return status, rest, certificate

    def challenge(self):
        status, answer, certificate = self.post('/v1/challenge', {
            'version': 1, 'account_tag': self.creds['AccountTag'], 'tunnel_id': self.creds['TunnelID']})
        if status != 200:
            raise Refused(status, answer)
        return answer['nonce'], certificate

    def proof(self, nonce, certificate, label=b'sluice-register-v1'):
        fields = [base64.b64decode(nonce), self.creds['AccountTag'].encode(), self.creds['TunnelID'].encode(),
                  self.id.encode()]
        if label == b'sluice-register-v1':
            fields += [self.key.public, b'raw', b'test', b'userspace']
        fields.append(certificate)
        text = label + b''.join(struct.pack('>I', len(f)) + f for f in fields)
        return base64.b64encode(hmac.new(self.secret, text, hashlib.sha256).digest()).decode()

    def registration(self, nonce, certificate):
        return {'version': 1, 'account_tag': self.creds['AccountTag'], 'tunnel_id': self.creds['TunnelID'],
                'connector_id': self.id, 'nonce': nonce, 'session_keys': [self.key.public_base64], 'hostname': 'raw',
                'client_version': 'test', 'mode': 'userspace', 'preserve_source': False, 'mtu': self.mtu,
                'proof': self.proof(nonce, certificate)}

    def register(self):
        status, self.grant, _ = self.post('/v1/register', self.registration(*self.challenge()))
        if status != 200:
            raise Refused(status, self.grant)
        self.registered = time.monotonic()
        return self.grant

    def goodbye(self):
        nonce, certificate = self.challenge()
        return self.post('/v1/goodbye', {
            'version': 1, 'account_tag': self.creds['AccountTag'], 'tunnel_id': self.creds['TunnelID'],
            'connector_id': self.id, 'nonce': nonce,
            'proof': self.proof(nonce, certificate, b'sluice-goodbye-v1')})[0]

    # --- session ------------------------------------------------------------------------------
    def connect(self):
        """Registers, shakes hands with the first edge, and says hello: flows may come from now on."""
        edge = self.register()['edges'][0]
        host, _, port = edge['endpoints'][0].rpartition(':')
        self.edge = (host.strip('[]'), int(port))
        family = socket.AF_INET6 if ':' in host else socket.AF_INET
        self.sock = raw.socket_in(self.lab, self.node, family, socket.SOCK_DGRAM)
        self.peer = wgclient.Peer(self.key, edge['public_keys'][0])
        self.handshake()
        return self

    def handshake(self):
        self.session = None
        for _ in range(5):
            self.send_outer(self.peer.initiation())
            end = time.monotonic() + self.lab.slow
            while not self.session and time.monotonic() < end:
                answer = self.receive_outer(max(0.01, end - time.monotonic()))
                self.session = answer and self.peer.consume_response(answer)
            if self.session:
                break
        assert self.session, 'the edge does not answer the connector'
        self.shaken = time.monotonic()
        self.hello()
        assert self.control_of(LANDED), 'the edge does not say where the session landed'

    def stay(self):
        """What a connector does all day: answers probes, renews its lease and its session in time."""
        while self.receive_any(0.001):
            pass
        if time.monotonic() - self.registered > 20:
            self.register()
        if time.monotonic() - self.shaken > 90:
            self.handshake()
        self.hello()

    def hello(self, settled=True):
        self.send(control(HELLO, struct.pack('>HH', 0, 1 if settled else 0)))

    def control_of(self, kind, timeout_s=3.0):
        """Body of the next control datagram of a kind."""
        end = time.monotonic() + timeout_s * self.lab.slow
        while (left := end - time.monotonic()) > 0:
            parsed = self.receive_any(left)
            if parsed and parsed.src == EDGE_ADDR and parsed.payload[12] == kind:
                return parsed.payload[16:]
        return None

    send_outer = raw.RawClient.send_outer
    receive_outer = raw.RawClient.receive_outer
    send = raw.RawClient.send

    def receive_any(self, timeout_s):
        """The next inner packet of whatever kind; probes are answered on the way."""
        datagram = self.receive_outer(timeout_s / self.lab.slow)
        inner = datagram and self.session.open(datagram)
        if not inner:
            return None
        parsed = packets.Parsed(inner)
        if parsed.src == EDGE_ADDR and parsed.payload[12] == PROBE:
            self.send(control(PROBE_REPLY, parsed.payload[16:24]))
        return parsed

    def receive(self, wanted=lambda p: True, timeout_s=3.0):
        """The next inner packet of a flow that is wanted, parsed; None when none comes."""
        end = time.monotonic() + timeout_s * self.lab.slow
        while (left := end - time.monotonic()) > 0:
            parsed = self.receive_any(left)
            if parsed and parsed.src != EDGE_ADDR and wanted(parsed):
                return parsed
        return None

    def close(self):
        if self.sock:
            self.sock.close()
