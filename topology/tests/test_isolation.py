# SPDX-License-Identifier: BSD-3-Clause
"""Nothing crosses between tunnels, virtual networks and accounts; and what a connector is given, to the byte.

      client1: hand-made clients            ┌─ conn1: c1 of tunnel t1
        ana  (default account, default vnet)│  conn2: c2 of tunnel t2, c3 of tunnel t3
        bea  (default account, vnet blue)   │
        zoe  (account "other")          ── edge
      routes   default vnet: 198.51.100.0/24 → t1, 198.51.100.128/25 → t2, 2001:db8::/112 → t1
               blue:         198.51.100.0/24 → t2, 2001:db8::/112 → t2
               other:        198.51.100.0/24 → t3, 2001:db8::/112 → t3
"""
import types

import packets
import pytest
from sluicelab import plan
from sluicelab.rawconn import RawConnector

SHAPE = {'clients': 1, 'connectors': 2, 'workers': 1, 'outer': 4, 'bare': True}
V4, V6, HIGH4 = plan.ORIGIN_V4, plan.ORIGIN_V6, '198.51.100.200'
BOTH = pytest.mark.parametrize('dst', [V4, V6], ids=['inner4', 'inner6'])


@pytest.fixture(scope='module')
def world(lab):
    ctl = lab.ctl
    ctl('account', 'set', 'default', '--default-action', 'allow')
    ctl('account', 'create', 'other', '--default-action', 'allow')
    ctl('vnet', 'create', 'blue')
    w = types.SimpleNamespace(conns={})
    for name, account in (('t1', 'default'), ('t2', 'default'), ('t3', 'other')):
        path = lab.lab.path(f'{name}.json')
        ctl('--account', account, 'tunnel', 'create', name, '--credentials-file', path)
    for network, tunnel, more in (('198.51.100.0/24', 't1', ()), ('198.51.100.128/25', 't2', ()), ('2001:db8::/112', 't1', ()),
                                  ('198.51.100.0/24', 't2', ('--vnet', 'blue')), ('2001:db8::/112', 't2', ('--vnet', 'blue'))):
        ctl('route', 'add', network, tunnel, *more)
    for network in ('198.51.100.0/24', '2001:db8::/112'):
        ctl('--account', 'other', 'route', 'add', network, 't3')
    w.c1, w.c2, w.c3 = (RawConnector(lab.lab, node, lab.lab.path(f'{tunnel}.json')).connect()
                        for node, tunnel in (('conn1', 't1'), ('conn2', 't2'), ('conn2', 't3')))
    w.ana, w.bea = lab.add_raw('ana'), lab.add_raw('bea', vnet='blue')
    w.zoe = lab.add_raw('zoe', account='other')
    lab.raws.clear()  # they live for the whole file
    yield w
    for peer in (w.c1, w.c2, w.c3, w.ana, w.bea, w.zoe):
        peer.close()


@pytest.fixture(autouse=True)
def lively(world):
    """Probes are answered and leases renewed between tests, so nobody is taken for dead however slow the machine is."""
    for peer in (world.c1, world.c2, world.c3, world.ana, world.bea, world.zoe):
        peer.stay()


def wake(connector):
    """Answers the edge's probes for a while: nobody read this connector, so it may pass for dead."""
    connector.stay()
    connector.receive(timeout_s=1.0)


PORTS = iter(range(20000, 60000))


def ask(client, dst, **how):
    """A UDP packet of a new flow from a client; (bytes sent, ports)."""
    sport = next(PORTS)
    packet = packets.udp(source(client, dst), dst, sport, 7, b'question', **how)
    client.send(packet)
    return packet, sport


def source(client, dst):
    return client.addresses[0 if '.' in dst else 1]


def answer(dst, client, sport, data=b'answer', **how):
    return packets.udp(dst, source(client, dst), 7, sport, data, **how)


def one_hop_on(packet):
    """The packet as the next hop must see it: TTL one less, IPv4 checksum right, all else untouched."""
    out = bytearray(packet)
    if packet[0] >> 4 == 6:
        out[7] -= 1
        return bytes(out)
    out[8] -= 1
    out[10:12] = b'\0\0'
    out[10:12] = packets.checksum(bytes(out[:20])).to_bytes(2, 'big')
    return bytes(out)


def for_us(conn, sport):
    return conn.receive(lambda p: p.proto == packets.UDP and int.from_bytes(p.payload[:2], 'big') == sport)


@BOTH
def test_forwarded_to_the_byte_both_ways(lab, world, dst):
    with lab.measure() as m:
        packet, sport = ask(world.ana, dst, ttl=64)
        got = for_us(world.c1, sport)
        assert got and got.packet == one_hop_on(packet), 'TTL one less, everything else as it was'
        back = answer(dst, world.ana, sport, ttl=55)
        world.c1.send(back)
        reply = world.ana.receive(lambda p: p.proto == packets.UDP)
        assert reply and reply.packet == one_hop_on(back)
    assert m.forwarded == 2 and m.drops == {}


@BOTH
def test_the_tos_byte_goes_through(lab, world, dst):
    """DSCP and ECN of the inner packet are the client's own."""
    packet, sport = ask(world.ana, dst, tos=0xb9)
    got = for_us(world.c1, sport)
    assert got and got.packet == one_hop_on(packet)


@BOTH
def test_each_virtual_network_and_account_has_its_own_routes(lab, world, dst):
    for client, conn in ((world.ana, world.c1), (world.bea, world.c2), (world.zoe, world.c3)):
        _, sport = ask(client, dst)
        assert for_us(conn, sport), 'the packet goes to the tunnel of its own network'
        conn.send(answer(dst, client, sport, str(sport).encode()))
        reply = client.receive(lambda p: p.proto == packets.UDP)
        assert reply and reply.payload[8:] == str(sport).encode(), 'and the answer to its own device'


def test_longest_prefix_wins(lab, world):
    _, sport = ask(world.ana, HIGH4)
    assert for_us(world.c2, sport)
    assert lab.ctl('route', 'lookup', HIGH4)['route']['network'] == '198.51.100.128/25'
    assert lab.ctl('route', 'lookup', V4)['route']['network'] == '198.51.100.0/24'


@BOTH
def test_another_tunnel_may_not_answer(lab, world, dst):
    """Same account, same virtual network: the flow is t1's, the packet comes from t2's connector."""
    _, sport = ask(world.ana, dst)
    assert for_us(world.c1, sport)
    with lab.measure() as m:
        world.c2.send(answer(dst, world.ana, sport))
        assert world.ana.receive(timeout_s=0.5) is None
    assert m.drops == {'flow_wrong_tunnel': 1}
    world.c1.send(answer(dst, world.ana, sport))
    assert world.ana.receive(lambda p: p.proto == packets.UDP), 'the flow itself is untouched'


@BOTH
def test_another_account_may_not_answer(lab, world, dst):
    """Device addresses of accounts may be equal; a connector only ever reaches devices of its own account."""
    _, sport = ask(world.ana, dst)
    assert for_us(world.c1, sport)
    with lab.measure() as m:
        world.c3.send(answer(dst, world.ana, sport))
        assert world.ana.receive(timeout_s=0.5) is None and world.zoe.receive(timeout_s=0.2) is None
    assert sum(m.drops.values()) == 1 and set(m.drops) <= {'no_flow', 'unknown_device', 'flow_wrong_tunnel'}


@BOTH
def test_another_virtual_network_may_not_answer(lab, world, dst):
    """bea's flow is in blue, by t2; t1 has a route for the same prefix, in another network."""
    _, sport = ask(world.bea, dst)
    assert for_us(world.c2, sport)
    with lab.measure() as m:
        world.c1.send(answer(dst, world.bea, sport))
        assert world.bea.receive(timeout_s=0.5) is None
    assert sum(m.drops.values()) == 1 and set(m.drops) <= {'flow_wrong_tunnel', 'no_flow'}


@BOTH
def test_a_connector_opens_nothing_by_itself(lab, world, dst):
    with lab.measure() as m:
        world.c1.send(packets.udp(dst, source(world.ana, dst), 5000, 5001, b'hello device'))
        world.c1.send(packets.tcp(dst, source(world.ana, dst), 5000, 22))
        world.c1.send(packets.echo(dst, source(world.ana, dst)))
        assert world.ana.receive(timeout_s=0.5) is None
    assert m.drops == {'no_flow': 3}


def test_a_device_that_does_not_exist(lab, world):
    with lab.measure() as m:
        world.c1.send(packets.udp(V4, '100.111.255.250', 7, 9))
    assert m.drops == {'unknown_device': 1}


@BOTH
def test_icmp_errors_quote_a_live_flow_of_this_tunnel(lab, world, dst):
    packet, sport = ask(world.ana, dst)
    assert for_us(world.c1, sport)
    quoted = one_hop_on(packet)
    with lab.measure() as m:
        world.c1.send(packets.icmp_error(dst, source(world.ana, dst), quoted))
        error = world.ana.receive(lambda p: p.proto in (packets.ICMP, packets.ICMP6))
    assert error and m.drops == {}, 'an error of the flow is delivered'
    assert packets.Parsed(error.quoted() + bytes(1500)).src == packets.canonical(source(world.ana, dst))
    stranger = packets.udp(source(world.ana, dst), dst, 1, 2, b'never sent')
    for conn, what in ((world.c2, quoted), (world.c1, stranger), (world.c3, quoted)):
        with lab.measure() as m:
            conn.send(packets.icmp_error(dst, source(world.ana, dst), what))
            assert world.ana.receive(timeout_s=0.3) is None
        assert sum(m.drops.values()) == 1 and set(m.drops) <= {'icmp_no_flow', 'unknown_device'}, m.drops


def test_link_local_stays_inside_the_session(lab, world):
    with lab.measure() as m:
        world.c1.send(packets.udp('fe80::99', 'fe80::5:1', 51821, 51821, b'x' * 16, ttl=255))
        world.c1.send(packets.udp('fe80::5:2', source(world.ana, V6), 51821, 51821, b'x' * 16))
    assert m.totals['dropped_packets'] == 2 and m.forwarded == 0


def test_a_clients_key_is_no_connectors_key(lab, world):
    thief = RawConnector(lab.lab, 'conn1', lab.lab.path('t1.json'))
    thief.key = world.ana.key
    status, _, _ = thief.post('/v1/register', thief.registration(*thief.challenge()))
    assert status in (400, 401)


def test_names_do_not_cross_accounts(lab, world):
    for args in (('route', 'add', '203.0.113.0/24', 't1'), ('tunnel', 'show', 't1'), ('client', 'show', 'ana')):
        doc = lab.ctl('--account', 'other', *args, check=False)
        assert doc['error']['code'] == 'not_found', doc


def test_a_new_specific_route_takes_over_running_flows(lab, world):
    _, sport = ask(world.ana, V4)
    assert for_us(world.c1, sport)
    lab.ctl('route', 'add', f'{V4}/32', 't2')
    try:
        world.ana.send(packets.udp(source(world.ana, V4), V4, sport, 7, b'again'))
        assert for_us(world.c2, sport), 'the next packet of the flow is decided again'
    finally:
        lab.ctl('route', 'delete', f'{V4}/32', '--yes')


def test_default_action_block_cuts_running_flows(lab, world):
    _, sport = ask(world.zoe, V4)
    assert for_us(world.c3, sport)
    lab.ctl('account', 'set', 'other', '--default-action', 'block')
    try:
        with lab.measure() as m:
            world.zoe.send(packets.udp(source(world.zoe, V4), V4, sport, 7, b'again'))
            ask(world.zoe, V4)
            assert world.c3.receive(lambda p: p.proto == packets.UDP, 0.5) is None
        assert m.drops == {'policy_block': 2}
        wake(world.c1)
        _, sport = ask(world.ana, V4)
        assert for_us(world.c1, sport), "one account's change is not another's"
    finally:
        lab.ctl('account', 'set', 'other', '--default-action', 'allow')
    wake(world.c3)
    _, sport = ask(world.zoe, V4)
    assert for_us(world.c3, sport)


def test_revoked_client_is_cut_at_once(lab, world):
    eve = lab.add_raw('eve')
    _, sport = ask(eve, V4)
    assert for_us(world.c1, sport)
    lab.ctl('client', 'revoke', 'eve', '--yes')
    with lab.measure() as m:
        ask(eve, V4)
        eve.send_outer(eve.peer.initiation())
        assert eve.receive_outer(0.5) is None
    assert m.forwarded == 0 and m.totals['dropped_packets'] == 2
    assert set(m.drops) <= {'peer_disabled', 'session_unknown', 'handshake_unknown_peer'}


def test_deleted_tunnel_cuts_its_sessions(lab, world):
    path = lab.lab.path('t4.json')
    lab.ctl('tunnel', 'create', 't4', '--credentials-file', path)
    lab.ctl('route', 'add', '198.51.100.77/32', 't4')
    conn = RawConnector(lab.lab, 'conn1', path).connect()
    _, sport = ask(world.ana, '198.51.100.77')
    assert for_us(conn, sport)
    lab.ctl('tunnel', 'delete', 't4', '--force', '--yes')
    with lab.measure() as m:
        conn.send(answer('198.51.100.77', world.ana, sport))
        assert world.ana.receive(timeout_s=0.5) is None
    assert m.forwarded == 0 and set(m.drops) <= {'peer_disabled', 'session_unknown'} and m.totals['dropped_packets'] == 1
    conn.close()
