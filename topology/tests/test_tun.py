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
