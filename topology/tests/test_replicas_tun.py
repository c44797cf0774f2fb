# SPDX-License-Identifier: BSD-3-Clause
"""Three replicas in mode: tun with the devices' own addresses: connections outlive the replica that carries them.

      client1 … client6 ── inet ── edge ── conn1, conn2, conn3 (TUN, no masquerade) ── origin (routes devices back)

The origin's return routes are moved before a replica stops and after it is back, as a routing protocol would.
"""
import time

from rolling import Downloads, Load, roll
from sluicelab import plan, scenario
from traffic import Download

SHAPE = {'clients': 6, 'connectors': 3, 'workers': 2, 'outer': 4, 'mode': 'tun', 'preserve': True}


def without(j):
    return [k for k in (1, 2, 3) if k != j]


def test_rolling_restart(lab):
    """Downloads that last longer than the whole roll go on, from replica to replica; no request fails."""
    load, downloads, began = Load(lab), Downloads(lab), time.monotonic()
    downloads.begin(30, '1M.bin', '50k')
    time.sleep(1)
    ended = roll(lab, downloads, lambda d: None, before=lambda j: scenario.return_routes(lab.lab, without(j)),
                 after=lambda j: scenario.return_routes(lab.lab, (1, 2, 3)))
    took, running = time.monotonic() - began, downloads.alive()
    count, wrong = downloads.finish()
    requests, failed = load.stop()
    lab.note(f'rolling restart of 3, tun and preserve-source: {took:.1f} s with {requests} HTTPS requests, {len(failed)} failed; {running} of '
             f'{count} downloads still ran at its end, {len(wrong)} were cut; each connector ended after '
             f'{", ".join(f"{s:.1f}" for s in ended)} s')
    assert running >= 20, 'the downloads last longer than the roll'
    assert failed == [] and wrong == []


def test_a_download_outlives_a_killed_replica(lab):
    """Nobody says goodbye: the edge notices, the client's acknowledgments go over another replica."""
    download = Download(lab, 'client1', plan.ORIGIN_V4, '10M.bin', '2M')
    lab.wait('the download runs', lambda: download.size() > 1 << 20)

    def carriers():  # the short requests of the test before are still in the table: all of it is asked for
        flows = lab.ctl('show', 'flows', '--client', 'client1', '--limit', '10000')['flows']
        return sorted((f['bytes_down'], f['connector_id']) for f in flows if f['dport'] == 80 and f['bytes_down'] > 1 << 20)
    lab.wait('its flow is in the table', carriers)
    carrier = carriers()[-1][1]
    j = next(k for k in (1, 2, 3) if carrier in lab.sh(f'conn{k}', 'curl', '-s', f'http://127.0.0.1:{plan.METRICS_PORT}/ready'))
    lab.kill(f'connector{j}')
    scenario.return_routes(lab.lab, without(j))
    status, digest, took = download.finish()
    lab.note(f'kill -9 of the replica that carries a 10 MB download (tun, preserve-source): curl {status} after {took:.1f} s')
    assert (status, digest) == (0, lab.digest_of('10M.bin'))
    lab.start(f'connector{j}')
