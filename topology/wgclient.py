# SPDX-License-Identifier: BSD-3-Clause
"""A WireGuard initiator in plain sight, for tests that need packets no honest client sends.

Written from the WireGuard paper with Python's own BLAKE2s and the `cryptography` package, so that nothing is shared with the
code under test. Handshake as initiator or responder, then data messages in which every field can be chosen.
"""
import base64
import hashlib
import hmac
import os
import struct
import time

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

CONSTRUCTION = b'Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s'
IDENTIFIER = b'WireGuard v1 zx2c4 Jason@zx2c4.com'
INITIATION, RESPONSE, COOKIE, DATA = 1, 2, 3, 4


def blake2s(*parts):
    return hashlib.blake2s(b''.join(parts)).digest()


def hmac_blake2s(key, *parts):
    return hmac.new(key, b''.join(parts), hashlib.blake2s).digest()


def kdf(key, data, n):
    """The paper's Kdf_n: n keys of 32 bytes."""
    secret, out, last = hmac_blake2s(key, data), [], b''
    for i in range(1, n + 1):
        last = hmac_blake2s(secret, last, bytes([i]))
        out.append(last)
    return out


def nonce(counter):
    return b'\0\0\0\0' + struct.pack('<Q', counter)


def seal(key, counter, plain, aad=b''):
    return ChaCha20Poly1305(key).encrypt(nonce(counter), plain, aad)


def unseal(key, counter, box, aad=b''):
    return ChaCha20Poly1305(key).decrypt(nonce(counter), box, aad)


def tai64n(now=None):
    now = time.time() if now is None else now
    return struct.pack('>QI', 0x400000000000000a + int(now), int(now % 1 * 1e9))


def mac1(receiver_public, message):
    key = blake2s(b'mac1----', receiver_public)
    return hashlib.blake2s(message, digest_size=16, key=key).digest()


def raw_public(private):
    return private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


class Key:
    """A Curve25519 key pair; `public_base64` is what `sluicectl client add --public-key` takes."""

    def __init__(self, private_base64=None):
        raw = base64.b64decode(private_base64) if private_base64 else None
        self.private = X25519PrivateKey.from_private_bytes(raw) if raw else X25519PrivateKey.generate()
        self.public = raw_public(self.private)
        self.public_base64 = base64.b64encode(self.public).decode()

    def dh(self, public):
        return self.private.exchange(X25519PublicKey.from_public_bytes(public))


class Session:
    """Transport keys after a handshake. data() lets a test choose counter, receiver index and padding."""

    def __init__(self, send_key, recv_key, local_index, remote_index):
        self.send_key, self.recv_key = send_key, recv_key
        self.local_index, self.remote_index = local_index, remote_index
        self.counter = 0

    def data(self, inner, counter=None, index=None, pad=True):
        """A data message around the inner packet; the counter runs on unless one is given."""
        if counter is None:
            counter, self.counter = self.counter, self.counter + 1
        padded = inner + b'\0' * (-len(inner) % 16 if pad else 0)
        index = self.remote_index if index is None else index
        return struct.pack('<IIQ', DATA, index, counter) + seal(self.send_key, counter, padded)

    def open(self, message):
        """The inner packet (still padded) of a data message for this session; None when it is not one."""
        if len(message) < 32 or struct.unpack_from('<I', message)[0] != DATA:
            return None
        index, counter = struct.unpack_from('<IQ', message, 4)
        if index != self.local_index:
            return None
        try:
            return unseal(self.recv_key, counter, message[16:])
        except InvalidTag:
            return None


class Peer:
    """One side of a WireGuard conversation: our key, their public key, an optional preshared key."""

    def __init__(self, key, remote_public, psk=bytes(32)):
        self.key = key
        self.remote = base64.b64decode(remote_public) if isinstance(remote_public, str) else remote_public
        self.psk = psk
        self.ephemeral = self.index = self.chain = self.hash = None

    def initiation(self, stamp=None, index=None):
        """A handshake initiation, and the state to consume its response."""
        self.index = int.from_bytes(os.urandom(4), 'little') if index is None else index
        self.ephemeral = Key()
        chain = blake2s(CONSTRUCTION)
        hsh = blake2s(blake2s(chain, IDENTIFIER), self.remote)
        hsh = blake2s(hsh, self.ephemeral.public)
        chain, = kdf(chain, self.ephemeral.public, 1)
        chain, key = kdf(chain, self.ephemeral.dh(self.remote), 2)
        static = seal(key, 0, self.key.public, hsh)
        hsh = blake2s(hsh, static)
        chain, key = kdf(chain, self.key.dh(self.remote), 2)
        stamped = seal(key, 0, stamp or tai64n(), hsh)
        self.hash, self.chain = blake2s(hsh, stamped), chain
        message = struct.pack('<II', INITIATION, self.index) + self.ephemeral.public + static + stamped
        message += mac1(self.remote, message)
        return message + bytes(16)

    def consume_response(self, message):
        """The session that a response gives, or None when it is not the answer to our initiation."""
        if len(message) != 92 or struct.unpack_from('<I', message)[0] != RESPONSE:
            return None
        sender, receiver = struct.unpack_from('<II', message, 4)
        if receiver != self.index:
            return None
        ephemeral, empty = message[12:44], message[44:60]
        hsh = blake2s(self.hash, ephemeral)
        chain, = kdf(self.chain, ephemeral, 1)
        chain, = kdf(chain, self.ephemeral.dh(ephemeral), 1)
        chain, = kdf(chain, self.key.dh(ephemeral), 1)
        chain, tau, key = kdf(chain, self.psk, 3)
        hsh = blake2s(hsh, tau)
        try:
            unseal(key, 0, empty, hsh)
        except InvalidTag:
            return None
        send_key, recv_key = kdf(chain, b'', 2)
        return Session(send_key, recv_key, self.index, sender)

    def respond(self, message, index=None):
        """Answers an initiation: (response, session), or None when it is not for us or not from our peer."""
        if len(message) != 148 or struct.unpack_from('<I', message)[0] != INITIATION:
            return None
        sender, = struct.unpack_from('<I', message, 4)
        ephemeral, static, stamped = message[8:40], message[40:88], message[88:116]
        chain = blake2s(CONSTRUCTION)
        hsh = blake2s(blake2s(chain, IDENTIFIER), self.key.public)
        hsh = blake2s(hsh, ephemeral)
        chain, = kdf(chain, ephemeral, 1)
        chain, key = kdf(chain, self.key.dh(ephemeral), 2)
        try:
            if unseal(key, 0, static, hsh) != self.remote:
                return None
            hsh = blake2s(hsh, static)
            chain, key = kdf(chain, self.key.dh(self.remote), 2)
            unseal(key, 0, stamped, hsh)
        except InvalidTag:
            return None
        hsh = blake2s(hsh, stamped)
        ours = Key()
        index = int.from_bytes(os.urandom(4), 'little') if index is None else index
        hsh = blake2s(hsh, ours.public)
        chain, = kdf(chain, ours.public, 1)
        chain, = kdf(chain, ours.dh(ephemeral), 1)
        chain, = kdf(chain, ours.dh(self.remote), 1)
        chain, tau, key = kdf(chain, self.psk, 3)
        hsh = blake2s(hsh, tau)
        out = struct.pack('<III', RESPONSE, index, sender) + ours.public + seal(key, 0, b'', hsh)
        out += mac1(self.remote, out) + bytes(16)
        recv_key, send_key = kdf(chain, b'', 2)
        return out, Session(send_key, recv_key, index, sender)
