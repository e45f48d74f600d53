import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_CONNECTION_SETTINGS } from "../../../src/backplane/redis/connection_settings.ts";
import { encodePacket, HERE_WANTS, type PacketBody } from "../../../src/backplane/redis/packet.ts";
import { Redis } from "../../../src/backplane/redis/redis.ts";
import { resolveRedisOptions } from "../../../src/backplane/redis/redis_options.ts";
import {
  SingleTopology,
  type Topology,
  type TopologyOutput,
} from "../../../src/backplane/redis/topology.ts";
import type { WireContext } from "../../../src/backplane/redis/wire.ts";
import { ByteWriter } from "../../../src/core/byte_writer.ts";
import { createPrng } from "../../../src/core/prng.ts";
import { TcpError } from "../../../src/errors.ts";
import type { TcpAddress } from "../../../src/runtime/tcp.ts";
import { bulk, confirmation, HELLO_REPLY } from "../../support/redis_wire.ts";

const ME = "me~1";
const OTHER = "b~2";

/** A topology of one server, which is another one when the test says so. */
class MovingTopology implements Topology {
  readonly isSharded = false;
  readonly role = "any";
  readonly deadline = undefined;
  addresses: readonly TcpAddress[] = [{ hostname: "first", port: 1 }];
  #outputs: TopologyOutput[] = [];

  moves(hostname: string): void {
    this.addresses = [{ hostname, port: 1 }];
    this.#outputs.push({ kind: "changed" });
  }

  addressOf(): TcpAddress | undefined {
    return this.addresses[0];
  }

  handle(): void {}

  take(): TopologyOutput[] {
    return this.#outputs.splice(0);
  }

  look(): void {}

  close(): void {}
}

function createWires(): WireContext {
  let number = 0;
  const connection = DEFAULT_CONNECTION_SETTINGS;
  const times = { reconnectMinMs: 100, reconnectMaxMs: 2_000, prng: createPrng(1) };
  return { connection, tls: undefined, ...times, nextNumber: () => ++number };
}

/** A node in virtual time, and the server at the other end. A character stands for a byte. */
class Rig {
  now = 0;
  readonly redis: Redis;
  /** What the layer above is told, in order. */
  readonly told: string[] = [];
  /** Whether nothing listens at the server's address. */
  isAway: boolean;
  /** What the server says to the command that this ends with. */
  refusal: string | undefined;
  #listener: number | undefined;

  constructor(server: { readonly isAway?: boolean; readonly refusal?: string } = {}) {
    this.isAway = server.isAway ?? false;
    this.refusal = server.refusal;
    const topology = new SingleTopology({ hostname: "redis", port: 6379 });
    const context = { id: ME, name: "me", wires: createWires() };
    this.redis = new Redis(context, resolveRedisOptions(), topology, 0);
    this.#settle();
  }

  /** Lets time pass, with a wake whenever the node wants one. */
  passes(ms: number): void {
    const end = this.now + ms;
    for (let at = this.redis.deadline; at !== undefined && at <= end; at = this.redis.deadline) {
      this.now = Math.max(this.now, at);
      this.redis.handle({ kind: "wake" }, this.now);
      this.#settle();
    }
    this.now = end;
  }

  /** What another node published to this one comes, all in one chunk. */
  hears(...bodies: readonly PacketBody[]): void {
    const writer = new ByteWriter();
    const packets = bodies.map((body) => characters(encodePacket(writer, OTHER, body)));
    this.#tells(this.#listener!, packets.map((packet) => this.#message(packet)).join(""));
    this.#settle();
  }

  #settle(): void {
    for (let outputs = this.redis.take(); outputs.length > 0; outputs = this.redis.take()) {
      for (const output of outputs) {
        if (output.kind === "dial") this.#answer(output.connection);
        else if (output.kind === "write") {
          const text = output.parts.map(characters).join("");
          for (const command of commandsOf(text)) this.#serve(output.connection, command);
        } else if (output.kind === "received") this.told.push(`received ${output.payload[0]}`);
        else if (output.kind !== "hangup") this.told.push(output.kind);
      }
    }
  }

  #answer(connection: number): void {
    const cause = new TcpError("refused", "Cannot connect");
    if (this.isAway) this.redis.handle({ kind: "dial_failed", connection, cause }, this.now);
    else this.redis.handle({ kind: "opened", connection }, this.now);
  }

  #serve(connection: number, [name, ...rest]: readonly string[]): void {
    if (this.refusal !== undefined && this.refusal.endsWith(`${name}\r\n`)) {
      return this.#tells(connection, this.refusal);
    }
    if (name === "PING") return this.#tells(connection, "+PONG\r\n");
    if (name === "HELLO") return this.#tells(connection, HELLO_REPLY);
    if (name === "PUBSUB") {
      return this.#tells(connection, `*2\r\n${bulk(rest[1]!)}:1\r\n`);
    }
    if (name === "PUBLISH") {
      this.#tells(connection, ":1\r\n");
      return this.#tells(this.#listener!, this.#message(rest[1]!));
    }
    strictEqual(name, "SUBSCRIBE");
    this.#listener = connection;
    for (const channel of rest) this.#tells(connection, confirmation("subscribe", channel, 1));
  }

  #message(packet: string): string {
    const head = `>3\r\n${bulk("message")}${bulk("chorus:all")}`;
    return `${head}$${packet.length}\r\n${packet}\r\n`;
  }

  #tells(connection: number, wire: string): void {
    const chunk = Uint8Array.from(wire, (character) => character.charCodeAt(0));
    this.redis.handle({ kind: "bytes", connection, chunk }, this.now);
  }
}

function characters(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

function commandsOf(wire: string): string[][] {
  return wire.split(/\*\d+\r\n\$/).slice(1).map((command) => {
    return `$${command}`.split("\r\n").filter((_, index) => index % 2 === 1);
  });
}

test("a server that is given up while it is dialled is hung up on when it answers", () => {
  const topology = new MovingTopology();
  const context = { id: ME, name: "me", wires: createWires() };
  const machine = new Redis(context, resolveRedisOptions(), topology, 0);
  const said = (): string[] => {
    return machine.take().map((output) => {
      return "connection" in output ? `${output.kind} ${output.connection}` : output.kind;
    });
  };
  deepStrictEqual(said(), ["dial 2", "dial 1"]);
  topology.moves("second");
  machine.handle({ kind: "wake" }, 1);
  deepStrictEqual(said(), ["dial 4", "dial 3"]);
  for (const connection of [1, 2]) machine.handle({ kind: "opened", connection }, 2);
  deepStrictEqual(said(), ["hangup 1", "hangup 2"]);
});

test("who is up by what came is told before what came behind it, in one chunk or not", () => {
  const here = { kind: "here", name: "b", wants: HERE_WANTS.renewal } as const;
  const payloads = { kind: "payloads", payloads: [Uint8Array.of(7)] } as const;
  const goodbye = { kind: "goodbye" } as const;
  for (const inOneChunk of [true, false]) {
    const rig = new Rig();
    rig.passes(1_000);
    ok(rig.told.includes("started"));
    rig.told.length = 0;
    const bodies = [here, payloads, here, payloads, goodbye, payloads];
    if (inOneChunk) rig.hears(...bodies);
    else for (const body of bodies) rig.hears(body);
    const up = ["up", "received 7", "down"];
    deepStrictEqual(rig.told, [...up, ...up]);
  }
});

test("P15: a server that is away at the start is told of once, and is up without a start when it is there", () => {
  const rig = new Rig({ isAway: true });
  rig.passes(60_000);
  deepStrictEqual(rig.told, ["delayed"]);
  rig.isAway = false;
  rig.passes(5_000);
  deepStrictEqual(rig.told, ["delayed", "state"]);
});

test("what somebody has to fix fails a start, and is a fault once that was delayed", () => {
  const refusal = "-WRONGPASS said to HELLO\r\n";
  const wrong = new Rig({ refusal });
  strictEqual(wrong.told[0], "failed");
  const rig = new Rig({ isAway: true, refusal });
  rig.isAway = false;
  rig.passes(5_000);
  const [first, ...others] = rig.told;
  deepStrictEqual([first, new Set(others)], ["delayed", new Set(["fault"])]);
  rig.refusal = undefined;
  rig.passes(5_000);
  deepStrictEqual(rig.told.at(-1), "state");
});

test("a server that answers and serves nothing delays a start within 13 s", () => {
  const rig = new Rig({ refusal: "-CLUSTERDOWN said to SUBSCRIBE\r\n" });
  rig.passes(12_800);
  deepStrictEqual(rig.told, []);
  rig.passes(400);
  deepStrictEqual(rig.told, ["delayed"]);
  rig.refusal = undefined;
  rig.passes(5_000);
  deepStrictEqual(rig.told, ["delayed", "state"]);
});
