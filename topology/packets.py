# SPDX-License-Identifier: BSD-3-Clause
"""Inner packets by hand: just enough of IPv4, IPv6, UDP, TCP and ICMP to craft what a test wants to send."""
import ipaddress
import struct

ICMP, TCP, UDP, ICMP6 = 1, 6, 17, 58


def checksum(data):
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b'\0'
    total = sum(struct.unpack(f'>{len(data) // 2}H', data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def pseudo(src, dst, proto, length):
    src, dst = ipaddress.ip_address(src), ipaddress.ip_address(dst)
    if src.version == 4:
        return src.packed + dst.packed + struct.pack('>BBH', 0, proto, length)
    return src.packed + dst.packed + struct.pack('>IHBB', length, 0, 0, proto)


def ip(src, dst, proto, payload, ttl=64, df=True, ident=1, tos=0):
    """An IPv4 or IPv6 packet, by the family of the addresses."""
    s, d = ipaddress.ip_address(src), ipaddress.ip_address(dst)
    if s.version == 6:
        return struct.pack('>IHBB', 6 << 28 | tos << 20, len(payload), proto, ttl) + s.packed + d.packed + payload
    head = struct.pack('>BBHHHBBH', 0x45, tos, 20 + len(payload), ident, 0x4000 if df else 0, ttl, proto, 0)
    head += s.packed + d.packed
    return head[:10] + struct.pack('>H', checksum(head)) + head[12:] + payload


def echo(src, dst, ident=1, seq=1, data=b'sluice', **kw):
    """An ICMP or ICMPv6 echo request."""
    if ipaddress.ip_address(src).version == 4:
        body = struct.pack('>BBHHH', 8, 0, 0, ident, seq) + data
        body = body[:2] + struct.pack('>H', checksum(body)) + body[4:]
        return ip(src, dst, ICMP, body, **kw)
    body = struct.pack('>BBHHH', 128, 0, 0, ident, seq) + data
    body = body[:2] + struct.pack('>H', checksum(pseudo(src, dst, ICMP6, len(body)) + body)) + body[4:]
    return ip(src, dst, ICMP6, body, **kw)


def udp(src, dst, sport, dport, data=b'', **kw):
    head = struct.pack('>HHHH', sport, dport, 8 + len(data), 0)
    value = checksum(pseudo(src, dst, UDP, len(head) + len(data)) + head + data) or 0xffff
    return ip(src, dst, UDP, head[:6] + struct.pack('>H', value) + data, **kw)


def tcp(src, dst, sport, dport, flags='S', seq=1, ack=0, data=b'', **kw):
    bits = sum({'F': 1, 'S': 2, 'R': 4, 'P': 8, 'A': 16}[f] for f in flags)
    head = struct.pack('>HHIIBBHHH', sport, dport, seq, ack, 5 << 4, bits, 65535, 0, 0)
    value = checksum(pseudo(src, dst, TCP, len(head) + len(data)) + head + data)
    return ip(src, dst, TCP, head[:16] + struct.pack('>H', value) + head[18:] + data, **kw)


def icmp_error(src, dst, quoted, kind=None, code=1, rest=b'\0\0\0\0'):
    """An ICMP or ICMPv6 error that quotes a packet; "host unreachable" unless told otherwise."""
    if ipaddress.ip_address(src).version == 4:
        body = struct.pack('>BBH', 3 if kind is None else kind, code, 0) + rest + quoted[:548]
        return ip(src, dst, ICMP, body[:2] + struct.pack('>H', checksum(body)) + body[4:])
    body = struct.pack('>BBH', 1 if kind is None else kind, code, 0) + rest + quoted[:1180]
    value = checksum(pseudo(src, dst, ICMP6, len(body)) + body)
    return ip(src, dst, ICMP6, body[:2] + struct.pack('>H', value) + body[4:])


class Parsed:
    """The fields of an inner packet that tests look at; padding behind it is cut off."""

    def __init__(self, packet):
        self.version = packet[0] >> 4
        if self.version == 4:
            ihl, self.length = (packet[0] & 15) * 4, struct.unpack_from('>H', packet, 2)[0]
            self.ttl, self.proto = packet[8], packet[9]
            self.src, self.dst = (str(ipaddress.ip_address(packet[o:o + 4])) for o in (12, 16))
            self.header_ok = checksum(packet[:ihl]) == 0
        else:
            ihl, self.length = 40, 40 + struct.unpack_from('>H', packet, 4)[0]
            self.proto, self.ttl = packet[6], packet[7]
            self.src, self.dst = (str(ipaddress.ip_address(packet[o:o + 16])) for o in (8, 24))
            self.header_ok = True
        self.packet = packet[:self.length]
        self.payload = self.packet[ihl:]
        self.type, self.code = (self.payload[0], self.payload[1]) if len(self.payload) > 1 else (None, None)

    def is_echo_reply(self):
        return (self.proto, self.type) in ((ICMP, 0), (ICMP6, 129))

    def quoted(self):
        """The packet that an ICMP error carries (perhaps cut short), as raw bytes."""
        return self.payload[8:]

    def icmp_mtu(self):
        """MTU field of "fragmentation needed" or "packet too big"."""
        return struct.unpack_from('>H', self.payload, 6)[0] if self.version == 4 else struct.unpack_from('>I', self.payload, 4)[0]


def canonical(address):
    return str(ipaddress.ip_address(address))
