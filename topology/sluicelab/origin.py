# SPDX-License-Identifier: BSD-3-Clause
"""The private side: a stock nginx that demands client certificates like an API server, plain HTTP, and an echo."""
import hashlib
import os
import sys

from . import plan
from .net import in_ns, run
from .procs import start, wait_until

VERSION = ('{"major": "1", "minor": "30", "gitVersion": "v1.30.0", "gitCommit": "7c48c2bd72b9bf5c44d21d7338cc7bea77d0ad2a", '
           '"gitTreeState": "clean", "buildDate": "2024-04-17T17:27:03Z", "goVersion": "go1.22.2", "compiler": "gc", '
           '"platform": "linux/amd64"}')

NGINX = '''
daemon off;
user root;
worker_processes 1;
pid {state}/origin/nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
    access_log {state}/origin/access.log;
    default_type application/octet-stream;
    sendfile on;
    keepalive_timeout 75;
    client_max_body_size 0;
    client_body_temp_path {state}/origin/tmp;
    proxy_temp_path {state}/origin/tmp;
    fastcgi_temp_path {state}/origin/tmp;
    uwsgi_temp_path {state}/origin/tmp;
    scgi_temp_path {state}/origin/tmp;
    server {{
        listen 80;
        listen [::]:80;
        root {state}/origin/www;
        location = / {{ default_type text/plain; return 200 "origin over plain HTTP\\n"; }}
        location /upload/ {{ dav_methods PUT DELETE; create_full_put_path on; }}
    }}
    server {{
        listen 6443 ssl;
        listen [::]:6443 ssl;
        ssl_certificate {state}/pki/server.pem;
        ssl_certificate_key {state}/pki/server.key;
        ssl_client_certificate {state}/pki/ca.pem;
        ssl_verify_client on;
        ssl_protocols TLSv1.2 TLSv1.3;
        root {state}/origin/www;
        location = /version {{ default_type application/json; return 200 '{version}'; }}
        location = /whoami {{ default_type text/plain; return 200 "$ssl_client_s_dn from $remote_addr\\n"; }}
        location /upload/ {{ dav_methods PUT DELETE; create_full_put_path on; }}
    }}
}}
'''

# name, bytes: what tests download; 100M.bin is there for the throughput tests.
FILES = {'1M.bin': 1 << 20, '10M.bin': 10 << 20, '100M.bin': 100 << 20}


def openssl(*args):
    run(['openssl', *args])


def make_certificates(lab):
    """A CA of the cluster, a server certificate for the origin's addresses, a client certificate for a person."""
    def path(name):
        return lab.path('pki', name)

    def extensions(name, text):
        with open(path(name), 'w', encoding='ascii') as f:
            f.write(text)
        return path(name)

    def request(name, subject):
        openssl('req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout',
                path(f'{name}.key'), '-out', path(f'{name}.csr'), '-subj', subject)

    def sign(name, ext):
        openssl('x509', '-req', '-in', path(f'{name}.csr'), '-CA', path('ca.pem'), '-CAkey', path('ca.key'),
                '-CAcreateserial', '-days', '30', '-extfile', ext, '-out', path(f'{name}.pem'))

    openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '30',
            '-keyout', path('ca.key'), '-out', path('ca.pem'), '-subj', '/CN=lab cluster CA',
            '-addext', 'keyUsage=critical,keyCertSign,cRLSign')
    request('server', '/CN=kube-apiserver')
    sign('server', extensions('server.ext', 'basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\n'
                              'extendedKeyUsage=serverAuth\n'
                              f'subjectAltName=IP:{plan.ORIGIN_V4},IP:{plan.ORIGIN_V6}\n'))
    request('client', '/O=engineers/CN=ana')
    sign('client', extensions('client.ext', 'basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\n'
                              'extendedKeyUsage=clientAuth\n'))


def make_files(lab):
    """Random files to download, each with its SHA-256 beside it."""
    www = lab.path('origin', 'www')
    os.makedirs(os.path.join(www, 'upload'), exist_ok=True)
    for name, size in FILES.items():
        digest = hashlib.sha256()
        with open(os.path.join(www, name), 'wb') as f:
            for offset in range(0, size, 1 << 20):
                block = os.urandom(min(1 << 20, size - offset))
                digest.update(block)
                f.write(block)
        with open(os.path.join(www, f'{name}.sha256'), 'w', encoding='ascii') as f:
            f.write(digest.hexdigest() + '\n')


def prepare(lab):
    os.makedirs(lab.path('origin', 'tmp'), exist_ok=True)
    os.makedirs(lab.path('pki'), mode=0o700, exist_ok=True)
    make_certificates(lab)
    make_files(lab)
    with open(lab.path('origin', 'nginx.conf'), 'w', encoding='ascii') as f:
        f.write(NGINX.format(state=lab.state, version=VERSION))


def start_origin(lab):
    start(lab, 'origin', 'origin', ['nginx', '-p', lab.path('origin'), '-c', lab.path('origin', 'nginx.conf'),
                                    '-e', 'stderr'])
    for port in (80, plan.API_PORT):
        wait_until(lab, f'the origin listens on port {port}', lambda port=port: listens(lab, 'origin', port, 't'),
                   alive='origin')


def start_echo(lab):
    start(lab, 'echo', 'origin', [sys.executable, os.path.join(plan.TOPOLOGY, 'echo.py')])
    for proto in 'tu':
        wait_until(lab, 'the echo listens on port 7', lambda proto=proto: listens(lab, 'origin', 7, proto),
                   alive='echo')


def listens(lab, node, port, proto):
    return bool(run(in_ns(lab, node, ['ss', f'-Hln{proto}', f'sport = :{port}'])).strip())
