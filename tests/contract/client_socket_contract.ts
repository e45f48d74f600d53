import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import type { Admit, EdgeSettings } from "../../src/edge/client_socket.ts";
import { Outgoing } from "../../src/edge/client_socket.ts";
import { type Guest, type GuestConduct, Guests, QUICK_SETTINGS } from "../support/guest.ts";
import { encodeRawFrame, OPCODE, RawClient, type RawRefusal } from "../support/raw_client.ts";
import { opaque } from "../support/frame_maker.ts";

/** A server with one way in. */
export interface WayIn {
  /** Where it listens. */
  readonly port: number;
  /** Closes all clients. Resolves when they are gone. */
  close(code: number, reason: string): Promise<void>;
  /** Ends the server. */
  stop(): Promise<void>;
}

/** Opens a server with one way in. */
export type OpenWayIn = (settings: EdgeSettings, admit: Admit) => Promise<WayIn>;

/** What only some ways in can do. */
export interface WayInTraits {
  /** It answers the handshake itself: it may refuse, and chooses the subprotocol. */
  readonly judges: boolean;
  /** It reads frames itself, and says with the code of the RFC what is wrong with them. */
  readonly readsFrames: boolean;
}

interface Scene {
  readonly way: WayIn;
  readonly guests: Guests;
  connect(): Promise<RawClient>;
}

const MIB = 1024 * 1024;

/** What every way in must do. Each runtime runs this against those that it has. */
export function testClientSockets(name: string, open: OpenWayIn, traits: WayInTraits): void {
  testMessages(name, open);
  testEnds(name, open, traits);
  testClosing(name, open, traits);
  testPressure(name, open);
  if (traits.judges) testAdmission(name, open);
}

async function withWay(
  open: OpenWayIn,
  conduct: GuestConduct,
  run: (scene: Scene) => Promise<void>,
  settings: EdgeSettings = QUICK_SETTINGS,
): Promise<void> {
  const guests = new Guests(conduct);
  const clients: RawClient[] = [];
  const way = await open(settings, () => ({ accept: guests.accept }));
  const connect = async (): Promise<RawClient> => {
    const client = await RawClient.connect({ port: way.port });
    clients.push(client);
    return client;
  };
  try {
    await run({ way, guests, connect });
  } finally {
    for (const client of clients) client.destroy();
    await way.stop();
  }
  for (const { log, keepsAll } of guests.all) {
    ok(log.filter((entry) => entry.startsWith("closed")).length <= 1, `closed twice: ${log}`);
    ok(keepsAll, "bytes that the handler owns were changed");
  }
}

function testMessages(name: string, open: OpenWayIn): void {
  test(`${name} carries text and binary messages unchanged`, async () => {
    await withWay(open, {}, async ({ connect }) => {
      const client = await connect();
      for (const text of ["", "a", "é€😀", "\u{feff}\0", "x".repeat(70_000)]) {
        client.text(text);
        strictEqual(await client.nextText(), text);
      }
      for (const length of [0, 1, 125, 126, 65_535, 65_536]) {
        const bytes = Uint8Array.from({ length }, (_, index) => index * 31);
        client.binary(bytes);
        deepStrictEqual(await client.nextBinary(), bytes);
      }
    });
  });

  test(`${name} keeps messages in order, in both directions`, async () => {
    await withWay(open, {}, async ({ connect }) => {
      const client = await connect();
      const sent = Array.from({ length: 2_000 }, (_, index) => `${index}`);
      for (const text of sent) client.text(text);
      for (const text of sent) strictEqual(await client.nextText(), text);
    });
  });

  test(`${name} joins the fragments of a message, and answers pings between them`, async () => {
    await withWay(open, {}, async ({ connect }) => {
      const client = await connect();
      client.frame({ payload: "a", fin: false });
      client.ping("now");
      client.frame({ opcode: OPCODE.continuation, payload: "b" });
      const pong = await client.nextFrame();
      deepStrictEqual([pong.opcode, new TextDecoder().decode(pong.payload)], [OPCODE.pong, "now"]);
      strictEqual(await client.nextText(), "ab");
    });
  });

  test(`${name} writes all that was queued with flush()`, async () => {
    const text = ({ socket }: Guest, value: string): void => {
      if (value === "flush") return socket.flush();
      socket.send(new Outgoing(value));
      socket.send(new Outgoing(opaque(Uint8Array.of(1))));
    };
    await withWay(open, { text }, async ({ connect }) => {
      const client = await connect();
      client.text("a");
      client.text("x".repeat(9_000));
      client.text("flush");
      strictEqual(await client.nextText(), "a");
      deepStrictEqual(await client.nextBinary(), Uint8Array.of(1));
      strictEqual((await client.nextText()).length, 9_000);
      deepStrictEqual(await client.nextBinary(), Uint8Array.of(1));
    });
  });

  test(`${name} sends one message to many clients`, async () => {
    await withWay(open, {}, async ({ connect, guests }) => {
      const clients = await Promise.all(Array.from({ length: 20 }, connect));
      await guests.at(19);
      const message = new Outgoing("to all é");
      for (const { socket } of guests.all) {
        socket.send(message);
        socket.flush();
      }
      for (const client of clients) strictEqual(await client.nextText(), "to all é");
    });
  });

  test(`${name} accepts a message of the limit and closes with 1009 above it`, async () => {
    await withWay(open, {}, async ({ connect, guests }) => {
      const client = await connect();
      client.text("x".repeat(MIB));
      strictEqual((await client.nextText()).length, MIB);
      client.text("x".repeat(MIB + 1));
      strictEqual((await client.closed).code, 1009);
      strictEqual((await (await guests.at(0)).ended).code, 1009);
    });
  });
}

function testEnds(name: string, open: OpenWayIn, traits: WayInTraits): void {
  test(`${name} reports the code and reason of a client that closes, once`, async () => {
    await withWay(open, {}, async ({ connect, guests }) => {
      const client = await connect();
      client.text("a");
      client.close(4001, "bye é");
      deepStrictEqual(await (await guests.at(0)).ended, { code: 4001, reason: "bye é" });
      strictEqual((await client.closed).code, 4001);
      deepStrictEqual((await guests.at(0)).log, ["text a", "closed 4001"]);
    });
  });

  test(`${name} reports 1005 of a client that closes without a code`, async () => {
    await withWay(open, {}, async ({ connect, guests }) => {
      (await connect()).close();
      strictEqual((await (await guests.at(0)).ended).code, 1005);
    });
  });

  test(`${name} reports 1006 of a client that vanishes`, async () => {
    await withWay(open, {}, async ({ connect, guests }) => {
      (await connect()).destroy();
      strictEqual((await (await guests.at(0)).ended).code, 1006);
      (await connect()).end();
      strictEqual((await (await guests.at(1)).ended).code, 1006);
    });
  });

  if (!traits.readsFrames) return;
  const broken: readonly (readonly [what: string, frame: Uint8Array, code: number])[] = [
    ["a frame that is not masked", encodeRawFrame({ mask: null, payload: "x" }), 1002],
    ["a reserved opcode", encodeRawFrame({ opcode: 3 }), 1002],
    ["text that is no UTF-8", encodeRawFrame({ payload: Uint8Array.of(255) }), 1007],
  ];
  for (const [what, frame, code] of broken) {
    test(`${name} closes with ${code} for ${what}, and serves the others`, async () => {
      await withWay(open, {}, async ({ connect, guests }) => {
        const [client, other] = [await connect(), await connect()];
        client.bytes(frame);
        strictEqual((await client.closed).code, code);
        strictEqual((await (await guests.at(0)).ended).code, code);
        other.text("still here");
        strictEqual(await other.nextText(), "still here");
      });
    });
  }
}

function testClosing(name: string, open: OpenWayIn, traits: WayInTraits): void {
  test(`${name} sends what is queued, then the close frame, and reports its own code`, async () => {
    const text = ({ socket }: Guest, value: string): void => {
      socket.send(new Outgoing(value));
      socket.close(1008, "enough é");
    };
    await withWay(open, { text }, async ({ connect, guests }) => {
      const client = await connect();
      client.text("last");
      strictEqual(await client.nextText(), "last");
      deepStrictEqual(await client.closed, { code: 1008, reason: "enough é" });
      deepStrictEqual(await (await guests.at(0)).ended, { code: 1008, reason: "enough é" });
    });
  });

  test(`${name} gives no message after close(), and sends none`, async () => {
    const text = (guest: Guest): void => {
      guest.socket.close(4000, "");
      guest.say("late");
      guest.socket.close(4002, "again");
    };
    await withWay(open, { text }, async ({ connect, guests }) => {
      const client = await connect();
      client.bytes(
        Uint8Array.from([..."ab"].flatMap((payload) => [...encodeRawFrame({ payload })])),
      );
      const { code } = await client.closed;
      // Deno may cut the connection when a message comes behind its close frame.
      ok(code === 4000 || (!traits.readsFrames && code === 1006), `${code}`);
      strictEqual((await (await guests.at(0)).ended).code, 4000);
      deepStrictEqual((await guests.at(0)).log, ["text a", "closed 4000"]);
      await rejectsNext(client);
    });
  });

  test(`${name} cuts a reason that is too long for a close frame`, async () => {
    const text = ({ socket }: Guest): void => socket.close(4000, "é".repeat(100));
    await withWay(open, { text }, async ({ connect }) => {
      const client = await connect();
      client.text("a");
      deepStrictEqual(await client.closed, { code: 4000, reason: "é".repeat(61) });
    });
  });

  test(`${name} terminates without a close frame`, async () => {
    const text = ({ socket }: Guest): void => {
      socket.terminate();
      socket.terminate();
    };
    await withWay(open, { text }, async ({ connect, guests }) => {
      const client = await connect();
      client.text("a");
      strictEqual((await (await guests.at(0)).ended).code, 1006);
      ok([1005, 1006].includes((await client.closed).code));
      deepStrictEqual((await guests.at(0)).log, ["text a", "closed 1006"]);
    });
  });

  test(`${name} lets accept() send, close and terminate`, async () => {
    const conducts: readonly ((guest: Guest) => void)[] = [
      (guest) => guest.say("welcome"),
      ({ socket }) => socket.close(4000, "no"),
      ({ socket }) => socket.terminate(),
    ];
    let count = 0;
    await withWay(open, { open: (guest) => conducts[count++]!(guest) }, async (scene) => {
      const { connect, guests } = scene;
      strictEqual(await (await connect()).nextText(), "welcome");
      strictEqual((await (await connect()).closed).code, 4000);
      strictEqual((await (await guests.at(1)).ended).code, 4000);
      // A connection that was dropped at once may not even answer the handshake.
      const third = await connect().catch(() => undefined);
      strictEqual((await (await guests.at(2)).ended).code, 1006);
      await third?.closed;
    });
  });

  test(`${name} closes all clients at once`, async () => {
    await withWay(open, {}, async ({ way, connect, guests }) => {
      const clients = await Promise.all([connect(), connect(), connect()]);
      await guests.at(2);
      await way.close(1001, "stop");
      for (const client of clients) {
        deepStrictEqual(await client.closed, { code: 1001, reason: "stop" });
      }
      for (const guest of guests.all) strictEqual((await guest.ended).code, 1001);
    });
  });
}

function testPressure(name: string, open: OpenWayIn): void {
  test(`${name} closes a client that never reads, in bounded memory, and serves the others`, async () => {
    const settings = { ...QUICK_SETTINGS, bufferedBytesMax: 2 * MIB };
    const piece = new Outgoing("x".repeat(64 * 1024));
    let mostBuffered = 0;
    const flood = (guest: Guest): void => {
      if (guest.log.some((entry) => entry.startsWith("closed"))) return;
      guest.socket.send(piece);
      guest.socket.flush();
      mostBuffered = Math.max(mostBuffered, guest.socket.bufferedBytes);
      setImmediate(flood, guest);
    };
    const text = (guest: Guest, value: string): void => {
      if (value === "flood") flood(guest);
      else guest.say(value);
    };
    await withWay(open, { text }, async ({ connect, guests }) => {
      const [slow, other] = [await connect(), await connect()];
      slow.pause();
      slow.text("flood");
      const { ended } = await guests.at(0);
      let isOver = false;
      void ended.then(() => isOver = true);
      for (let count = 0; !isOver || count < 10; count++) {
        other.text(`${count}`);
        strictEqual(await other.nextText(), `${count}`);
      }
      strictEqual((await ended).code, 1013);
      ok(mostBuffered <= 2 * MIB + 2 * 65_546, `${mostBuffered} bytes buffered`);
    }, settings);
  });

  test(`${name} tells a slow client why, once it reads`, async () => {
    const settings = { ...QUICK_SETTINGS, closeTimeoutMs: 20_000, bufferedBytesMax: MIB };
    const piece = new Outgoing("x".repeat(256 * 1024));
    const text = ({ socket }: Guest): void => {
      for (let count = 0; count < 80; count++) socket.send(piece);
      socket.flush();
    };
    await withWay(open, { text }, async ({ connect }) => {
      const client = await connect();
      client.pause();
      client.text("burst");
      client.resume();
      const { code, reason } = await client.closed;
      strictEqual(code, 1013);
      ok(reason.startsWith("Slow consumer"), reason);
    }, settings);
  });
}

function testAdmission(name: string, open: OpenWayIn): void {
  async function withAdmit(
    admit: Admit,
    run: (port: number) => Promise<void>,
    settings: EdgeSettings = QUICK_SETTINGS,
  ): Promise<void> {
    const way = await open(settings, admit);
    try {
      await run(way.port);
    } finally {
      await way.stop();
    }
  }

  test(`${name} shows the request to who admits`, async () => {
    const guests = new Guests();
    const seen: string[] = [];
    const admit: Admit = ({ url, headers, remoteAddress }) => {
      seen.push(url, headers.get("x-token") ?? "", remoteAddress);
      return { accept: guests.accept };
    };
    await withAdmit(admit, async (port) => {
      const headers = { "X-Token": "secret" };
      const client = await RawClient.connect({ port, path: "/chat?a=b%20c", headers });
      deepStrictEqual(seen, [`http://127.0.0.1:${port}/chat?a=b%20c`, "secret", "127.0.0.1"]);
      client.destroy();
    });
  });

  test(`${name} refuses with the status and reason that it is told`, async () => {
    await withAdmit(() => ({ status: 401, reason: "Who are you?" }), async (port) => {
      await rejects(RawClient.connect({ port }), isRefusal(401, "Who are you?\n"));
    });
  });

  test(`${name} waits for who admits later`, async () => {
    const guests = new Guests();
    const admit: Admit = async () => {
      await new Promise((resolve) => setImmediate(resolve));
      return { accept: guests.accept };
    };
    await withAdmit(admit, async (port) => {
      const client = await RawClient.connect({ port });
      client.text("a");
      strictEqual(await client.nextText(), "a");
      client.destroy();
    });
  });

  test(`${name} answers 500 without a detail when who admits fails`, async () => {
    const failures: readonly Admit[] = [
      () => Promise.reject(new Error("secret detail")),
      () => {
        throw new Error("secret detail");
      },
    ];
    for (const admit of failures) {
      await withAdmit(admit, async (port) => {
        await rejects(RawClient.connect({ port }), isRefusal(500, "The server failed\n"));
      });
    }
  });

  test(`${name} answers 503 when who admits takes too long`, async () => {
    const settings = { ...QUICK_SETTINGS, handshakeTimeoutMs: 100 };
    await withAdmit(() => new Promise(() => {}), async (port) => {
      const refusal = isRefusal(503, "The server took too long\n");
      await rejects(RawClient.connect({ port }), refusal);
    }, settings);
  });

  test(`${name} chooses the subprotocol, and refuses a client that offers only others`, async () => {
    const guests = new Guests();
    await withAdmit(() => ({ accept: guests.accept }), async (port) => {
      for (const [protocols, chosen] of [[[], ""], [["mqtt", "chorus.v1"], "chorus.v1"]] as const) {
        const client = await RawClient.connect({ port, protocols });
        strictEqual(client.protocol, chosen);
        client.destroy();
      }
      const reason = "No subprotocol in common: this server speaks chorus.v1\n";
      await rejects(RawClient.connect({ port, protocols: ["mqtt"] }), isRefusal(400, reason));
    });
  });

  test(`${name} does not compress, whatever the client offers`, async () => {
    const guests = new Guests();
    await withAdmit(() => ({ accept: guests.accept }), async (port) => {
      const offer = "permessage-deflate; client_max_window_bits, x-webkit-deflate-frame";
      const headers = { "Sec-WebSocket-Extensions": offer };
      const client = await RawClient.connect({ port, headers });
      strictEqual(client.headers.get("sec-websocket-extensions"), undefined);
      const text = "a".repeat(10_000);
      client.text(text);
      strictEqual(await client.nextText(), text);
      client.frame({ rsv: 4, payload: "compressed" });
      strictEqual((await client.closed).code, 1002);
    });
  });

  test(`${name} refuses a request that is no proper handshake`, async () => {
    const guests = new Guests();
    await withAdmit(() => ({ accept: guests.accept }), async (port) => {
      const cases: readonly (readonly [Record<string, string | undefined>, number])[] = [
        [{ "Sec-WebSocket-Version": "8" }, 426],
        [{ "Sec-WebSocket-Key": "short" }, 400],
        [{ "Sec-WebSocket-Key": undefined }, 400],
        [{ "Host": "user:pass@a" }, 400],
        [{ "X-Other": "x\r\nHost: b" }, 400],
        [{ "Content-Length": "3" }, 400],
        [{ "Transfer-Encoding": "chunked" }, 400],
      ];
      for (const [headers, status] of cases) {
        await rejects(
          RawClient.connect({ port, headers }),
          (error: RawRefusal) => error.status === status,
        );
      }
      strictEqual(guests.all.length, 0);
    });
  });
}

function isRefusal(status: number, body: string): (error: RawRefusal) => boolean {
  return (error) => {
    deepStrictEqual([error.status, error.body], [status, body]);
    return true;
  };
}

async function rejectsNext(client: RawClient): Promise<void> {
  for (;;) {
    const frame = await client.nextFrame().catch(() => undefined);
    if (frame === undefined) return;
    ok(frame.opcode !== OPCODE.text && frame.opcode !== OPCODE.binary, "a message came");
  }
}
