# SPDX-License-Identifier: BSD-3-Clause
"""Where everything in a lab is: namespaces, addresses, files. Pure: nothing here touches the machine.

      sl-client1   sl-client2 …            stock userspace WireGuard, interface wg0
          │ eth0      │ eth0               192.0.2.(2i+1)/31        2001:db8:c:i::2/64
          │ c1        │ c2                 192.0.2.(2i)/31          2001:db8:c:i::1/64
      ┌───┴───────────┴───┐
      │      sl-inet      │── e0 ══ eth0 ── sl-edge      203.0.113.1/30 · 2001:db8:e::1/64
      └───┬───────────┬───┘  (as many queues as workers)  sluice-edge, sluice-ctrl
          │ k1        │ k2                 203.0.113.(128+2j)/31    2001:db8:d:j::1/64
          │ eth0      │ eth0               203.0.113.(129+2j)/31    2001:db8:d:j::2/64
      sl-conn1     sl-conn2 …              sluice-connector
          │ lan0      │ lan0               198.51.100.j/24          2001:db8::100j/112
          └─────┬─────┘
            sl-origin (bridge br0)         198.51.100.101/24        2001:db8::101/112
"""
import json
import os

MAX_CLIENTS = 100
MAX_CONNECTORS = 60

EDGE_V4, EDGE_V6 = '203.0.113.1', '2001:db8:e::1'
INET_EDGE_V4, INET_EDGE_V6 = '203.0.113.2', '2001:db8:e::2'
ORIGIN_V4, ORIGIN_V6 = '198.51.100.101', '2001:db8::101'
WG_PORT = 51820
REGISTER_PORT = 8443
METRICS_PORT = 8081
API_PORT = 6443

TOPOLOGY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TOP = os.path.dirname(TOPOLOGY)


class LabError(Exception):
    """Something the person who typed the command can read and act on."""


def client_v4(i):
    return f'192.0.2.{2 * i + 1}', f'192.0.2.{2 * i}'


def client_v6(i):
    return f'2001:db8:c:{i:x}::2', f'2001:db8:c:{i:x}::1'


def conn_v4(j):
    return f'203.0.113.{129 + 2 * j}', f'203.0.113.{128 + 2 * j}'


def conn_v6(j):
    return f'2001:db8:d:{j:x}::2', f'2001:db8:d:{j:x}::1'


def conn_lan_v4(j):
    return f'198.51.100.{j}'


def conn_lan_v6(j):
    return f'2001:db8::{0x1000 + j:x}'


class Lab:
    """The names and paths of one lab, and what it was brought up with (kept in lab.json)."""

    def __init__(self, name=None):
        self.name = name or os.environ.get('LAB') or 'sl'
        if not self.name.replace('-', '').isalnum() or len(self.name) > 24:
            raise LabError(f'LAB: "{self.name}" must be letters and digits, at most 24 of them')
        self.root = '/run/sluice-lab'
        self.state = os.path.join(self.root, self.name)
        self.build = os.environ.get('SLUICE_BUILD') or os.path.join(TOP, 'build')
        self.slow = float(os.environ.get('SLUICE_SLOW') or 1)
        self.clients = self.connectors = 0
        self.workers, self.outer, self.mode, self.preserve, self.bare = 1, 4, 'userspace', False, False
        if os.path.exists(self.path('lab.json')):
            self.load()

    # --- what it was brought up with ----------------------------------------------------------
    FIELDS = ('clients', 'connectors', 'workers', 'outer', 'mode', 'preserve', 'bare', 'build')

    def save(self):
        with open(self.path('lab.json'), 'w', encoding='utf-8') as f:
            json.dump({field: getattr(self, field) for field in self.FIELDS}, f)

    def load(self):
        try:
            with open(self.path('lab.json'), encoding='utf-8') as f:
                for field, value in json.load(f).items():
                    setattr(self, field, value)
        except (OSError, ValueError):
            pass  # half written by a lab that was killed: `down` works from the names alone

    # --- names --------------------------------------------------------------------------------
    def ns(self, node):
        return f'{self.name}-{node}'

    def nodes(self):
        return (['inet', 'edge', 'origin'] + [f'client{i}' for i in range(1, self.clients + 1)]
                + [f'conn{j}' for j in range(1, self.connectors + 1)])

    def path(self, *parts):
        return os.path.join(self.state, *parts)

    def log(self, program):
        return self.path('log', f'{program}.log')

    def pid_file(self, program):
        return self.path('pid', program)

    def program(self, name):
        """Path of one of our programs; says how to get it when it is not built."""
        folder = {'sluice-edge': 'dataplane', 'sluice-ctrl': 'ctrl', 'sluice-connector': 'connector',
                  'sluicectl': 'tools', 'sluice-pktgen': 'pktgen'}[name]
        path = os.path.join(self.build, folder, name)
        if not os.access(path, os.X_OK):
            raise LabError(f'{path} is missing: run `make build` (or set SLUICE_BUILD)')
        return path

    # --- addresses by the family that clients and connectors use outside ------------------------
    def edge_endpoint(self, outer=None):
        return f'{EDGE_V4}:{WG_PORT}' if (outer or self.outer) == 4 else f'[{EDGE_V6}]:{WG_PORT}'

    def register_address(self):
        return f'{EDGE_V4}:{REGISTER_PORT}' if self.outer == 4 else f'[{EDGE_V6}]:{REGISTER_PORT}'

    ctrl_sock = property(lambda self: self.path('ctrl.sock'))
    edge_sock = property(lambda self: self.path('edge.sock'))
    credentials = property(lambda self: self.path('creds.json'))

    def client_config(self, i):
        return self.path('client', f'client{i}.conf')
