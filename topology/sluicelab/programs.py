# SPDX-License-Identifier: BSD-3-Clause
"""Our programs and the stock WireGuard clients in a lab: their configuration files, and how each is started."""
import json
import os
import shutil
import subprocess

from . import plan
from .net import in_ns, ip_batch, run
from .plan import LabError
from .procs import end, pid_of, start, wait_until

UNPRIVILEGED_USER = 'nobody'


def write(path, text, mode=0o644, owner=None):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(fd, 'w', encoding='utf-8') as f:
        f.write(text)
    os.chmod(path, mode)
    if owner:
        shutil.chown(path, owner)


# --- sluicectl --------------------------------------------------------------------------------
def ctl_argv(lab, *args):
    return [lab.program('sluicectl'), '--socket', lab.ctrl_sock, '--edge-socket', lab.edge_sock, *args]


def ctl(lab, *args, check=True):
    """One sluicectl command with --json; the document it printed."""
    proc = subprocess.run(ctl_argv(lab, '--json', *args), capture_output=True, text=True, check=False, timeout=60)
    try:
        doc = json.loads(proc.stdout)
    except ValueError:
        doc = None
    if check and (proc.returncode != 0 or doc is None):
        raise LabError(f'sluicectl {" ".join(args)}: {(proc.stdout + proc.stderr).strip()}')
    return doc


def answers(lab, *args):
    """True once this sluicectl command works."""
    return subprocess.run(ctl_argv(lab, '--json', *args), capture_output=True, check=False, timeout=60).returncode == 0


# --- sluice-ctrl ------------------------------------------------------------------------------
def write_ctrl_config(lab):
    os.makedirs(lab.path('ctrl'), mode=0o700, exist_ok=True)
    write(lab.path('ctrl.yaml'), f'''\
store: {lab.path('ctrl', 'ctrl.db')}
socket: {lab.ctrl_sock}
register:
    listen: ["{plan.EDGE_V4}:{plan.REGISTER_PORT}", "[{plan.EDGE_V6}]:{plan.REGISTER_PORT}"]
    names: ["{plan.EDGE_V4}", "{plan.EDGE_V6}"]
    address: "{lab.register_address()}"
tls-dir: {lab.path('ctrl', 'tls')}
metrics: 127.0.0.1:9464
log-level: info
''')


def start_ctrl(lab):
    start(lab, 'ctrl', 'edge', [lab.program('sluice-ctrl'), '--config', lab.path('ctrl.yaml')])
    wait_until(lab, 'sluice-ctrl answers', lambda: answers(lab, 'vnet', 'list'), alive='ctrl')


# --- sluice-edge ------------------------------------------------------------------------------
def write_edge_config(lab):
    os.makedirs(lab.path('edge'), mode=0o700, exist_ok=True)
    key = lab.path('edge', 'private.key')
    if not os.path.exists(key):
        write(key, run(['wg', 'genkey']), mode=0o600)
    write(lab.path('edge.yaml'), f'''\
edge-id: edge1
ports:
    - af_xdp: {{iface: eth0, queues: {lab.workers}}}
workers: {lab.workers}
listen: ["0.0.0.0:{plan.WG_PORT}", "[::]:{plan.WG_PORT}"]
advertise: ["{lab.edge_endpoint()}"]
private-key-file: {key}
ctrl-socket: {lab.ctrl_sock}
socket: {lab.edge_sock}
state-dir: {lab.path('edge')}
metrics: 127.0.0.1:9465
huge-pages: auto
poll: adaptive
groups: {{write: root, read: nogroup}}
log-level: info
''')


def start_edge(lab):
    start(lab, 'edge', 'edge', [lab.program('sluice-edge'), '--config', lab.path('edge.yaml')])
    wait_until(lab, 'sluice-edge answers', lambda: answers(lab, 'show', 'counters'), alive='edge')
    if pid_of(lab, 'ctrl'):
        wait_until(lab, 'sluice-edge has applied the configuration', lambda: in_step(lab), alive='edge',
                   logs=('edge', 'ctrl'))


def in_step(lab):
    """True when the edge is connected and runs the configured revision."""
    doc = ctl(lab, 'show', 'revision', check=False) or {}
    edges = (doc.get('ctrl') or {}).get('edges') or []
    return bool(edges) and all(e['connected'] and e['applied'] == doc['configured'] for e in edges)


# --- sluice-connector -------------------------------------------------------------------------
def write_connector_config(lab, j):
    """The config file of the scenario, as it stands, with our paths; the credentials belong to an unprivileged user."""
    folder = lab.path('conn', str(j))
    os.makedirs(folder, exist_ok=True)
    with open(lab.credentials, encoding='utf-8') as f:
        write(os.path.join(folder, 'creds.json'), f.read(), mode=0o400, owner=UNPRIVILEGED_USER)
    with open(lab.credentials, encoding='utf-8') as f:
        tunnel_id = json.load(f)['TunnelID']
    text = f'''\
tunnel: {tunnel_id}
credentials-file: {os.path.join(folder, 'creds.json')}
metrics: 0.0.0.0:{plan.METRICS_PORT}
warp-routing:
    enabled: true
'''
    if lab.mode == 'tun':
        text += 'mode: tun\n' + ('preserve-source: true\n' if lab.preserve else '')
    write(os.path.join(folder, 'config.yaml'), text)


def connector_argv(lab, j):
    argv = [lab.program('sluice-connector'), 'tunnel', '--config', lab.path('conn', str(j), 'config.yaml'), 'run']
    # No user, no group, no capability: what the connector needs in userspace mode. A TUN device needs one capability.
    caps = (['--bounding-set=-all', '--inh-caps=-all'] if lab.mode == 'userspace' else
            ['--bounding-set=-all,+net_admin', '--inh-caps=-all,+net_admin', '--ambient-caps=-all,+net_admin'])
    return ['setpriv', f'--reuid={UNPRIVILEGED_USER}', '--regid=nogroup', '--clear-groups', '--no-new-privs', *caps, *argv]


def start_connector(lab, j, wait=True):
    start(lab, f'connector{j}', f'conn{j}', connector_argv(lab, j))
    if wait:
        wait_connector(lab, j)


def wait_connector(lab, j):
    wait_until(lab, f'connector{j} is ready', lambda: ready(lab, j) == 200, 30, alive=f'connector{j}',
               logs=(f'connector{j}', 'ctrl', 'edge'))


def ready(lab, j):
    """HTTP status of a connector's /ready, 0 when it does not answer."""
    out = run(in_ns(lab, f'conn{j}', ['curl', '-s', '-m', '3', '-o', '/dev/null', '-w', '%{http_code}',
                                      f'http://127.0.0.1:{plan.METRICS_PORT}/ready']), check=False)
    return int(out or 0)


# --- stock WireGuard clients ------------------------------------------------------------------
WG_QUICK_KEYS = ('address', 'dns', 'mtu', 'table', 'preup', 'postup', 'predown', 'postdown', 'saveconfig')


def split_config(path):
    """A wg-quick file as (text for `wg setconf`, {key: [values]} of what wg-quick itself would do, AllowedIPs)."""
    plain, extra, allowed = [], {}, []
    with open(path, encoding='utf-8') as f:
        for line in f:
            key, _, value = line.partition('=')
            key, values = key.strip().lower(), [v.strip() for v in value.split('#')[0].split(',') if v.strip()]
            if key in WG_QUICK_KEYS:
                extra.setdefault(key, []).extend(values)
                continue
            if key == 'allowedips':
                allowed += values
            plain.append(line)
    return ''.join(plain), extra, allowed


def start_client(lab, i):
    """What wg-quick does with the printed config, by hand: stock wireguard-go, setconf, addresses, MTU, routes."""
    program, node, config = f'client{i}', f'client{i}', lab.client_config(i)
    if not os.path.exists(config):
        raise LabError(f'{config} is missing: `sluicectl client add NAME --email E --config-file {config}` writes it')
    start(lab, program, node, ['wireguard-go', '-f', 'wg0'], env={'LOG_LEVEL': 'verbose'})
    wait_until(lab, f'wireguard-go of {node} is there',
               lambda: os.path.exists(lab.path('wg', node, 'wg0.sock')), alive=program)
    plain, extra, allowed = split_config(config)
    write(lab.path('client', f'{node}.setconf'), plain, mode=0o600)
    run(in_ns(lab, node, ['wg', 'setconf', 'wg0', lab.path('client', f'{node}.setconf')]))
    mtu = (extra.get('mtu') or ['1420'])[0]
    lines = [f'link set wg0 mtu {mtu}']
    lines += [f'addr add {address} dev wg0' + (' nodad' if ':' in address else '') for address in extra['address']]
    lines += ['link set wg0 up']
    lines += [f'route add {net} dev wg0' for net in allowed]
    ip_batch(lab, node, lines)


def handshake_done(lab, i):
    """True once the client's wg0 has had a handshake; a ping to the edge's inner side makes it want one."""
    out = run(in_ns(lab, f'client{i}', ['wg', 'show', 'wg0', 'latest-handshakes']), check=False)
    return any(line.split()[-1] != '0' for line in out.splitlines() if line.strip())


def wait_client(lab, i, destination=plan.ORIGIN_V4):
    def connected():
        run(in_ns(lab, f'client{i}', ['ping', '-c', '1', '-W', '1', destination]), check=False)
        return handshake_done(lab, i)
    wait_until(lab, f'client{i} has had its handshake', connected, 20, alive=f'client{i}', logs=(f'client{i}', 'edge'))


# --- by name, for `lab start|stop|kill` -------------------------------------------------------
def start_program(lab, name):
    kind, number = name.rstrip('0123456789'), name[len(name.rstrip('0123456789')):]
    if kind == 'connector' and number:
        write_connector_config(lab, int(number))
        start_connector(lab, int(number))
    elif kind == 'client' and number:
        start_client(lab, int(number))
    elif name == 'edge':
        start_edge(lab)
    elif name == 'ctrl':
        start_ctrl(lab)
    elif name in ('origin', 'echo'):
        from . import origin
        (origin.start_origin if name == 'origin' else origin.start_echo)(lab)
    else:
        raise LabError(f'no program "{name}": edge, ctrl, connectorN, clientN, origin or echo')


def end_program(lab, name, sig):
    end(lab, name, sig)
