# SPDX-License-Identifier: BSD-3-Clause
"""A hand-made WireGuard client in a node: real sockets of that namespace, packets of the test's choosing."""
import ctypes
import os
import select
import socket
import time

import packets
import wgclient

from . import plan

CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def socket_in(lab, node, family, kind, proto=0):
    """A socket of a node's network. The calling thread visits the namespace and comes back."""
    with open('/proc/thread-self/ns/net', encoding='ascii') as here, \
            open(f'/run/netns/{lab.ns(node)}', encoding='ascii') as there:
        if libc.setns(there.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f'setns {lab.ns(node)}')
        try:
            return socket.socket(family, kind, proto)
        finally:
            if libc.setns(here.fileno(), CLONE_NEWNET):
                os._exit(70)  # never go on in the wrong network


class RawClient:
    """A client whose every packet is made by the test. `addresses` are its inner v4 and v6."""

    def __init__(self, lab, node, edge_public, key=None, addresses=(None, None), outer=None):
        self.lab, self.node, self.addresses = lab, node, addresses
        self.key = key or wgclient.Key()
        self.peer = wgclient.Peer(self.key, edge_public)
        outer = outer or lab.outer
        self.edge = (plan.EDGE_V4 if outer == 4 else plan.EDGE_V6, plan.WG_PORT)
        self.sock = socket_in(lab, node, socket.AF_INET if outer == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
        self.session = None

    def close(self):
        self.sock.close()

    def send_outer(self, datagram):
        self.sock.sendto(datagram, self.edge)

    def receive_outer(self, timeout_s=2.0):
        """The next datagram, or None after the timeout."""
        readable, _, _ = select.select([self.sock], [], [], timeout_s * self.lab.slow)
        return self.sock.recv(65536) if readable else None

    def handshake(self, tries=5, stamp=None):
        """A session with the edge; AssertionError when it does not answer."""
        for _ in range(tries):
            self.send_outer(self.peer.initiation(stamp))
            end = time.monotonic() + 1.0 * self.lab.slow
            while time.monotonic() < end:
                answer = self.receive_outer(max(0.01, end - time.monotonic()))
                session = answer and self.peer.consume_response(answer)
                if session:
                    self.session, self.shaken = session, time.monotonic()
                    return session
        raise AssertionError(f'{self.node}: the edge does not answer the handshake of {self.key.public_base64}')

    def stay(self):
        """A fresh session before the old one is too old to send."""
        if time.monotonic() - self.shaken > 90:
            self.handshake()

    def send(self, inner, **how):
        """One data message around the inner packet; answers the datagram, to be sent again or bent."""
        datagram = self.session.data(inner, **how)
        self.send_outer(datagram)
        return datagram

    def receive(self, wanted=lambda p: True, timeout_s=3.0):
        """The first inner packet that is wanted, parsed; None when none comes in time. Keepalives are skipped."""
        end = time.monotonic() + timeout_s * self.lab.slow
        while (left := end - time.monotonic()) > 0:
            datagram = self.receive_outer(left)
            inner = datagram and self.session.open(datagram)
            if inner and wanted(parsed := packets.Parsed(inner)):
                return parsed
        return None

    def ping(self, dst, seq=1, timeout_s=3.0, **how):
        """An echo request to dst from our own address; the parsed reply or None."""
        src = self.addresses[0 if '.' in dst else 1]
        self.send(packets.echo(src, dst, seq=seq, **how))
        return self.receive(lambda p: p.is_echo_reply() and p.src == packets.canonical(dst), timeout_s)
