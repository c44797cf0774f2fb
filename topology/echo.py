#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A TCP and UDP echo on port 7, IPv4 and IPv6: what the lab's origin answers with."""
import asyncio
import socket


class UdpEcho(asyncio.DatagramProtocol):
    """Sends each datagram back to where it came from."""

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.transport.sendto(data, addr)


async def tcp_echo(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def main():
    loop = asyncio.get_running_loop()
    servers = []
    for family, address in ((socket.AF_INET, '0.0.0.0'), (socket.AF_INET6, '::')):
        servers.append(await asyncio.start_server(tcp_echo, address, 7, family=family))
        sock = socket.socket(family, socket.SOCK_DGRAM)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.bind((address, 7))
        servers.append(await loop.create_datagram_endpoint(UdpEcho, sock=sock))
    await asyncio.Event().wait()


asyncio.run(main())
