# SPDX-License-Identifier: BSD-3-Clause
"""The Kubernetes manifests keep the scenario's shape, and the connector accepts the config file in them."""
import base64
import json
import os
import subprocess

import pytest
from sluicelab.plan import TOP, Lab, LabError

yaml = pytest.importorskip('yaml')


@pytest.fixture(scope='module')
def documents():
    with open(os.path.join(TOP, 'docs/deploy/connector.yaml'), encoding='utf-8') as f:
        return {d['kind']: d for d in yaml.safe_load_all(f)}


def test_the_deployment_has_the_scenarios_shape(documents):
    spec = documents['Deployment']['spec']
    assert spec['replicas'] == 3 and spec['strategy']['rollingUpdate'] == {'maxSurge': 0, 'maxUnavailable': 1}
    pod = spec['template']['spec']
    box = pod['containers'][0]
    assert box['args'] == ['tunnel', '--config', '/opt/zt/config/config.yaml', 'run']
    assert box['livenessProbe']['httpGet'] == {'path': '/ready', 'port': 8081} == box['readinessProbe']['httpGet']
    assert box['resources']['limits'] == {'cpu': '1', 'memory': '100Mi'}
    assert box['ports'] == [{'containerPort': 8081, 'name': 'http-metrics'}]
    assert pod['terminationGracePeriodSeconds'] > 30
    mounted = {m['name']: m['mountPath'] for m in box['volumeMounts']}
    assert mounted == {'config': '/opt/zt/config', 'creds': '/opt/zt/creds'}
    volumes = {v['name']: v for v in pod['volumes']}
    assert volumes['creds']['secret']['secretName'] == 'tunnel-creds'
    assert volumes['config']['configMap']['name'] == documents['ConfigMap']['metadata']['name']


def test_one_replica_at_a_time(documents):
    budget, labels = documents['PodDisruptionBudget']['spec'], documents['Deployment']['spec']['template']['metadata']['labels']
    assert budget['maxUnavailable'] == 1 and budget['selector']['matchLabels'] == labels


def test_the_connector_reads_the_configmap(documents, tmp_path):
    """With the scenario's four credentials alone it says what is missing: the whole file was understood."""
    try:
        program = Lab().program('sluice-connector')
    except LabError:
        pytest.skip('sluice-connector is not built')
    config = documents['ConfigMap']['data']['config.yaml']
    creds = tmp_path / 'creds.json'
    creds.write_text(json.dumps({'AccountTag': '0' * 32, 'TunnelID': yaml.safe_load(config)['tunnel'], 'TunnelName': 'k8s',
                                 'TunnelSecret': base64.b64encode(bytes(range(32))).decode()}))
    (tmp_path / 'config.yaml').write_text(config.replace('/opt/zt/creds/creds.json', str(creds)))
    done = subprocess.run([program, 'tunnel', '--config', tmp_path / 'config.yaml', 'run'], capture_output=True, text=True,
                          timeout=20, check=False)
    assert done.returncode == 1 and 'edge-ca' in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
