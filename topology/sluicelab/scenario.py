# SPDX-License-Identifier: BSD-3-Clause
"""Up and down of a whole lab, and the resources of the scenario."""
import os
import shutil

from . import net, origin, plan, programs
from .net import run
from .plan import LabError
from .procs import end_all, pid_of

TUNNEL = 'k8s_zero_trust_tunnel'
LIST = 'Kubernetes API IPs'
RULE = "Don't inspect Kubernetes API"
ROUTES = (('198.51.100.101/32', 'Kubernetes API Server (IPv4)'), ('2001:DB8::101/128', 'Kubernetes API Server (IPv6)'))


def make_state(lab):
    for folder in ('log', 'pid', 'wg', 'client', 'conn', 'bpf'):
        os.makedirs(lab.path(folder), exist_ok=True)
    os.makedirs('/run/wireguard', exist_ok=True)
    if not os.path.exists('/dev/net/tun'):
        os.makedirs('/dev/net', exist_ok=True)
        run(['mknod', '/dev/net/tun', 'c', '10', '200'])
    run(['mount', '-t', 'bpf', 'bpf', lab.path('bpf')])
    lab.save()


def up(lab, say):
    """Brings the lab up; what fails leaves it for `down`, with the logs to read."""
    if net.existing_namespaces(lab) or os.path.exists(lab.state):
        raise LabError(f'lab "{lab.name}" is up already (or was left behind): `LAB={lab.name} topology/lab down` removes it')
    for name in ('sluice-edge', 'sluice-ctrl', 'sluicectl') + (() if lab.bare else ('sluice-connector',)):
        lab.program(name)
    make_state(lab)
    say(f'namespaces and links: {", ".join(lab.ns(node) for node in lab.nodes())}')
    net.make_namespaces(lab)
    net.wire(lab)
    say('origin: certificates, nginx on 6443 and 80, echo on 7')
    origin.prepare(lab)
    origin.start_origin(lab)
    origin.start_echo(lab)
    say(f'sluice-ctrl and sluice-edge, {lab.workers} worker{"s" if lab.workers > 1 else ""}')
    programs.write_ctrl_config(lab)
    programs.start_ctrl(lab)
    programs.write_edge_config(lab)
    programs.start_edge(lab)
    if not lab.bare:
        resources(lab, say)


def resources(lab, say):
    """The scenario: a tunnel, two routes, a list, a rule that does not inspect, and then clients and connectors."""
    say('resources: tunnel, routes, list, rule; the default action is set to allow')
    programs.ctl(lab, 'account', 'set', 'default', '--default-action', 'allow')
    programs.ctl(lab, 'tunnel', 'create', TUNNEL, '--credentials-file', lab.credentials)
    for network, comment in ROUTES:
        programs.ctl(lab, 'route', 'add', network, TUNNEL, '--comment', comment)
    made = programs.ctl(lab, 'list', 'create', LIST, '--type', 'IP', *(network for network, _ in ROUTES))
    programs.ctl(lab, 'rule', 'create', RULE, '--precedence', '10000', '--action', 'off', '--filter', 'http',
                 '--traffic', f'any(http.conn.dst_ip[*] in ${made["list"]["id"].replace("-", "")})')
    if lab.preserve:
        say('the origin routes devices back through every connector')
        return_routes(lab, range(1, lab.connectors + 1))
    if lab.connectors:
        say(f'{lab.connectors} connector{"s" if lab.connectors > 1 else ""} of one tunnel')
    for j in range(1, lab.connectors + 1):
        programs.write_connector_config(lab, j)
        programs.start_connector(lab, j, wait=False)
    for j in range(1, lab.connectors + 1):
        programs.wait_connector(lab, j)
    if lab.clients:
        say(f'{lab.clients} stock WireGuard client{"s" if lab.clients > 1 else ""}')
    for i in range(1, lab.clients + 1):
        add_client(lab, i)
        programs.start_client(lab, i)
    for i in range(1, lab.clients + 1):
        programs.wait_client(lab, i)


def return_routes(lab, connectors):
    """What a routing protocol would do: the private network sends devices' packets through these connectors, spread by flow."""
    account = programs.ctl(lab, 'account', 'show', 'default')['account']
    run(['ip', 'netns', 'exec', lab.ns('origin'), 'sysctl', '-qw', 'net.ipv4.fib_multipath_hash_policy=1',
         'net.ipv6.fib_multipath_hash_policy=1'])
    for pool, hop in ((account['device_pool_v4'], plan.conn_lan_v4), (account['device_pool_v6'], plan.conn_lan_v6)):
        run(['ip', '-n', lab.ns('origin'), 'route', 'replace', pool]
            + [word for j in connectors for word in ('nexthop', 'via', hop(j))])


def add_client(lab, i, *extra):
    """A client resource and its config file."""
    return programs.ctl(lab, 'client', 'add', f'client{i}', '--email', f'client{i}@example.com', '--group', 'engineers',
                        '--config-file', lab.client_config(i), *extra)


def down(lab):
    """Removes everything of this lab, whatever state it is in. Answers whether there was anything."""
    namespaces = net.existing_namespaces(lab)
    found = bool(namespaces) or os.path.exists(lab.state)
    end_all(lab, namespaces)
    for name in namespaces:
        run(['ip', 'netns', 'del', name])
    with open('/proc/mounts', encoding='utf-8') as f:
        mounts = [line.split()[1] for line in f]
    for mount in reversed([m for m in mounts if m.startswith(lab.state + '/')]):
        run(['umount', '-l', mount], check=False)
    shutil.rmtree(lab.state, ignore_errors=True)
    if os.path.exists(lab.state):
        raise LabError(f'{lab.state} could not be removed')
    try:
        os.rmdir(lab.root)
    except OSError:
        pass  # another lab lives there
    return found


def environment(lab):
    """Everything a script needs to know of the lab, as (name, value)."""
    pairs = [('LAB', lab.name), ('STATE', lab.state), ('BUILD', lab.build), ('CLIENTS', lab.clients),
             ('CONNECTORS', lab.connectors), ('WORKERS', lab.workers), ('OUTER', lab.outer), ('MODE', lab.mode),
             ('ORIGIN4', plan.ORIGIN_V4), ('ORIGIN6', plan.ORIGIN_V6), ('API_PORT', plan.API_PORT),
             ('EDGE4', plan.EDGE_V4), ('EDGE6', plan.EDGE_V6), ('WG_PORT', plan.WG_PORT),
             ('CTRL_SOCK', lab.ctrl_sock), ('EDGE_SOCK', lab.edge_sock), ('CTRL_CONFIG', lab.path('ctrl.yaml')),
             ('EDGE_CONFIG', lab.path('edge.yaml')), ('CREDENTIALS', lab.credentials),
             ('CA', lab.path('pki', 'ca.pem')), ('CERT', lab.path('pki', 'client.pem')),
             ('KEY', lab.path('pki', 'client.key')), ('WWW', lab.path('origin', 'www')), ('BPFFS', lab.path('bpf'))]
    pairs += [(f'CLIENT{i}_CONFIG', lab.client_config(i)) for i in range(1, lab.clients + 1)]
    pairs += [(f'CONNECTOR{j}_CONFIG', lab.path('conn', str(j), 'config.yaml')) for j in range(1, lab.connectors + 1)]
    names = (['edge', 'ctrl', 'origin', 'echo'] + [f'client{i}' for i in range(1, lab.clients + 1)]
             + [f'connector{j}' for j in range(1, lab.connectors + 1)])
    for name in names:
        pairs += [(f'LOG_{name.upper()}', lab.log(name)), (f'PID_{name.upper()}', pid_of(lab, name) or '')]
    return pairs
