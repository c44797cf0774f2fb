# SPDX-License-Identifier: BSD-3-Clause
"""mode: tun of the connector alone: kernel routing, masquerade or the device's own address, what it needs and what it leaves behind.

      edge (fake_edge, a device) ── conn (sluice-connector) ── origin
"""
import contextlib
import os
import signal
import socket

import pytest
from connlab import DEVICE4, DEVICE6, ORIGIN4, ORIGIN6, ConnLab
from sluicelab.plan import LabError


@pytest.fixture(scope='module')
def bench():
    lab = ConnLab()
    if not os.path.exists(os.path.join(lab.lab.build, 'connector', 'fake_edge')):
        pytest.skip('fake_edge is not built')
    lab.up()
    try:
        yield lab
    finally:
        lab.down()


def net_admin(bench):
    """argv of an unprivileged user with one capability."""
    return ['setpriv', '--reuid=nobody', '--regid=nogroup', '--clear-groups', '--no-new-privs', '--inh-caps=-all,+net_admin',
            '--ambient-caps=-all,+net_admin', *bench.connector_argv(privileged=True)]


@contextlib.contextmanager
def connector(bench, config='mode: tun\n'):
    bench.write_config(config)
    bench.start('connector', 'conn', net_admin(bench))
    bench.wait('the connector is ready', lambda: bench.ready() == 200)
    try:
        yield
    finally:
        if 'connector' in bench.procs:
            bench.end('connector', signal.SIGKILL)


def source_seen(bench, dst):
    """The address that the origin sees for a connection of the device."""
    family = socket.AF_INET6 if ':' in dst else socket.AF_INET
    with bench.socket('origin', family, socket.SOCK_STREAM) as server:
        server.bind((dst, 0))
        server.listen(1)
        with bench.device_tcp(dst, server.getsockname()[1]):
            peer, address = server.accept()
            peer.close()
            return address[0]


def left_behind(bench):
    return [what for what in ('link show dev sluice0', 'route show 100.96.0.0/12')
            if bench.sh('conn', 'ip', *what.split(), check=False).strip()] + [
                line for line in bench.sh('conn', 'nft', 'list', 'tables').splitlines() if 'sluice' in line]


def test_masquerade(bench):
    with connector(bench):
        assert source_seen(bench, ORIGIN4) == '198.51.100.1'
        assert source_seen(bench, ORIGIN6) == '2001:db8::1001'
        for dst in (ORIGIN4, ORIGIN6):
            bench.sh('edge', 'ping', '-c', '2', '-i', '0.1', '-W', '3', dst)
        with pytest.raises(ConnectionRefusedError):
            bench.device_tcp(ORIGIN4, 4)
        assert bench.metrics()['connect_errors_total{cause="refused"}'] == 1
        assert bench.end('connector') == 0
    assert left_behind(bench) == []
    assert bench.sh('conn', 'sysctl', '-n', 'net.ipv4.ip_forward').strip() == '0', 'set back as it was'


def test_preserve_source(bench):
    bench.ip('origin', 'route replace 100.96.0.0/12 via 198.51.100.1', 'route replace fd00:96::/64 via 2001:db8::1001')
    with connector(bench, 'mode: tun\npreserve-source: true\n'):
        assert source_seen(bench, ORIGIN4) == DEVICE4
        assert source_seen(bench, ORIGIN6) == DEVICE6
        assert not [line for line in bench.sh('conn', 'nft', 'list', 'tables').splitlines() if 'sluice' in line]


def test_the_fence_holds_here_too(bench):
    with connector(bench, f'mode: tun\ndeny: [{ORIGIN4}]\n'):
        with pytest.raises(ConnectionRefusedError):
            bench.device_tcp(ORIGIN4)
        assert bench.device_tcp(ORIGIN6).close() is None


def test_a_crash_leaves_nothing(bench):
    with connector(bench):
        assert len(left_behind(bench)) == 3, 'what would be left behind is there now'
        bench.end('connector', signal.SIGKILL)
        assert left_behind(bench) == []
    with connector(bench):
        bench.device_tcp(ORIGIN4).close()


def test_without_the_capability_it_says_what_to_grant(bench):
    bench.write_config('mode: tun\n')
    with pytest.raises(LabError) as e:
        bench.sh('conn', *bench.connector_argv())
    assert 'CAP_NET_ADMIN: grant it' in str(e.value) and 'capabilities.add: [NET_ADMIN]' in str(e.value)


def test_a_second_one_in_the_same_network_is_refused(bench):
    with connector(bench):
        with pytest.raises(LabError) as e:
            bench.sh('conn', *net_admin(bench))
        assert 'another connector runs in this network' in str(e.value)
