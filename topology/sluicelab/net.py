# SPDX-License-Identifier: BSD-3-Clause
"""Namespaces and links of a lab. Every link is made inside the namespaces, never in the machine's own network."""
import os
import subprocess

from . import plan
from .plan import LabError


def run(argv, stdin=None, check=True, timeout_s=60):
    """Runs a command and answers its output; what it wrote on stderr becomes the error's text."""
    proc = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False, timeout=timeout_s)
    if check and proc.returncode != 0:
        raise LabError(f'{" ".join(argv)}: {(proc.stderr or proc.stdout).strip() or proc.returncode}')
    return proc.stdout


def in_ns(lab, node, argv):
    """argv that runs a command in a node: its network, its own /sys, its own WireGuard sockets, the bpf file system."""
    script = 'mount --bind "$1" /run/wireguard; '
    if node == 'edge':
        script += 'mount --bind "$2" /sys/fs/bpf; '
    script += 'shift 2; exec "$@"'
    return ['ip', 'netns', 'exec', lab.ns(node), 'sh', '-ec', script, node, lab.path('wg', node), lab.path('bpf'),
            *argv]


def sysctl(lab, node, **values):
    lines = [f'{key.replace("__", ".")}={value}' for key, value in values.items()]
    run(['ip', 'netns', 'exec', lab.ns(node), 'sysctl', '-qw', *lines])


def ip_batch(lab, node, lines):
    run(['ip', '-n', lab.ns(node), '-batch', '-'], stdin='\n'.join(lines) + '\n')


def make_namespaces(lab):
    for node in lab.nodes():
        run(['ip', 'netns', 'add', lab.ns(node)])
        os.makedirs(lab.path('wg', node), exist_ok=True)
        # No duplicate address detection: an address is usable at once.
        sysctl(lab, node, net__ipv6__conf__all__disable_ipv6=0, net__ipv6__conf__default__accept_dad=0,
               net__ipv6__conf__all__accept_dad=0, net__ipv6__conf__default__accept_ra=0)
        ip_batch(lab, node, ['link set lo up'])


def veth(lab, node_a, if_a, node_b, if_b, queues=1):
    """A veth pair with exactly `queues` queues on each side, no offload that would leave a checksum to a NIC."""
    run(['ip', 'link', 'add', if_a, 'netns', lab.ns(node_a), 'numtxqueues', str(queues), 'numrxqueues', str(queues),
         'type', 'veth', 'peer', 'name', if_b, 'netns', lab.ns(node_b), 'numtxqueues', str(queues),
         'numrxqueues', str(queues)])
    for node, name in ((node_a, if_a), (node_b, if_b)):
        run(['ip', 'netns', 'exec', lab.ns(node), 'ethtool', '-K', name, 'tx', 'off', 'tso', 'off', 'gso', 'off',
             'gro', 'off'])


def addresses(lab, node, name, *cidrs):
    ip_batch(lab, node, [f'addr add {cidr} dev {name}' + (' nodad' if ':' in cidr else '') for cidr in cidrs]
             + [f'link set {name} up'])


def default_routes(lab, node, via4, via6):
    ip_batch(lab, node, [f'route add default via {via4} dev eth0', f'route add default via {via6} dev eth0'])


def wire_client(lab, i):
    node, (v4, gw4), (v6, gw6) = f'client{i}', plan.client_v4(i), plan.client_v6(i)
    # One queue on the way in: the router then picks the queue towards the edge by hash, not by inheritance.
    veth(lab, 'inet', f'c{i}', node, 'eth0')
    addresses(lab, 'inet', f'c{i}', f'{gw4}/31', f'{gw6}/64')
    addresses(lab, node, 'eth0', f'{v4}/31', f'{v6}/64')
    default_routes(lab, node, gw4, gw6)


def wire_connector(lab, j):
    node, (v4, gw4), (v6, gw6) = f'conn{j}', plan.conn_v4(j), plan.conn_v6(j)
    veth(lab, 'inet', f'k{j}', node, 'eth0')
    addresses(lab, 'inet', f'k{j}', f'{gw4}/31', f'{gw6}/64')
    addresses(lab, node, 'eth0', f'{v4}/31', f'{v6}/64')
    default_routes(lab, node, gw4, gw6)
    veth(lab, 'origin', f'o{j}', node, 'lan0')
    ip_batch(lab, 'origin', [f'link set o{j} master br0', f'link set o{j} up'])
    addresses(lab, node, 'lan0', f'{plan.conn_lan_v4(j)}/24', f'{plan.conn_lan_v6(j)}/112')
    sysctl(lab, node, net__ipv4__ping_group_range='0 2147483647')


def wire(lab):
    sysctl(lab, 'inet', net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1,
           net__ipv4__conf__all__rp_filter=0, net__ipv4__conf__default__rp_filter=0)
    veth(lab, 'inet', 'e0', 'edge', 'eth0', queues=lab.workers)
    addresses(lab, 'inet', 'e0', f'{plan.INET_EDGE_V4}/30', f'{plan.INET_EDGE_V6}/64')
    addresses(lab, 'edge', 'eth0', f'{plan.EDGE_V4}/30', f'{plan.EDGE_V6}/64')
    default_routes(lab, 'edge', plan.INET_EDGE_V4, plan.INET_EDGE_V6)
    ip_batch(lab, 'origin', ['link add br0 type bridge forward_delay 0 stp_state 0'])
    addresses(lab, 'origin', 'br0', f'{plan.ORIGIN_V4}/24', f'{plan.ORIGIN_V6}/112')
    for i in range(1, lab.clients + 1):
        wire_client(lab, i)
    for j in range(1, lab.connectors + 1):
        wire_connector(lab, j)


def existing_namespaces(lab):
    """Namespaces of this lab on the machine, whatever lab.json says."""
    nodes = ('inet', 'edge', 'origin', 'client', 'conn')
    found = []
    for line in run(['ip', 'netns', 'list']).splitlines():
        name = line.split()[0]
        node = name[len(lab.name) + 1:]
        if name.startswith(f'{lab.name}-') and node.rstrip('0123456789') in nodes:
            found.append(name)
    return found
