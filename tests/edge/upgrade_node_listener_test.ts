import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import type { EdgeSettings } from "../../src/edge/client_socket.ts";
import type { EdgeListenOptions, FetchHandler } from "../../src/edge/listener.ts";
import { ClusterError } from "../../src/errors.ts";
import { SERVER_CERT, SERVER_KEY } from "../support/certificate.ts";
import { Guests, QUICK_SETTINGS } from "../support/guest.ts";
import { type NodeWay, openListener } from "../support/node_way.ts";
import { RawClient } from "../support/raw_client.ts";

interface Scene extends NodeWay {
  readonly guests: Guests;
}

async function withListener(
  options: Partial<EdgeListenOptions>,
  run: (scene: Scene) => Promise<void>,
  settings: EdgeSettings = QUICK_SETTINGS,
): Promise<void> {
  const guests = new Guests();
  const way = await openListener(settings, () => guests, options);
  try {
    await run({ ...way, guests });
  } finally {
    await way.stop();
  }
}

/** Sends raw bytes and gives all that comes back until the server ends it. */
function exchange(port: number, ...parts: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    const socket: Socket = connect(port, "127.0.0.1");
    let answer = "";
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => answer += chunk);
    socket.on("error", () => {});
    socket.on("end", () => socket.end());
    socket.on("close", () => resolve(answer));
    socket.on("connect", async () => {
      for (const part of parts) {
        await new Promise<void>((done) => socket.write(part, () => done()));
        await new Promise((done) => setImmediate(done));
      }
    });
  });
}

const ANSWERS: FetchHandler = async (request) => {
  const { pathname } = new URL(request.url);
  if (pathname === "/fail") throw new Error("secret detail");
  if (pathname === "/echo") return new Response(`${request.method} ${await request.text()}`);
  if (pathname === "/headers") {
    const headers = new Headers({ "X-Got": request.headers.get("x-sent") ?? "" });
    headers.append("Set-Cookie", "a=1");
    headers.append("Set-Cookie", "b=2");
    return new Response(null, { status: 204, headers });
  }
  if (pathname === "/stream") return new Response(countDown(200));
  return undefined;
};

function countDown(count: number): ReadableStream<Uint8Array> {
  return new ReadableStream({
    pull: (controller) => {
      if (count-- === 0) controller.close();
      else controller.enqueue(new Uint8Array(10_000).fill(120));
    },
  });
}

test("listenOnNode() answers plain requests with the handler", async () => {
  await withListener({ fetch: ANSWERS }, async ({ port }) => {
    const base = `http://127.0.0.1:${port}`;
    const post = { method: "POST", body: "é".repeat(400_000) };
    strictEqual(await (await fetch(`${base}/echo`)).text(), "GET ");
    strictEqual(await (await fetch(`${base}/echo`, post)).text(), `POST ${post.body}`);
    const answer = await fetch(`${base}/headers`, { headers: { "X-Sent": "value" } });
    strictEqual(answer.status, 204);
    strictEqual(answer.headers.get("x-got"), "value");
    deepStrictEqual(answer.headers.getSetCookie(), ["a=1", "b=2"]);
    strictEqual((await (await fetch(`${base}/stream`)).text()).length, 2_000_000);
  });
});

const STATUSES: readonly (readonly [request: string, status: number])[] = [
  ["GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n", 404],
  ["GET /fail HTTP/1.1\r\nHost: a\r\n\r\n", 500],
  ["GET http://other/echo HTTP/1.1\r\nHost: a\r\n\r\n", 200],
  ["HEAD /echo HTTP/1.1\r\nHost: a\r\n\r\n", 200],
  ["OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["GET /echo HTTP/1.1\r\n\r\n", 400],
  [
    `POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n${"x".repeat(2_000_000)}`,
    413,
  ],
  ["POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n", 413],
  ["TRACE /echo HTTP/1.1\r\nHost: a\r\n\r\n", 501],
  ["GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["\x16\x03\x01\x02\x00\x01\x00", 400],
  ["nonsense\r\n\r\n", 400],
];

for (const [request, status] of STATUSES) {
  const name = JSON.stringify(request.slice(0, 40));
  test(`listenOnNode() answers ${name} with ${status}, and closes`, async () => {
    await withListener({ fetch: ANSWERS }, async ({ port }) => {
      const answer = await exchange(port, request);
      match(answer, new RegExp(`^HTTP/1\\.1 ${status} `));
      ok(!answer.includes("secret detail"));
      strictEqual((await fetch(`http://127.0.0.1:${port}/echo`)).status, 200);
    });
  });
}

test("listenOnNode() answers 404 where there is no handler", async () => {
  await withListener({}, async ({ port }) => {
    strictEqual((await fetch(`http://127.0.0.1:${port}/`)).status, 404);
  });
});

test("listenOnNode() counts a handler that fails", async () => {
  await withListener({ fetch: ANSWERS }, async ({ port, upgrades }) => {
    await (await fetch(`http://127.0.0.1:${port}/fail`)).text();
    strictEqual(upgrades.counters.failures, 1);
  });
});

const UPGRADE = "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
const ACCEPTED = /^HTTP\/1\.1 101 [^]*Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n/;
// A masked close frame without a code, after which the server ends the connection.
const GOODBYE = "\x88\x80\0\0\0\0";

const UPGRADES: readonly (readonly [what: string, ...parts: string[]])[] = [
  ["in one piece", `${UPGRADE}\r\n`],
  ["in many pieces", ...`${UPGRADE}\r\n`.split(/(?<=\n|e)/)],
  ["with its scheme in the target", `${UPGRADE}\r\n`.replace("/chat", "http://a/chat")],
  ["with bytes beyond ASCII", `${UPGRADE}X-Name: é\r\n\r\n`],
];

for (const [what, ...parts] of UPGRADES) {
  test(`listenOnNode() accepts an upgrade ${what}`, async () => {
    await withListener({}, async ({ port, guests }) => {
      const answering = exchange(port, ...parts);
      const guest = await guests.at(0);
      guest.socket.close(1000, "");
      match(await answering, ACCEPTED);
      await guest.ended;
    });
  });
}

test("listenOnNode() refuses an upgrade with a body, or with two hosts", async () => {
  await withListener({}, async ({ port, guests }) => {
    for (const header of ["Host: b", "Content-Length: 6", "Transfer-Encoding: chunked"]) {
      for (const more of ["", "X-Name: é\r\n"]) {
        const answer = await exchange(port, `${UPGRADE}${header}\r\n${more}\r\n${GOODBYE}`);
        match(answer, /^HTTP\/1\.1 400 /, `${header} ${more}`);
      }
    }
    strictEqual(guests.all.length, 0);
  });
});

const PLAIN = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";

for (const [what, next] of [["a plain one", PLAIN], ["an upgrade", `${UPGRADE}\r\n`]] as const) {
  test(`listenOnNode() answers the first of two requests alone, before ${what}`, async () => {
    let count = 0;
    const fetch: FetchHandler = (request) => {
      count++;
      return ANSWERS(request);
    };
    await withListener({ fetch }, async ({ port, guests }) => {
      match(await exchange(port, PLAIN + next), /^HTTP\/1\.1 200 (?:(?!HTTP)[^])*POST x/);
      deepStrictEqual([count, guests.all.length], [1, 0]);
    });
  });
}

const SILENCES: readonly (readonly [what: string, sent: string])[] = [
  ["says nothing", ""],
  ["never ends its head", "GET / HTTP/1.1\r\nHost: a\r\n"],
  ["never ends the head of an upgrade", UPGRADE],
  ["never ends its body", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345"],
];

for (const [what, sent] of SILENCES) {
  test(`listenOnNode() drops a client that ${what}`, async () => {
    const settings = { ...QUICK_SETTINGS, handshakeTimeoutMs: 100 };
    await withListener({ fetch: ANSWERS }, async ({ port, guests }) => {
      strictEqual((await exchange(port, sent)).includes("200"), false);
      strictEqual(guests.all.length, 0);
    }, settings);
  });
}

test("listenOnNode() gives a handler the time that it needs", async () => {
  const slow: FetchHandler = async () => {
    await new Promise((resolve) => setTimeout(resolve, 150));
    return new Response("done");
  };
  const settings = { ...QUICK_SETTINGS, handshakeTimeoutMs: 50 };
  await withListener({ fetch: slow }, async ({ port }) => {
    strictEqual(await (await fetch(`http://127.0.0.1:${port}/`)).text(), "done");
  }, settings);
});

test("listenOnNode() asks a handler for no more than its client reads", async () => {
  let pulledBytes = 0;
  let cancel = (): void => {};
  const isCancelled = new Promise<void>((resolve) => cancel = resolve);
  const endless: FetchHandler = () =>
    new Response(
      new ReadableStream({
        pull: (controller) => {
          controller.enqueue(new Uint8Array(65_536));
          pulledBytes += 65_536;
        },
        cancel: () => cancel(),
      }),
    );
  await withListener({ fetch: endless }, async ({ port }) => {
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => {});
    socket.pause();
    socket.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let before = 0;
    for (let calmTurns = 0; calmTurns < 300; before = pulledBytes) {
      await new Promise((resolve) => setImmediate(resolve));
      calmTurns = pulledBytes === before && pulledBytes > 0 ? calmTurns + 1 : 0;
      ok(pulledBytes < 100_000_000, "more and more");
    }
    socket.destroy();
    await isCancelled;
  });
});

test("listenOnNode() says why it cannot listen", async () => {
  await withListener({}, async ({ port }) => {
    const again = openListener(QUICK_SETTINGS, () => ({ status: 403, reason: "" }), { port });
    await rejects(again, (error: Error) => {
      ok(error instanceof ClusterError);
      strictEqual(error.code, "listen_failed");
      match(
        error.message,
        new RegExp(`^Cannot listen on 127\\.0\\.0\\.1:${port}: the port is in use`),
      );
      return true;
    });
  });
});

test("listenOnNode() frees its port and keeps its clients when the listener is closed", async () => {
  await withListener({}, async ({ upgrades }) => {
    const listener = await upgrades.listen({ hostname: "127.0.0.1", port: 0 });
    const client = await RawClient.connect({ port: listener.port });
    await listener.close();
    await listener.close();
    client.text("still here");
    strictEqual(await client.nextText(), "still here");
    await rejects(RawClient.connect({ port: listener.port }));
    const again = await upgrades.listen({ hostname: "127.0.0.1", port: listener.port });
    strictEqual(again.port, listener.port);
    await again.close();
    client.destroy();
  });
});

test("listenOnNode() speaks TLS, and survives those who do not", async () => {
  const tls = { cert: SERVER_CERT, key: SERVER_KEY };
  const urls: string[] = [];
  const guests = new Guests();
  const admit = ({ url }: { readonly url: string }): Guests => {
    urls.push(url);
    return guests;
  };
  const way = await openListener(QUICK_SETTINGS, admit, { tls, fetch: ANSWERS });
  const { port } = way;
  strictEqual((await exchange(port, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")).includes("200"), false);
  const client = await RawClient.connect({ port, tls: true });
  client.text("a".repeat(100_000));
  strictEqual((await client.nextText()).length, 100_000);
  deepStrictEqual(urls, [`https://127.0.0.1:${port}/`]);
  client.close(4000, "bye");
  deepStrictEqual(await (await guests.at(0)).ended, { code: 4000, reason: "bye" });
  await way.stop();
});

test("listenOnNode() drops a client whose TLS handshake takes too long", async () => {
  const tls = { cert: SERVER_CERT, key: SERVER_KEY };
  const settings = { ...QUICK_SETTINGS, handshakeTimeoutMs: 100 };
  await withListener({ tls }, async ({ port }) => {
    for (const bytes of ["", "\x16\x03\x01\x00\xa5"]) {
      const socket = connect(port, "127.0.0.1").resume();
      socket.on("error", () => {}).write(bytes, "latin1");
      await new Promise((resolve) => socket.once("close", resolve));
    }
  }, settings);
});
