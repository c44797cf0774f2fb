#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""HTTPS requests with a client certificate, each on a new connection, until SIGTERM: httpsload.py HOST PORT CA CERT KEY CONCURRENCY.

Prints one JSON document at the end: {"requests": n, "failed": [[seconds since the start, "why"], …], "longest_s": s}.
"""
import asyncio
import json
import signal
import ssl
import sys
import time

REQUEST = b'GET /version HTTP/1.1\r\nHost: origin\r\nConnection: close\r\n\r\n'


async def one(host, port, context):
    reader, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=host)
    try:
        writer.write(REQUEST)
        answer = await reader.read()
        if b' 200 ' not in answer.split(b'\r\n')[0] or b'gitVersion' not in answer:
            raise OSError('not the answer')
    finally:
        writer.close()


async def main():
    host, port, ca, cert, key, concurrency = sys.argv[1:7]
    context = ssl.create_default_context(cafile=ca)
    context.load_cert_chain(cert, key)
    ended, began = asyncio.Event(), time.monotonic()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    result = {'requests': 0, 'failed': [], 'longest_s': 0.0}

    async def loop():
        while not ended.is_set():
            start = time.monotonic()
            result['requests'] += 1
            try:
                await asyncio.wait_for(one(host, int(port), context), 10)
            except (OSError, asyncio.TimeoutError, ssl.SSLError) as e:
                result['failed'].append([round(start - began, 2), type(e).__name__ + ' ' + str(e)])
            result['longest_s'] = max(result['longest_s'], time.monotonic() - start)
            await asyncio.sleep(0.01)

    await asyncio.gather(*(loop() for _ in range(int(concurrency))))
    print(json.dumps(result))


asyncio.run(main())
