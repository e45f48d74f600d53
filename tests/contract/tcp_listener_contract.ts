import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { createConnection, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TcpErrorCode } from "../../src/errors.ts";
import type { Tcp, TcpAddress } from "../../src/runtime/tcp.ts";
import { createDeafPort } from "../support/deaf_port.ts";
import { dial, type Side, side, withPair } from "../support/tcp_side.ts";
import { ECHO } from "./tcp_checks.ts";

const LOCAL = { hostname: "127.0.0.1", port: 0 };
const QUICK = { timeoutMs: 300 };
const SLOW = { timeoutMs: 10_000 };
const HAS_IPV6 = await hasIpv6();

/** What every TCP adapter must do when it listens and when it cannot connect. */
export function testTcpListener(name: string, tcp: Tcp): void {
  testRefusals(name, tcp);
  testListening(name, tcp);
  testAddresses(name, tcp);
}

function testRefusals(name: string, tcp: Tcp): void {
  test(`${name} says "refused" when nothing listens`, async () => {
    const listener = await tcp.listen(LOCAL, {}, side());
    await listener.close();
    const address = { ...LOCAL, port: listener.port };
    await rejects(tcp.connect(address, SLOW, side()), {
      name: "TcpError",
      code: "refused",
      message: new RegExp(`^Cannot connect to 127\\.0\\.0\\.1:${listener.port}: `),
    });
  });

  test(`${name} says "refused" when a Unix socket's path is not there`, async () => {
    await rejects(tcp.connect({ path: socketPath() }, SLOW, side()), isError("refused"));
  });

  test(`${name} says "name_unknown" for a host without an address`, async () => {
    const address = { hostname: "no.such.host.invalid", port: 1 };
    await rejects(tcp.connect(address, SLOW, side()), isError("name_unknown"));
  });

  test(`${name} says "timed_out" when no answer comes, at the time limit`, async () => {
    const deaf = await createDeafPort();
    const start = performance.now();
    await rejects(
      tcp.connect({ ...LOCAL, port: deaf.port }, QUICK, side()),
      isError("timed_out"),
    );
    const tookMs = performance.now() - start;
    ok(tookMs >= 290 && tookMs < 2_000);
    await deaf.close();
  });

  test(`${name} takes back a dial at once, and says so`, async () => {
    const deaf = await createDeafPort();
    const start = performance.now();
    const abort = new AbortController();
    const { signal } = abort;
    const dialled = tcp.connect({ ...LOCAL, port: deaf.port }, { ...SLOW, signal }, side());
    abort.abort();
    await rejects(dialled, isError("cancelled"));
    const again = tcp.connect({ ...LOCAL, port: deaf.port }, { ...SLOW, signal }, side());
    await rejects(again, isError("cancelled"));
    ok(performance.now() - start < 1_000);
    await deaf.close();
  });

  test(`${name} keeps a connection whose dial is taken back too late`, async () => {
    const listener = await tcp.listen(LOCAL, {}, side(ECHO));
    const abort = new AbortController();
    const made: Side[] = [];
    const open = side({}, (opened) => made.push(opened));
    await tcp.connect({ ...LOCAL, port: listener.port }, { ...SLOW, signal: abort.signal }, open);
    abort.abort();
    made[0]!.connection.write(Uint8Array.of(1));
    await made[0]!.receives(1);
    made[0]!.connection.destroy();
    await listener.close();
  });

  test(`${name} says "address_in_use" for a port that is taken`, async () => {
    const listener = await tcp.listen(LOCAL, {}, side());
    const address = { ...LOCAL, port: listener.port };
    await rejects(tcp.listen(address, {}, side()), {
      name: "TcpError",
      code: "address_in_use",
      message: new RegExp(`^Cannot listen on 127\\.0\\.0\\.1:${listener.port}: `),
    });
    await listener.close();
  });

  test(`${name} says "address_not_available" for an address of another machine`, async () => {
    const address = { hostname: "192.0.2.1", port: 0 };
    await rejects(tcp.listen(address, {}, side()), isError("address_not_available"));
  });
}

function isError(code: TcpErrorCode): { readonly name: string; readonly code: string } {
  return { name: "TcpError", code };
}

function testListening(name: string, tcp: Tcp): void {
  test(`${name} frees the port at once and keeps open connections`, async () => {
    await withPair(tcp, { server: ECHO }, async ({ client, listener }) => {
      await listener.close();
      await listener.close();
      const address = { ...LOCAL, port: listener.port };
      await rejects(tcp.connect(address, SLOW, side()), isError("refused"));
      const next = await tcp.listen(address, {}, side());
      strictEqual(next.port, listener.port);
      await next.close();
      client.connection.write(Uint8Array.of(1));
      await client.receives(1);
    });
  });

  test(`${name} serves 1,000 connections at once`, async () => {
    const listener = await tcp.listen(LOCAL, {}, side(ECHO));
    const clients = await Promise.all(
      Array.from({ length: 1_000 }, () => dial(tcp, listener.port)),
    );
    const sent = clients.map((_, index) => Uint8Array.from({ length: 2_000 }, () => index % 251));
    clients.forEach(({ connection }, index) => connection.write(Uint8Array.from(sent[index]!)));
    await Promise.all(clients.map((client) => client.receives(2_000)));
    ok(
      clients.every(({ received }, index) =>
        received.every((byte, at) => byte === sent[index]![at])
      ),
    );
    for (const { connection } of clients) connection.close();
    await Promise.all(clients.map((client) => client.ended));
    await listener.close();
  });

  test(`${name} goes on listening when clients reset before they are accepted`, async () => {
    const listener = await tcp.listen(LOCAL, {}, side(ECHO));
    await Promise.all(Array.from({ length: 50 }, () => resetAtOnce(listener.port)));
    const client = await dial(tcp, listener.port);
    client.connection.write(Uint8Array.of(1));
    await client.receives(1);
    client.connection.destroy();
    await listener.close();
  });
}

function resetAtOnce(port: number): Promise<void> {
  return new Promise((resolve) => {
    const socket = createConnection(port, "127.0.0.1", () => socket.resetAndDestroy());
    socket.on("error", () => {}).once("close", () => resolve());
  });
}

function testAddresses(name: string, tcp: Tcp): void {
  test(`${name} names the peer by address and port`, async () => {
    await withPair(tcp, {}, async ({ client, server, listener }) => {
      strictEqual(client.connection.remoteAddress, `127.0.0.1:${listener.port}`);
      match(server.connection.remoteAddress, /^127\.0\.0\.1:[1-9]\d*$/);
      client.connection.destroy();
      await client.ended;
      strictEqual(client.connection.remoteAddress, `127.0.0.1:${listener.port}`);
    });
  });

  test(`${name} puts an IPv6 peer in brackets`, { skip: !HAS_IPV6 }, async () => {
    const listener = await tcp.listen({ hostname: "::1", port: 0 }, {}, side());
    let client: Side | undefined;
    await tcp.connect(
      { hostname: "::1", port: listener.port },
      SLOW,
      side({}, (made) => client = made),
    );
    strictEqual(client!.connection.remoteAddress, `[::1]:${listener.port}`);
    client!.connection.destroy();
    await listener.close();
  });

  test(`${name} connects by name`, async () => {
    const listener = await tcp.listen({ hostname: "localhost", port: 0 }, {}, side(ECHO));
    const address = { hostname: "localhost", port: listener.port };
    let client: Side | undefined;
    await tcp.connect(address, SLOW, side({}, (made) => client = made));
    client!.connection.destroy();
    await listener.close();
  });

  test(`${name} carries bytes over a Unix socket, whose path is gone afterwards`, async () => {
    const address: TcpAddress = { path: socketPath() };
    const listener = await tcp.listen(address, {}, side(ECHO));
    strictEqual(listener.port, 0);
    let client: Side | undefined;
    await tcp.connect(address, SLOW, side({}, (made) => client = made));
    client!.connection.write(new Uint8Array(4_000_000));
    await client!.receives(4_000_000);
    strictEqual(client!.connection.remoteAddress, "");
    client!.connection.close();
    await client!.ended;
    deepStrictEqual([client!.heard, client!.cause], [["data", "end"], undefined]);
    await listener.close();
    await rejects(tcp.connect(address, SLOW, side()), isError("refused"));
  });
}

function socketPath(): string {
  return join(tmpdir(), `chorus-${randomUUID()}.sock`);
}

function hasIpv6(): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer().once("error", () => resolve(false));
    server.listen(0, "::1", () => server.close(() => resolve(true)));
  });
}
