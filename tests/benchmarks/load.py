"""A light HTTP client for load: raw sockets, requests made beforehand, so that the server is what is measured.

Run as `python load.py PORT CONNECTIONS SECONDS < BODY`; prints `{"per_second", "p50_ms", "p99_ms"}`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time


async def connection(port: int, request: bytes, until: float, latencies: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.perf_counter() < until:
        began = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 202 " not in head[:20]:
            raise RuntimeError(head.decode())
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-l"))
        await reader.readexactly(length)
        latencies.append(time.perf_counter() - began)
    writer.close()


async def main(port: int, connections: int, seconds: float, body: bytes) -> None:
    request = (
        b"POST /api/v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    latencies: list[float] = []
    until = time.perf_counter() + seconds
    await asyncio.gather(*(connection(port, request, until, latencies) for _ in range(connections)))
    latencies.sort()
    print(
        json.dumps(
            {
                "per_second": len(latencies) / seconds,
                "p50_ms": latencies[len(latencies) // 2] * 1000,
                "p99_ms": latencies[len(latencies) * 99 // 100] * 1000,
            }
        )
    )


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.stdin.buffer.read()))
