# SPDX-License-Identifier: BSD-3-Clause
"""Packets no honest client sends: each is dropped under its own reason, counted once, and disturbs nobody.

      client1: a stock client (the bystander) and a hand-made one ── inet ── edge ── conn1 ── origin
"""
import os
import struct

import packets
import pytest
import wgclient
from sluicelab import plan

SHAPE = {'clients': 1, 'connectors': 1, 'workers': 1, 'outer': 4}
V4, V6 = plan.ORIGIN_V4, plan.ORIGIN_V6


@pytest.fixture(scope='module')
def raw(lab):
    client = lab.add_raw('hostile')
    assert client.ping(V4) and client.ping(V6), 'the hand-made client works while it behaves'
    lab.raws.remove(client)  # lives for the whole file
    yield client
    client.close()


@pytest.fixture(autouse=True)
def bystander(lab):
    """After each test the stock client still works, and nothing of its own is lost."""
    yield
    assert lab.ping('client1', V4, 2) == (2, 2)


def dropped_once(m, *reasons, times=1):
    assert sum(m.drops.values()) == times and set(m.drops) <= set(reasons), f'wanted {reasons} {times} times: {m.drops}'
    assert m.totals['dropped_packets'] == times


# --- inner packets in good WireGuard messages ---------------------------------------------------
def broken(packet, **fields):
    """The packet with some bytes replaced: broken(p, at_0=b'..')."""
    out = bytearray(packet)
    for name, value in fields.items():
        offset = int(name[3:])
        out[offset:offset + len(value)] = value
    return bytes(out)


def rechecked(packet):
    """The IPv4 packet with its header checksum made right again."""
    head = packet[:10] + b'\0\0' + packet[12:20]
    return head[:10] + struct.pack('>H', packets.checksum(head)) + head[12:] + packet[20:]


INNER = {
    'another IPv4 source': ({'inner_spoofed'}, lambda a, b: packets.udp('100.96.200.200', V4, 1, 7)),
    'another IPv6 source': ({'inner_spoofed'}, lambda a, b: packets.udp('2001:db8::5', V6, 1, 7)),
    'the destination as source': ({'inner_spoofed'}, lambda a, b: packets.udp(V4, V4, 1, 7)),
    'loopback source': ({'inner_spoofed', 'inner_martian'}, lambda a, b: packets.udp('127.0.0.1', V4, 1, 7)),
    'loopback destination': ({'inner_martian'}, lambda a, b: packets.udp(a, '127.0.0.1', 1, 7)),
    'this-network destination': ({'inner_martian'}, lambda a, b: packets.udp(a, '0.0.0.1', 1, 7)),
    'class E destination': ({'inner_martian'}, lambda a, b: packets.udp(a, '240.0.0.1', 1, 7)),
    'link-local IPv4 destination': ({'inner_martian', 'inner_noise'}, lambda a, b: packets.udp(a, '169.254.1.1', 1, 7)),
    'IPv6 loopback destination': ({'inner_martian'}, lambda a, b: packets.udp(b, '::1', 1, 7)),
    'unspecified IPv6 destination': ({'inner_martian'}, lambda a, b: packets.udp(b, '::', 1, 7)),
    'mapped IPv4 destination': ({'inner_martian'}, lambda a, b: packets.udp(b, '::ffff:192.0.2.1', 1, 7)),
    'control address as destination': ({'inner_martian', 'inner_noise', 'inner_spoofed'},
                                       lambda a, b: packets.udp(b, 'fe80::5:1', 51821, 51821)),
    'mDNS': ({'inner_noise'}, lambda a, b: packets.udp(a, '224.0.0.251', 5353, 5353)),
    'broadcast': ({'inner_noise'}, lambda a, b: packets.udp(a, '255.255.255.255', 68, 67)),
    'router solicitation': ({'inner_noise'}, lambda a, b: packets.ip('fe80::1', 'ff02::2', packets.ICMP6, b'\x85\0\0\0\0\0\0\0')),
    'version 5': ({'inner_malformed'}, lambda a, b: broken(packets.udp(a, V4, 1, 7), at_0=b'\x55')),
    'IHL of 4': ({'inner_malformed'}, lambda a, b: rechecked(broken(packets.udp(a, V4, 1, 7), at_0=b'\x44'))),
    'IPv4 length beyond the message': ({'inner_malformed'}, lambda a, b: rechecked(broken(packets.udp(a, V4, 1, 7), at_2=b'\x05\0'))),
    'IPv4 length below its header': ({'inner_malformed'}, lambda a, b: rechecked(broken(packets.udp(a, V4, 1, 7), at_2=b'\0\x13'))),
    'IPv6 length beyond the message': ({'inner_malformed'}, lambda a, b: broken(packets.udp(b, V6, 1, 7), at_4=b'\x05\0')),
    'a header cut short': ({'inner_malformed'}, lambda a, b: packets.udp(a, V4, 1, 7)[:12]),
    'wrong IPv4 header checksum': ({'inner_checksum'}, lambda a, b: broken(packets.udp(a, V4, 1, 7), at_10=b'\x12\x34')),
    'GRE': ({'proto_unsupported'}, lambda a, b: packets.ip(a, V4, 47, b'\0' * 8)),
    'no route': ({'no_route'}, lambda a, b: packets.udp(a, '192.0.2.200', 1, 7)),
    'no IPv6 route': ({'no_route'}, lambda a, b: packets.udp(b, '2001:db8:ffff::1', 1, 7)),
    'TCP to the edge itself': ({'to_edge'}, lambda a, b: packets.tcp(a, '100.96.0.1', 1, 22)),
    'a later fragment without its first': ({'fragment_no_first'},
                                           lambda a, b: rechecked(broken(packets.ip(a, V4, packets.UDP, b'x' * 64, df=False),
                                                                         at_6=b'\0\x40'))),
}


@pytest.mark.parametrize('name', INNER)
def test_inner(lab, raw, name):
    reasons, craft = INNER[name]
    with lab.measure() as m:
        raw.send(craft(*raw.addresses))
    dropped_once(m, *reasons)
    assert m.forwarded == 0


def test_another_device_is_not_reached(lab, raw):
    """Client to client is refused under its own reason."""
    other = lab.ctl('client', 'show', 'client1')['client']['addresses']
    for dst in (a.split('/')[0] for a in other):
        with lab.measure() as m:
            raw.send(packets.udp(raw.addresses[0 if '.' in dst else 1], dst, 1, 7))
        dropped_once(m, 'client_to_client')


def test_the_edge_answers_echo_on_its_inner_address(lab, raw):
    with lab.measure() as m:
        assert raw.ping('100.96.0.1')
    assert m.drops == {}


# --- the WireGuard layer ------------------------------------------------------------------------
def test_replayed_packet(lab, raw):
    with lab.measure() as m:
        datagram = raw.send(packets.echo(raw.addresses[0], V4))
        assert raw.receive(lambda p: p.is_echo_reply())
        raw.send_outer(datagram)
        assert raw.receive(timeout_s=0.5) is None
    dropped_once(m, 'replayed')
    assert m.forwarded == 2


def test_packet_older_than_the_window(lab):
    raw = lab.add_raw('old')
    packet = packets.echo(raw.addresses[0], V4)
    raw.send(packet, counter=20000)
    assert raw.receive(lambda p: p.is_echo_reply())
    with lab.measure() as m:
        raw.send(packet, counter=20000 - 7000)
        assert raw.receive(lambda p: p.is_echo_reply()), 'a window of at least 8,192 still takes this one'
    assert m.drops == {}
    with lab.measure() as m:
        raw.send(packet, counter=3)
    dropped_once(m, 'replayed')


@pytest.mark.parametrize('where', ['tag', 'body'])
def test_flipped_bit(lab, raw, where):
    with lab.measure() as m:
        datagram = bytearray(raw.session.data(packets.echo(raw.addresses[0], V4)))
        datagram[-1 if where == 'tag' else 20] ^= 1
        raw.send_outer(bytes(datagram))
    dropped_once(m, 'aead_failed')
    assert raw.ping(V4), 'the session goes on'


def test_a_forged_counter_does_not_move_the_window(lab, raw):
    """A data message with a huge counter and a wrong tag must not push honest counters out of the window."""
    with lab.measure() as m:
        raw.send_outer(struct.pack('<IIQ', 4, raw.session.remote_index, 1 << 40) + os.urandom(64))
    dropped_once(m, 'aead_failed')
    assert raw.ping(V4)


def test_unknown_receiver_index(lab, raw):
    with lab.measure() as m:
        raw.send(packets.echo(raw.addresses[0], V4), index=raw.session.remote_index ^ 0x5a5a5a5a)
    dropped_once(m, 'session_unknown', 'aead_failed')


def test_key_that_nobody_registered(lab, raw):
    stranger = wgclient.Peer(wgclient.Key(), lab.edge_public())
    with lab.measure() as m:
        raw.send_outer(stranger.initiation())
        assert raw.receive_outer(0.5) is None
    dropped_once(m, 'handshake_unknown_peer')


def test_initiation_for_another_edge(lab, raw):
    elsewhere = wgclient.Peer(raw.key, wgclient.Key().public)
    with lab.measure() as m:
        raw.send_outer(elsewhere.initiation())
        assert raw.receive_outer(0.5) is None
    dropped_once(m, 'handshake_mac1')


def test_initiation_with_a_flipped_bit(lab, raw):
    """MAC1 is made right again, so the AEAD has to see it."""
    message = bytearray(wgclient.Peer(raw.key, lab.edge_public()).initiation())
    message[50] ^= 1
    message[116:132] = wgclient.mac1(lab.edge_public(), bytes(message[:116]))
    with lab.measure() as m:
        raw.send_outer(bytes(message))
        assert raw.receive_outer(0.5) is None
    dropped_once(m, 'handshake_decrypt')


def test_replayed_initiation(lab):
    client = lab.add_raw('again', handshake=False)
    message = client.peer.initiation()
    client.send_outer(message)
    assert client.receive_outer()
    with lab.measure() as m:
        client.send_outer(message)
        assert client.receive_outer(0.5) is None
    dropped_once(m, 'handshake_replay', 'handshake_rate')


def test_response_that_nobody_waits_for(lab, raw):
    message = struct.pack('<III', 2, 7, 0x01020304) + os.urandom(48)
    message += wgclient.mac1(lab.edge_public(), message) + bytes(16)
    with lab.measure() as m:
        raw.send_outer(message)
    dropped_once(m, 'handshake_unexpected')


LENGTHS = {
    'initiation, one byte short': (1, 147), 'initiation, one byte long': (1, 149), 'response, one byte short': (2, 91),
    'cookie, one byte long': (3, 65), 'data below 32 bytes': (4, 31), 'only a type': (4, 4),
}


@pytest.mark.parametrize('name', LENGTHS)
def test_wrong_length(lab, raw, name):
    kind, length = LENGTHS[name]
    with lab.measure() as m:
        raw.send_outer((struct.pack('<I', kind) + bytes(200))[:length])
    dropped_once(m, 'xdp_length', 'wg_length')


@pytest.mark.parametrize('head', [b'\0\0\0\0', b'\x05\0\0\0', b'\x04\0\0\x01', b'GET '], ids=['0', '5', 'reserved', 'text'])
def test_wrong_type(lab, raw, head):
    with lab.measure() as m:
        raw.send_outer(head + bytes(60))
    dropped_once(m, 'xdp_type', 'wg_type')


def test_empty_datagram(lab, raw):
    with lab.measure() as m:
        raw.send_outer(b'')
    dropped_once(m, 'xdp_length', 'wg_length', 'xdp_type', 'wg_type')


def test_outer_fragments(lab, raw):
    """A datagram that was fragmented on the way is not put together: each piece is counted."""
    with lab.measure() as m:
        raw.send_outer(bytes(2000))
    dropped_once(m, 'xdp_fragment', 'outer_fragment', times=2)


def test_what_is_not_wireguard_stays_with_the_kernel(lab):
    """ICMP and TCP to the edge's outer address are the kernel's."""
    with lab.measure() as m:
        assert lab.ping('client1', plan.EDGE_V4, 3) == (3, 3)
        assert lab.ping('client1', plan.EDGE_V6, 3) == (3, 3)
    # a rekey of the session may fall into the time; a ping is not consumed
    assert m.totals['rx_packets'] == m.totals['consumed_packets'], 'what is not for a listen endpoint is not the edge\'s to count'
    assert m.drops == {} and m.totals['kernel_packets'] == 0


def test_no_port_unreachable_is_sent(lab, raw):
    """The listen port is bound: even a packet that the XDP program refuses brings no ICMP error."""
    raw.send_outer(b'\x04\0\0\0')
    raw.sock.settimeout(0.3)
    try:
        while raw.sock.recv(2000)[0] in (1, 4):
            pass  # a keepalive or a rekey of the session is no answer
        raise AssertionError('an answer came')
    except TimeoutError:
        pass
    except ConnectionRefusedError as e:
        raise AssertionError('a port unreachable came') from e


def test_roaming(lab, raw):
    """The session follows the client to another source port, only after a packet that authenticates."""
    old = raw.sock
    raw.sock = lab.socket('client1', old.family, old.type)
    assert raw.ping(V4), 'answers come to the new port'
    old.close()
