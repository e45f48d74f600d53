import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { type AddressInfo, createConnection, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { TcpError } from "../../src/errors.ts";
import type { Tcp, TcpListener, TcpTls } from "../../src/runtime/tcp.ts";
import {
  AUTHORITY,
  CLIENT_CERT,
  CLIENT_KEY,
  OTHER_AUTHORITY,
  SERVER_CERT,
  SERVER_KEY,
  STRANGER_CERT,
  STRANGER_KEY,
} from "../support/certificate.ts";
import { type Conduct, dial, type Side, side, withPair } from "../support/tcp_side.ts";
import { assertEcho, assertHeard, assertPrompt, BYTE, digest, ECHO } from "./tcp_checks.ts";

const MIB = 1024 * 1024;
const LOCAL = { hostname: "127.0.0.1", port: 0 };
const SERVER: TcpTls = { cert: SERVER_CERT, key: SERVER_KEY };
const CLIENT: TcpTls = { ca: AUTHORITY };
const TLS = { client: CLIENT, server: SERVER };

/** What every TCP adapter must do when it speaks TLS. */
export function testTcpTls(name: string, tcp: Tcp): void {
  testTlsBytes(name, tcp);
  testTlsTrust(name, tcp);
  testTlsHandshake(name, tcp);
}

function testTlsBytes(name: string, tcp: Tcp): void {
  test(`${name} echoes 4 MiB over TLS`, async () => {
    await withPair(tcp, { server: ECHO, tls: TLS }, assertEcho);
  });

  test(`${name} sends 16 MiB of one write over TLS, then drains`, async () => {
    const sent = randomBytes(16 * MIB);
    await withPair(tcp, { tls: TLS }, async ({ client, server }) => {
      strictEqual(client.connection.write(sent), false);
      await client.drained;
      strictEqual(client.connection.queuedBytes, 0);
      await server.receives(sent.byteLength);
      strictEqual(digest(server.received), digest(sent));
    });
  });

  test(`${name} sends a small write over TLS at once`, async () => {
    const server: Conduct = {
      data: (side) => void (side.receivedBytes % 2 === 0 && side.connection.write(BYTE)),
    };
    await withPair(tcp, { server, tls: TLS }, assertPrompt);
  });

  test(`${name} lets a peer answer after this side's end over TLS`, async () => {
    const client: Conduct = { eof: () => {} };
    const server: Conduct = {
      eof: ({ connection, receivedBytes }) => {
        connection.write(new Uint8Array(receivedBytes * 8));
        connection.close();
      },
    };
    await withPair(tcp, { client, server, tls: TLS }, async ({ client, server }) => {
      client.connection.write(new Uint8Array(MIB));
      client.connection.shutdown();
      await Promise.all([
        assertHeard(client, "data", "eof", "end"),
        assertHeard(server, "data", "eof", "end"),
      ]);
      deepStrictEqual([server.receivedBytes, client.receivedBytes], [MIB, 8 * MIB]);
    });
  });

  test(`${name} sends what is queued before close() over TLS`, async () => {
    await withPair(tcp, { tls: TLS }, async ({ client, server }) => {
      client.connection.write(new Uint8Array(8 * MIB));
      client.connection.close();
      await Promise.all([assertHeard(client, "end"), assertHeard(server, "data", "end")]);
      strictEqual(server.receivedBytes, 8 * MIB);
    });
  });

  test(`${name} ends once when closed or destroyed inside open over TLS`, async () => {
    const close: Conduct = { open: ({ connection }) => connection.close() };
    // A client that is destroyed that early may never be accepted.
    const destroy: Conduct = { open: ({ connection }) => connection.destroy() };
    for (const [client, server] of [[close, close], [close, destroy]] as const) {
      await withPair(tcp, { client, server, tls: TLS }, async (pair) => {
        await Promise.all([assertHeard(pair.client, "end"), assertHeard(pair.server, "end")]);
      });
    }
  });

  test(`${name} destroys at once over TLS, though the peer does not read`, async () => {
    await withPair(tcp, { tls: TLS }, async ({ client }) => {
      client.connection.write(new Uint8Array(32 * MIB));
      client.connection.destroy();
      strictEqual(client.connection.queuedBytes, 0);
      await assertHeard(client, "end");
    });
  });
}

function testTlsTrust(name: string, tcp: Tcp): void {
  const trust: readonly (readonly [what: string, trusted: boolean, tls: TcpTls])[] = [
    ["the name asked for", true, { ca: AUTHORITY, serverName: "node.chorus.test" }],
    ["another name", false, { ca: AUTHORITY, serverName: "other.chorus.test" }],
    ["an authority that did not sign", false, { ca: OTHER_AUTHORITY }],
    ["the system's authorities", false, {}],
  ];
  for (const [what, trusted, tls] of trust) {
    test(`${name} ${trusted ? "trusts" : "refuses"} a server by ${what}`, async () => {
      await withTlsListener(tcp, SERVER, async (listener) => {
        const dialled = dial(tcp, listener.port, {}, tls);
        if (trusted) (await dialled).connection.destroy();
        else await rejects(dialled, { name: "TcpError", code: "tls_failed" });
      });
    });
  }

  const mutual: TcpTls = { ...SERVER, ca: AUTHORITY, requireClientCert: true };

  test(`${name} lets in a client with a certificate of the authority`, async () => {
    const client = { ca: AUTHORITY, cert: CLIENT_CERT, key: CLIENT_KEY, serverName: "localhost" };
    await withPair(tcp, { server: ECHO, tls: { client, server: mutual } }, async ({ client }) => {
      client.connection.write(BYTE);
      await client.receives(1);
    });
  });

  const uninvited = {
    "without a certificate": CLIENT,
    "with a stranger's certificate": { ...CLIENT, cert: STRANGER_CERT, key: STRANGER_KEY },
  };
  for (const [who, tls] of Object.entries(uninvited)) {
    test(`${name} keeps out a client ${who}`, async () => {
      await withTlsListener(tcp, mutual, async (listener, accepted) => {
        await refusal(tcp, listener.port, tls);
        strictEqual(accepted.length, 0);
      });
    });
  }
}

// With TLS 1.3 a client takes itself for connected before the server has looked at its certificate.
async function refusal(tcp: Tcp, port: number, tls: TcpTls): Promise<void> {
  try {
    const client = await dial(tcp, port, {}, tls);
    client.connection.write(BYTE);
    await client.ended;
  } catch (error) {
    ok(error instanceof TcpError);
  }
}

function testTlsHandshake(name: string, tcp: Tcp): void {
  test(`${name} drops a client in the midst of its TLS handshake when the listener closes`, async () => {
    await withTlsListener(tcp, SERVER, async (listener) => {
      const start = performance.now();
      let silent: Socket | undefined;
      const gone = breakHandshake(listener.port, (socket) => silent = socket);
      // Whoever is through later was accepted later.
      const { connection, ended } = await dial(tcp, listener.port, {}, CLIENT);
      strictEqual(silent?.destroyed, false);
      await listener.close();
      await gone;
      ok(performance.now() - start < 5_000);
      strictEqual(await Promise.race([ended.then(() => "ended"), "open"]), "open");
      connection.destroy();
    });
  });

  test(`${name} counts the TLS handshake in the time limit`, async () => {
    await withPlainServer(() => {}, async (port) => {
      const options = { timeoutMs: 200, tls: CLIENT };
      await rejects(tcp.connect({ ...LOCAL, port }, options, side()), { code: "timed_out" });
    });
  });

  const answers: Readonly<Record<string, (socket: Socket) => void>> = {
    "speaks something else": (socket) => void socket.write("HTTP/1.1 400 Bad Request\r\n\r\n"),
    "closes": (socket) => void socket.end(),
    "resets": (socket) => void socket.resetAndDestroy(),
  };
  for (const [what, answer] of Object.entries(answers)) {
    test(`${name} rejects when the server ${what} in the TLS handshake`, async () => {
      await withPlainServer((socket) => socket.once("data", () => answer(socket)), async (port) => {
        await rejects(dial(tcp, port, {}, CLIENT), {
          name: "TcpError",
          code: /^(tls_failed|reset)$/,
        });
      });
    });
  }

  test(`${name} goes on listening after clients that break the TLS handshake`, async () => {
    await withTlsListener(tcp, SERVER, async (listener, accepted) => {
      const silent = createConnection(listener.port, "127.0.0.1").on("error", () => {});
      await breakHandshake(listener.port, (socket) => socket.end("garbage garbage garbage\r\n"));
      await breakHandshake(listener.port, (socket) => socket.end());
      await breakHandshake(listener.port, (socket) => socket.resetAndDestroy());
      await rejects(dial(tcp, listener.port, {}, { ca: OTHER_AUTHORITY }), { code: "tls_failed" });
      strictEqual(accepted.length, 0);
      const client = await dial(tcp, listener.port, {}, CLIENT);
      client.connection.write(BYTE);
      await client.receives(1);
      strictEqual(accepted.length, 1);
      client.connection.destroy();
      silent.destroy();
    });
  });

  const useless: Readonly<Record<string, TcpTls>> = {
    "a certificate that is none": { cert: "no certificate", key: SERVER_KEY },
    "a key that is none": { cert: SERVER_CERT, key: "no key" },
    "a key of another certificate": { cert: SERVER_CERT, key: CLIENT_KEY },
  };
  for (const [what, tls] of Object.entries(useless)) {
    test(`${name} refuses to listen and to connect with ${what}`, async () => {
      await rejects(tcp.listen(LOCAL, { tls }, side()), {
        name: "TcpError",
        code: "tls_failed",
        message: /^Cannot listen on 127\.0\.0\.1:0: /,
      });
      await withTlsListener(tcp, SERVER, async ({ port }) => {
        await rejects(dial(tcp, port, {}, { ...CLIENT, ...tls }), {
          name: "TcpError",
          code: "tls_failed",
        });
      });
    });
  }
}

async function withTlsListener(
  tcp: Tcp,
  tls: TcpTls,
  body: (listener: TcpListener, accepted: readonly Side[]) => Promise<void>,
): Promise<void> {
  const accepted: Side[] = [];
  const listener = await tcp.listen(LOCAL, { tls }, side(ECHO, (made) => accepted.push(made)));
  try {
    await body(listener, accepted);
  } finally {
    for (const { connection } of accepted) connection.destroy();
    await listener.close();
  }
}

async function withPlainServer(
  onSocket: (socket: Socket) => void,
  body: (port: number) => Promise<void>,
): Promise<void> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket.on("error", () => {}));
    onSocket(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await body((server.address() as AddressInfo).port);
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}

function breakHandshake(port: number, act: (socket: Socket) => void): Promise<void> {
  return new Promise((resolve) => {
    const socket = createConnection(port, "127.0.0.1", () => act(socket));
    socket.on("error", () => {}).once("close", () => resolve()).resume();
  });
}
