import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { encodeFrame, FRAME_TYPE } from "../../../src/backplane/mesh/frame.ts";
import { HANDSHAKE_FRAME_BYTES_MAX, NONCE_BYTES } from "../../../src/backplane/mesh/handshake.ts";
import { Link, type LinkOutput } from "../../../src/backplane/mesh/link.ts";
import { resolveMeshOptions } from "../../../src/backplane/mesh/mesh_options.ts";
import { ByteWriter } from "../../../src/core/byte_writer.ts";
import { MESH_ADDRESSES_MAX, MESH_FRAME_BYTES_MAX } from "../../../src/core/limits.ts";
import type { LinkErrorCode } from "../../../src/errors.ts";
import { systemRandomBytes } from "../../../src/runtime/crypto.ts";
import {
  createHandshakeContext,
  type HandshakeActor,
  readFrames,
} from "../../support/handshake_side.ts";
import { joinBytes } from "../../support/join_bytes.ts";

const QUEUE_BYTES_MAX = 100_000;
// Smaller than an operator may choose.
const SETTINGS = { ...resolveMeshOptions(), queueBytesMax: QUEUE_BYTES_MAX };

/** One side of a connection, and what came out of its link. */
class Side {
  readonly link: Link;
  readonly outputs: LinkOutput[] = [];
  now: number;

  constructor(role: "dialler" | "acceptor", actor: HandshakeActor, now = 1_000) {
    const start = { role, nonce: systemRandomBytes(NONCE_BYTES), address: "10.0.0.1:1" };
    this.now = now;
    this.link = new Link(createHandshakeContext(actor), SETTINGS, start, now);
  }

  hears(bytes: Uint8Array): void {
    this.link.handle({ kind: "bytes", chunk: bytes.slice() }, this.now);
    this.#collect();
  }

  /** Wakes it at a later time. */
  wakes(afterMs: number): void {
    this.now += afterMs;
    this.link.handle({ kind: "wake" }, this.now);
    this.#collect();
  }

  does(act: (link: Link) => void): void {
    act(this.link);
    this.#collect();
  }

  /** Takes what was written so far. */
  written(): Uint8Array {
    this.#collect();
    const parts: Uint8Array[] = [];
    for (const output of this.outputs.splice(0)) {
      if (output.kind === "write") parts.push(...output.parts);
      else this.#rest.push(output);
    }
    this.outputs.push(...this.#rest.splice(0));
    return joinBytes(parts);
  }

  /** What it told, beside what it wrote. */
  get told(): string[] {
    return this.outputs.filter(({ kind }) => kind !== "write").map((output) => {
      switch (output.kind) {
        case "up":
          return `up ${output.peer.id}`;
        case "payload":
          return `payload ${new TextDecoder().decode(output.payload)}`;
        case "peers":
          return `peers ${output.nodes.map(({ id, address }) => `${id}@${address}`)}`;
        case "hangup":
          return output.isGraceful ? "close" : "destroy";
        case "down":
          return `down ${output.error.code}`;
        default:
          return output.kind;
      }
    });
  }

  readonly #rest: LinkOutput[] = [];

  #collect(): void {
    this.outputs.push(...this.link.take());
  }
}

/** Two sides that are linked, and have said all that they have to say. */
function linked(): [Side, Side] {
  const a = new Side("dialler", { id: "a~1" });
  const b = new Side("acceptor", { id: "b~1" });
  for (let round = 0; round < 3; round++) exchange(a, b);
  deepStrictEqual([a.told, b.told], [["up b~1"], ["up a~1"]]);
  for (const side of [a, b]) side.outputs.length = 0;
  return [a, b];
}

function exchange(a: Side, b: Side): void {
  b.hears(a.written());
  a.hears(b.written());
}

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const frame = (type: number, body: Uint8Array = new Uint8Array(0)): Uint8Array =>
  encodeFrame(type, body);

test("a link comes up on both sides, and carries payloads in order", () => {
  const [a, b] = linked();
  strictEqual(a.link.token, b.link.token);
  for (const text of ["1", "2", "3"]) strictEqual(a.link.send(bytesOf(text), false), true);
  strictEqual(a.written().byteLength, 0);
  strictEqual(a.link.deadline, -Infinity);
  a.wakes(0);
  const written = a.written();
  strictEqual(readFrames(written).length, 3);
  b.hears(written);
  deepStrictEqual(b.told, ["payload 1", "payload 2", "payload 3"]);
});

test("nothing can be sent before a link is up, nor after it is down", () => {
  const side = new Side("dialler", { id: "a~1" });
  side.written();
  strictEqual(side.link.send(bytesOf("early"), false), false);
  side.does((link) => {
    link.gossip([]);
    link.retire();
  });
  side.wakes(1);
  strictEqual(side.written().byteLength, 0);
  const [a] = linked();
  a.does((link) => link.close("closed", "done", false, a.now));
  strictEqual(a.link.send(bytesOf("late"), true), false);
  strictEqual(a.link.queuedBytes, 0);
});

test("payloads that follow the handshake in one chunk are read", () => {
  const a = new Side("dialler", { id: "a~1" });
  const b = new Side("acceptor", { id: "b~1" });
  exchange(a, b);
  b.hears(a.written());
  a.hears(b.written());
  // Larger than a frame of a handshake may be.
  a.does((link) => link.send(new Uint8Array(HANDSHAKE_FRAME_BYTES_MAX + 1), false));
  a.wakes(0);
  b.hears(a.written());
  strictEqual(b.told.length, 2);
});

test("a frame that a stranger sends is refused on its header if it is over 4,096 bytes", () => {
  for (const role of ["dialler", "acceptor"] as const) {
    const side = new Side(role, { id: "a~1" });
    side.hears(Uint8Array.of(0, 0, 0x10, 1));
    deepStrictEqual(side.told, ["destroy", "down frame_too_large"]);
  }
});

test("a frame of a peer is refused on its header if it is over 16 MiB", () => {
  const [a, b] = linked();
  strictEqual(MESH_FRAME_BYTES_MAX, 0x100_0000);
  a.hears(Uint8Array.of(1, 0, 0, 0));
  deepStrictEqual(a.told, []);
  b.hears(Uint8Array.of(1, 0, 0, 1));
  deepStrictEqual(b.told, ["destroy", "down frame_too_large"]);
});

test("P11: garbage ends a link, which says nothing and hears no more", () => {
  const side = new Side("acceptor", { id: "a~1" });
  side.hears(bytesOf("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  deepStrictEqual(side.told, ["destroy", "down frame_too_large"]);
  strictEqual(side.written().byteLength, 0);
  strictEqual(side.link.deadline, undefined);
  side.hears(frame(FRAME_TYPE.hello));
  side.wakes(100_000);
  side.does((link) => link.handle({ kind: "ended", cause: undefined }, side.now));
  deepStrictEqual(side.told, ["destroy", "down frame_too_large"]);
});

test("a handshake that takes too long ends by its time limit", () => {
  const side = new Side("acceptor", { id: "a~1" });
  side.wakes(2_999);
  deepStrictEqual(side.told, []);
  // A byte now and then buys no time.
  side.hears(Uint8Array.of(0));
  strictEqual(side.link.deadline, 4_000);
  side.wakes(1);
  deepStrictEqual(side.told, ["close", "down handshake_timed_out"]);
});

test("a refusal is written before the link closes, and the peer knows why", () => {
  const a = new Side("dialler", { id: "a~1" });
  const b = new Side("acceptor", { id: "b~1", secret: "t" });
  exchange(a, b);
  b.hears(a.written());
  deepStrictEqual(b.told, ["close", "down secret_wrong"]);
  a.hears(b.written());
  deepStrictEqual(a.told, ["close", "down secret_wrong"]);
});

test("an idle link sends a ping every 3 s, which the peer counts as a sign of life", () => {
  const [a, b] = linked();
  strictEqual(a.link.deadline, 4_000);
  a.wakes(2_999);
  strictEqual(a.written().byteLength, 0);
  a.wakes(1);
  deepStrictEqual(readFrames(a.written()), [{ type: FRAME_TYPE.ping, body: new Uint8Array(0) }]);
  b.now = a.now;
  b.hears(frame(FRAME_TYPE.ping));
  deepStrictEqual(b.told, []);
});

test("a link that sends has no need to ping", () => {
  const [a] = linked();
  for (let count = 0; count < 5; count++) {
    a.link.send(bytesOf("1"), false);
    a.wakes(2_000);
  }
  deepStrictEqual(new Set(readFrames(a.written()).map(({ type }) => type)), new Set([5]));
});

test("a peer that is silent for 10 s is given up", () => {
  const [a, b] = linked();
  a.wakes(9_999);
  deepStrictEqual(a.told, []);
  a.wakes(1);
  deepStrictEqual(a.told, ["destroy", "down peer_silent"]);
  b.wakes(9_000);
  b.hears(frame(FRAME_TYPE.ping));
  b.wakes(9_000);
  deepStrictEqual(b.told, []);
});

test("P14: a time in which this node stood still is no silence of the peer's", () => {
  const [a] = linked();
  a.wakes(5_000);
  a.does((link) => link.excuse(60_000));
  a.wakes(64_999);
  deepStrictEqual(a.told, []);
  a.wakes(1);
  deepStrictEqual(a.told, ["destroy", "down peer_silent"]);

  const late = new Side("acceptor", { id: "a~1" });
  late.does((link) => link.excuse(60_000));
  late.wakes(62_999);
  deepStrictEqual(late.told, []);
  late.wakes(1);
  deepStrictEqual(late.told, ["close", "down handshake_timed_out"]);
});

test("P10: at the bound what can be repeated is dropped, and there is word when half is free", () => {
  const [a] = linked();
  const payload = new Uint8Array(1_000);
  a.does((link) => link.handle({ kind: "queued", byteLength: QUEUE_BYTES_MAX - 500 }, a.now));
  strictEqual(a.link.send(payload, true), false);
  strictEqual(a.link.send(payload, false), true);
  strictEqual(a.link.queuedBytes, QUEUE_BYTES_MAX - 500 + 1_005);
  a.does((link) => link.handle({ kind: "queued", byteLength: QUEUE_BYTES_MAX / 2 + 1 }, a.now));
  deepStrictEqual(a.told, []);
  a.does((link) => link.handle({ kind: "queued", byteLength: QUEUE_BYTES_MAX / 2 }, a.now));
  a.does((link) => link.handle({ kind: "queued", byteLength: 0 }, a.now));
  deepStrictEqual(a.told, ["relieved"]);
  strictEqual(a.link.send(payload, true), true);
});

test("P10: what is queued within the tick counts towards the bound", () => {
  const [a] = linked();
  const payload = new Uint8Array(1_000);
  let taken = 0;
  while (a.link.send(payload, true)) taken++;
  strictEqual(taken, 99);
  ok(a.link.queuedBytes <= QUEUE_BYTES_MAX);
});

test("P10: what cannot be repeated may take twice the bound, and then the link ends", () => {
  const [a] = linked();
  const payload = new Uint8Array(1_000);
  let taken = 0;
  while (a.link.send(payload, false)) taken++;
  strictEqual(taken, 199);
  deepStrictEqual(a.told, []);
  a.wakes(0);
  deepStrictEqual(a.told, ["destroy", "down queue_full"]);
});

test("P10: gossip is not told to a peer that takes nothing", () => {
  const [a] = linked();
  a.does((link) => link.handle({ kind: "queued", byteLength: QUEUE_BYTES_MAX + 1 }, a.now));
  a.does((link) => link.gossip([{ id: "c~1", address: "10.0.0.3:1" }]));
  strictEqual(a.link.queuedBytes, QUEUE_BYTES_MAX + 1);
});

test("a link without drops is silent about room", () => {
  const [a] = linked();
  a.does((link) => link.handle({ kind: "queued", byteLength: 90_000 }, a.now));
  a.does((link) => link.handle({ kind: "queued", byteLength: 0 }, a.now));
  deepStrictEqual(a.told, []);
});

test("a node that leaves says goodbye behind all that it sent, and the peer knows", () => {
  const [a, b] = linked();
  a.link.send(bytesOf("last"), false);
  a.does((link) => link.close("closed", "leaving", true, a.now));
  deepStrictEqual(a.told, ["close", "down closed"]);
  b.hears(a.written());
  deepStrictEqual(b.told, ["payload last", "close", "down peer_left"]);
});

test("a link that is closed without leaving says no goodbye", () => {
  const [a, b] = linked();
  a.does((link) => link.close("closed", "rebuilt", false, a.now));
  strictEqual(a.written().byteLength, 0);
  b.does((link) => link.handle({ kind: "ended", cause: undefined }, b.now));
  deepStrictEqual(b.told, ["destroy", "down peer_gone"]);
});

test("what comes behind a goodbye is not read", () => {
  const [a] = linked();
  const late = encodeFrame(FRAME_TYPE.payload, bytesOf("late"));
  a.hears(joinBytes([frame(FRAME_TYPE.goodbye), late]));
  deepStrictEqual(a.told, ["close", "down peer_left"]);
});

test("a link that both sides retired ends without a fault", () => {
  const [a, b] = linked();
  a.does((link) => link.retire());
  a.wakes(0);
  b.hears(a.written());
  deepStrictEqual(b.told, ["retired"]);
  deepStrictEqual([a.link.hasRetired, a.link.isRetiredByPeer], [true, false]);
  deepStrictEqual([b.link.hasRetired, b.link.isRetiredByPeer], [false, true]);
  b.does((link) => link.retire());
  b.does((link) => link.handle({ kind: "ended", cause: undefined }, b.now));
  deepStrictEqual(b.told, ["retired", "destroy", "down duplicate"]);
  a.does((link) => link.handle({ kind: "ended", cause: undefined }, a.now));
  deepStrictEqual(a.told, ["destroy", "down peer_gone"]);
});

test("P12: frames of unknown types are skipped and counted", () => {
  const [a] = linked();
  for (const type of [0, 1, 2, 3, 4, 10, 128, 255]) a.hears(frame(type, bytesOf("?")));
  a.hears(encodeFrame(FRAME_TYPE.payload, bytesOf("1")));
  strictEqual(a.link.unknownFrames, 8);
  deepStrictEqual(a.told, ["payload 1"]);
});

test("gossip tells of nodes and addresses, and what a newer version adds is skipped", () => {
  const [a, b] = linked();
  const nodes = [{ id: "c~1", address: "10.0.0.3:1" }, { id: "é~1", address: "[::1]:1" }];
  a.does((link) => link.gossip(nodes));
  a.wakes(0);
  const [gossip] = readFrames(a.written());
  b.hears(encodeFrame(FRAME_TYPE.peers, gossip!.body));
  b.hears(encodeFrame(FRAME_TYPE.peers, joinBytes([gossip!.body, Uint8Array.of(1, 2)])));
  deepStrictEqual(b.told, Array(2).fill("peers c~1@10.0.0.3:1,é~1@[::1]:1"));
});

test("P11: gossip that cannot be read ends the link, and its length is bounded", () => {
  const bodies = [[], [5], [1, 0, 0, 0, 9], [1, 0, 0, 0, 1, 0xff, 0, 0, 0, 0], Array(9).fill(255)];
  for (const body of bodies) {
    const [a] = linked();
    a.hears(encodeFrame(FRAME_TYPE.peers, Uint8Array.from(body)));
    deepStrictEqual(a.told, ["destroy", "down frame_invalid"], String(body));
  }
  const [a] = linked();
  const writer = new ByteWriter();
  writer.varint(5_000);
  for (let count = 0; count < 10_000; count++) writer.text("x");
  a.hears(encodeFrame(FRAME_TYPE.peers, writer.finish()));
  const [peers] = a.outputs;
  ok(peers?.kind === "peers");
  strictEqual(peers.nodes.length, MESH_ADDRESSES_MAX);
});

test("an error says whom it is about, where, and why", () => {
  const failures: [LinkErrorCode, (side: Side) => void, RegExp][] = [
    ["peer_gone", (side) => side.link.handle({ kind: "ended", cause: "why" }, side.now), /ended/],
    ["frame_invalid", (side) => side.hears(Uint8Array.of(0, 0, 0, 0)), /no type/],
    ["peer_silent", (side) => side.wakes(10_000), /nothing heard for 10000 ms/],
  ];
  for (const [code, fail, pattern] of failures) {
    const [a] = linked();
    a.does(() => fail(a));
    const down = a.outputs.at(-1);
    ok(down?.kind === "down");
    const { error } = down;
    strictEqual(error.code, code);
    strictEqual(error.peer, "b~1");
    strictEqual(error.address, "10.0.0.1:1");
    strictEqual(error.cause, code === "peer_gone" ? "why" : undefined);
    ok(error.message.startsWith("Cannot link with b~1 at 10.0.0.1:1: "));
    ok(pattern.test(error.message), error.message);
  }
});
