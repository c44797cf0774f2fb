# SPDX-License-Identifier: BSD-3-Clause
"""The whole lab in mode: tun, with the devices' own addresses: ping, TCP, UDP, both families, and what the origin's log says.

      client1, client2 ── inet ── edge ── conn1, conn2 (TUN, no masquerade) ── origin (routes devices back through either)
"""
import pytest
from sluicelab import plan

SHAPE = {'clients': 2, 'connectors': 2, 'workers': 2, 'outer': 4, 'mode': 'tun', 'preserve': True}
V4, V6 = plan.ORIGIN_V4, plan.ORIGIN_V6


def device_address(lab, i, family):
    client = lab.ctl('client', 'show', f'client{i}')['client']
    return [a.split('/')[0] for a in client['addresses'] if (':' in a) == (family == 6)][0]


@pytest.mark.parametrize('dst', [V4, V6])
def test_ping_and_udp(lab, dst):
    for i in (1, 2):
        assert lab.ping(f'client{i}', dst, 5) == (5, 5)
        payloads = [bytes([n]) * 900 for n in range(20)]
        assert lab.udp_echo(f'client{i}', dst, payloads) == payloads


@pytest.mark.parametrize('dst', [V4, V6])
def test_tcp_both_ways(lab, dst):
    assert lab.download('client1', dst, '10M.bin') == (lab.digest_of('10M.bin'), 10 << 20)
    assert lab.upload('client2', dst, '10M.bin') == lab.digest_of('10M.bin')


@pytest.mark.parametrize('dst', [V4, V6])
def test_the_origins_log_shows_the_device(lab, dst):
    for i in (1, 2):
        device = device_address(lab, i, 6 if ':' in dst else 4)
        host = f'[{dst}]' if ':' in dst else dst
        lab.sh(f'client{i}', 'curl', '-sSf', '-m', '10', f'http://{host}/?client{i}')
        with open(lab.lab.path('origin', 'access.log'), encoding='utf-8') as f:
            assert any(line.startswith(f'{device} ') and f'/?client{i} ' in line for line in f), device


def test_the_edge_knows_the_mode(lab):
    connectors = lab.ctl('connector', 'list')['connectors']
    assert [(c['mode'], c['preserve_source']) for c in connectors] == [('tun', True)] * 2


@pytest.mark.parametrize('dst', [V4, V6])
def test_a_tcp_connection_finds_the_path_mtu(lab, dst):
    """The client's interface says 1,420, the origin announces the MSS of its Ethernet, the leg to the connector carries 1,280: the first
    full segments come back as ICMP errors, and the connection goes on with shorter ones, both ways."""
    family = '-6' if ':' in dst else '-4'
    was = lab.sh('client1', 'cat', '/sys/class/net/wg0/mtu').strip()
    lab.sh('client1', 'ip', 'link', 'set', 'wg0', 'mtu', '1420')
    try:
        lab.sh('client1', 'ip', family, 'route', 'flush', 'cache')
        with lab.measure() as m:
            assert lab.upload('client1', dst, '10M.bin') == lab.digest_of('10M.bin')
        assert m.drops.get('too_big', 0) >= 1 and set(m.drops) == {'too_big'}, m.drops
        assert 'mtu 1280' in lab.sh('client1', 'ip', family, 'route', 'get', dst)
        assert lab.download('client1', dst, '10M.bin') == (lab.digest_of('10M.bin'), 10 << 20)
    finally:
        lab.sh('client1', 'ip', 'link', 'set', 'wg0', 'mtu', was)
