# SPDX-License-Identifier: BSD-3-Clause
"""The whole path, for one outer address family: ping, TCP, UDP, TLS, TTL, MTU. Imported by test_path4.py and test_path6.py.

      client1 ── inet ── edge ── inet ── conn1 ── origin
      stock WireGuard   sluice-edge      sluice-connector   nginx, echo
"""
import re

import packets
import pytest
from sluicelab import plan

V4, V6 = plan.ORIGIN_V4, plan.ORIGIN_V6
INNER = pytest.mark.parametrize('dst', [V4, V6], ids=['inner4', 'inner6'])


@INNER
def test_ping_is_counted_exactly(lab, dst):
    with lab.measure() as m:
        assert lab.ping('client1', dst, 10) == (10, 10)
    assert m.forwarded == 20, f'10 requests and 10 replies: {m.totals}'
    assert m.drops == {}


@INNER
def test_ping_sizes(lab, dst):
    with lab.measure() as m:
        for size in (0, 1, 15, 16, 17, 500, 1200):
            assert lab.ping('client1', dst, 1, '-s', str(size)) == (1, 1), f'{size} bytes'
    assert m.forwarded == 14 and m.drops == {}


@INNER
def test_tcp_100_mb_down(lab, dst):
    with lab.measure() as m:
        digest, length = lab.download('client1', dst, '100M.bin')
    assert length == 100 << 20 and digest == lab.digest_of('100M.bin')
    assert m.totals['tx_bytes'] > 100 << 20
    lab.note(f'outer v{lab.lab.outer}, inner {"v6" if ":" in dst else "v4"}: 100 MB down, drops {m.drops}')


@INNER
def test_tcp_100_mb_up(lab, dst):
    with lab.measure() as m:
        digest = lab.upload('client1', dst, '100M.bin')
    assert digest == lab.digest_of('100M.bin')
    lab.note(f'outer v{lab.lab.outer}, inner {"v6" if ":" in dst else "v4"}: 100 MB up, drops {m.drops}')


@INNER
def test_udp_echo(lab, dst):
    payloads = [bytes([n]) * size for n, size in enumerate((1, 2, 7, 8, 9, 100, 512, 1000, 1200))]
    with lab.measure() as m:
        assert lab.udp_echo('client1', dst, payloads) == payloads
    assert m.forwarded == 2 * len(payloads) and m.drops == {}


@INNER
def test_tcp_echo(lab, dst):
    out = lab.sh('client1', 'sh', '-c', f'printf "over the edge" | timeout 10 nc -N {dst} 7')
    assert out == 'over the edge'


@INNER
def test_mutual_tls(lab, dst):
    host = f'[{dst}]' if ':' in dst else dst
    pki = [lab.lab.path('pki', name) for name in ('ca.pem', 'client.pem', 'client.key')]
    url = f'https://{host}:{plan.API_PORT}'
    out = lab.sh('client1', 'curl', '-sS', '-m', '10', '--cacert', pki[0], '--cert', pki[1], '--key', pki[2], f'{url}/whoami')
    assert out.startswith('CN=ana,O=engineers from ')
    refused = lab.sh('client1', 'curl', '-sS', '-m', '10', '--cacert', pki[0], '-w', '%{http_code}', f'{url}/version')
    assert refused.endswith('400') and 'No required SSL certificate' in refused
    wrong = lab.sh('client1', 'curl', '-sS', '-m', '10', f'{url}/version', check=False)
    assert wrong == '', 'the server is not to be believed without its CA'


@INNER
def test_closed_ports_answer(lab, dst):
    """A TCP port nobody listens on is refused at once; it does not time out."""
    host = f'[{dst}]' if ':' in dst else dst
    out = lab.sh('client1', 'curl', '-s', '-m', '5', '-w', '%{exitcode} %{time_total}', f'http://{host}:9/', check=False)
    code, seconds = out.split()
    assert code == '7' and float(seconds) < 1, f'curl {code} (7: could not connect) after {seconds} s'


@INNER
def test_ttl_one_is_answered_with_time_exceeded(lab, dst):
    """The edge counts as one hop: TTL 1 ends here, with the packet quoted, from the edge's own inner address."""
    raw = lab.add_raw(f'ttl-{packets.canonical(dst).replace(":", "-")}')
    src = raw.addresses[0 if '.' in dst else 1]
    packet = packets.udp(src, dst, 4000, 33434, b'x' * 40, ttl=1)
    with lab.measure() as m:
        raw.send(packet)
        error = raw.receive(lambda p: p.proto in (packets.ICMP, packets.ICMP6))
    assert error, 'no ICMP error came'
    assert (error.type, error.code) == ((11, 0) if error.version == 4 else (3, 0))
    assert error.dst == src and error.src not in (dst, src)
    assert error.quoted()[:28] == packet[:28]
    assert m.drops == {'ttl_exceeded': 1} and m.totals['originated_packets'] >= 1 and m.forwarded == 0


@INNER
def test_ttl_two_passes(lab, dst):
    raw = lab.add_raw(f'ttl2-{packets.canonical(dst).replace(":", "-")}')
    assert raw.ping(dst, ttl=2), 'TTL 2 is enough for the edge and the connector'


def test_traceroute_shows_the_edge(lab):
    """`ping -t 1` with a stock client: the first hop names itself, by the edge's address in the device pool."""
    out = lab.sh('client1', 'ping', '-c', '1', '-t', '1', '-W', '3', V4, check=False)
    assert re.search(r'From 100\.96\.\d+\.\d+ .*Time to live exceeded', out), out
    out = lab.sh('client1', 'ping', '-c', '1', '-t', '1', '-W', '3', V6, check=False)
    assert re.search(r'From f[cd][0-9a-f:]+ .*(Time exceeded|Hop limit)', out), out


@pytest.fixture
def big_client(lab):
    """The client's interface at 1,420 while the leg behind the edge carries 1,280."""
    before = lab.sh('client1', 'cat', '/sys/class/net/wg0/mtu').strip()
    lab.sh('client1', 'ip', 'link', 'set', 'wg0', 'mtu', '1420')
    yield
    lab.sh('client1', 'ip', 'link', 'set', 'wg0', 'mtu', before)
    for family in ('-4', '-6'):
        lab.sh('client1', 'ip', family, 'route', 'flush', 'cache', check=False)


@INNER
@pytest.mark.usefixtures('big_client')
def test_path_mtu_discovery(lab, dst):
    """1,400 bytes with DF over a leg of 1,280: an ICMP error that names 1,280; the sender learns it; TCP recovers."""
    family, head = ('-6', 48) if ':' in dst else ('-4', 28)
    lab.sh('client1', 'ip', family, 'route', 'flush', 'cache', check=False)
    with lab.measure() as m:
        out = lab.sh('client1', 'ping', '-c', '1', '-W', '2', '-M', 'do', '-s', str(1400 - head), dst, check=False)
    assert re.search(r'Frag needed and DF set \(mtu = 1280\)|Packet too big: mtu=1280', out), out
    assert m.drops == {'too_big': 1} and m.forwarded == 0
    assert 'mtu 1280' in lab.sh('client1', 'ip', family, 'route', 'get', dst)
    assert lab.ping('client1', dst, 1, '-M', 'do', '-s', str(1280 - head)) == (1, 1)
    lab.sh('client1', 'ip', family, 'route', 'flush', 'cache', check=False)
    with lab.measure() as m:
        assert lab.upload('client1', dst, '10M.bin') == lab.digest_of('10M.bin')
    assert set(m.drops) <= {'too_big'}, f'the connector announces a fitting MSS, ICMP does the rest: {m.drops}'


def test_udp_without_df_is_fragmented_and_arrives(lab):
    """A datagram longer than the client's MTU is fragmented by the client and put together on the other side."""
    payloads = [bytes(range(256)) * 10]
    assert lab.udp_echo('client1', V4, payloads) == payloads


def test_nothing_reaches_the_origin_outside(lab):
    """There is no other way: the network between has no route to the private one."""
    out = lab.sh('inet', 'ping', '-c', '1', '-W', '1', V4, check=False)
    assert '1 received' not in out
