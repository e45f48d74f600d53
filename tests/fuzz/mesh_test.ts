import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { encodeFrame } from "../../src/backplane/mesh/frame.ts";
import { NONCE_BYTES } from "../../src/backplane/mesh/handshake.ts";
import { Link, type LinkOutput } from "../../src/backplane/mesh/link.ts";
import { resolveMeshOptions } from "../../src/backplane/mesh/mesh_options.ts";
import { ByteWriter } from "../../src/core/byte_writer.ts";
import { MESH_ADDRESSES_MAX, MESH_STRANGERS_MAX } from "../../src/core/limits.ts";
import { createPrng, type Prng } from "../../src/core/prng.ts";
import { LinkError } from "../../src/errors.ts";
import { systemRandomBytes } from "../../src/runtime/crypto.ts";
import { createHandshakeContext, readFrames } from "../support/handshake_side.ts";
import { joinBytes } from "../support/join_bytes.ts";
import { type VirtualMachine, VirtualMesh } from "../support/virtual_mesh.ts";

const SEEDS: readonly number[] = Array.from({ length: 20 }, (_, index) => index + 1);
const LINKS_PER_SEED = 150;
const QUEUE_BYTES_MAX = 65_536;
// Smaller than an operator may choose.
const SETTINGS = { ...resolveMeshOptions(), queueBytesMax: QUEUE_BYTES_MAX };
// After so many exchanges a link is open.
const STEPS = 3;

/** Numbers and bytes that one seed decides. */
class Chance {
  readonly #random: Prng;

  constructor(seed: number) {
    this.#random = createPrng(seed);
  }

  is(probability: number): boolean {
    return this.#random() < probability;
  }

  below(bound: number): number {
    return Math.floor(this.#random() * bound);
  }

  bytes(lengthMax: number): Uint8Array {
    return Uint8Array.from({ length: this.below(lengthMax) }, () => this.below(256));
  }

  /** Frames whose content is no better than their length. */
  frames(): Uint8Array {
    const frames = Array.from({ length: 1 + this.below(4) }, () => this.#frame());
    return joinBytes(frames);
  }

  /** Damages bytes that were right. */
  mutate(bytes: Uint8Array): Uint8Array {
    const at = this.below(bytes.byteLength + 1);
    const to = Math.min(bytes.byteLength, at + 1 + this.below(8));
    const [before, middle, after] = [bytes.slice(0, at), bytes.slice(at, to), bytes.slice(to)];
    switch (this.below(6)) {
      case 0:
        return joinBytes([before, after]);
      case 1:
        return joinBytes([before, this.bytes(9), middle, after]);
      case 2:
        return joinBytes([before, middle, middle, after]);
      case 3:
        return before;
      case 4: {
        const frames = readFrames(bytes);
        return joinBytes(frames.reverse().map(({ type, body }) => encodeFrame(type, body)));
      }
      default:
        if (middle.byteLength > 0) middle[0]! ^= 1 << this.below(8);
        return joinBytes([before, middle, after]);
    }
  }

  #frame(): Uint8Array {
    const type = this.is(0.9) ? this.below(12) : this.below(256);
    if (!this.is(0.3)) return encodeFrame(type, this.bytes(80));
    const writer = new ByteWriter();
    writer.varint(this.below(6));
    for (let count = this.below(6); count > 0; count--) {
      writer.text(`n${this.below(9)}~1`);
      writer.text(this.is(0.8) ? `10.0.0.${this.below(9)}:${this.below(70_000)}` : "nonsense");
    }
    return encodeFrame(type, writer.finish());
  }
}

/** One side of a connection, checked at every output. */
class CheckedLink {
  readonly link: Link;
  payloads = 0;
  end: LinkError | undefined;
  #isUp = false;
  #written: Uint8Array[] = [];

  constructor(role: "dialler" | "acceptor", id: string) {
    const nonce = systemRandomBytes(NONCE_BYTES);
    this.link = new Link(createHandshakeContext({ id }), SETTINGS, { role, nonce, address: "" }, 0);
    this.check();
  }

  hears(bytes: Uint8Array, now: number): void {
    this.link.handle({ kind: "bytes", chunk: bytes.slice() }, now);
    this.check();
  }

  says(): Uint8Array {
    return joinBytes(this.#written.splice(0));
  }

  check(): void {
    for (const output of this.link.take()) this.#checkOutput(output);
    // Twice the bound in the link, and twice as much of which it was told that it waits.
    ok(this.link.queuedBytes <= 4 * QUEUE_BYTES_MAX + 200);
    if (this.end === undefined) ok(this.link.deadline !== undefined);
    else strictEqual(this.link.deadline, undefined);
  }

  #checkOutput(output: LinkOutput): void {
    ok(this.end === undefined, `${output.kind} after the end`);
    switch (output.kind) {
      case "write":
        return void this.#written.push(...output.parts);
      case "hangup":
        return;
      case "up":
        ok(!this.#isUp && output.peer.id !== "");
        this.#isUp = true;
        return;
      case "down":
        ok(output.error instanceof LinkError && output.error.code.length > 0);
        this.end = output.error;
        return;
      case "payload":
        this.payloads++;
        return ok(this.#isUp);
      default:
        return ok(this.#isUp);
    }
  }
}

for (const seed of SEEDS) {
  test(`a link survives what nobody should send, in every state, seed ${seed}`, () => {
    const chance = new Chance(seed);
    for (let count = 0; count < LINKS_PER_SEED; count++) abuseLink(chance);
  });
}

function abuseLink(chance: Chance): void {
  const dialler = new CheckedLink("dialler", "a~1");
  const acceptor = new CheckedLink("acceptor", "b~1");
  // At one step one of them hears something else.
  const [victim, step] = [chance.is(0.5) ? dialler : acceptor, chance.below(2 * STEPS)];
  for (let index = 0; index < STEPS; index++) {
    for (const [from, to] of [[dialler, acceptor], [acceptor, dialler]] as const) {
      const said = from.says();
      if (to === victim && index === step) to.hears(abuse(chance, said), 0);
      else to.hears(said, 0);
    }
  }
  const now = chance.below(3) * 5_000;
  for (let index = 0; index < 5 && victim.end === undefined; index++) {
    feed(chance, victim, abuse(chance, dialler.says()), now);
    act(chance, victim, now);
  }
}

function abuse(chance: Chance, said: Uint8Array): Uint8Array {
  switch (chance.below(4)) {
    case 0:
      return chance.bytes(200);
    case 1:
      return joinBytes([said, chance.frames()]);
    case 2:
      return joinBytes([chance.frames(), said]);
    default:
      return chance.mutate(said);
  }
}

function feed(chance: Chance, victim: CheckedLink, bytes: Uint8Array, now: number): void {
  for (let at = 0; at < bytes.byteLength;) {
    const end = at + 1 + chance.below(40);
    victim.hears(bytes.subarray(at, end), now);
    at = end;
  }
}

/** What its owner may do to a link at any time. */
function act(chance: Chance, { link }: CheckedLink, now: number): void {
  const acts: (() => unknown)[] = [
    () => link.send(chance.bytes(40_000), chance.is(0.5)),
    () => link.retire(),
    () => link.gossip([{ id: "c~1", address: "10.0.0.1:1" }]),
    () => link.excuse(chance.below(5_000)),
    () => link.handle({ kind: "queued", byteLength: chance.below(2 * QUEUE_BYTES_MAX) }, now),
    () => link.handle({ kind: "wake" }, now),
    () => link.handle({ kind: "ended", cause: undefined }, now),
    () => link.close("closed", "so", chance.is(0.5), now),
  ];
  acts[chance.below(acts.length)]!();
}

for (const seed of SEEDS) {
  test(`meshes survive a network that damages what it carries, and then meet, seed ${seed}`, () => {
    const world = new DamagedWorld(seed);
    for (let at = 0; at < 60; at++) world.step();
    world.heal();
  });
}

/** Three nodes, and between them a network that cannot be trusted. */
class DamagedWorld {
  readonly #chance: Chance;
  readonly #world: VirtualMesh;
  #damage = 0.02;
  #stranger = 1_000_000;

  constructor(seed: number) {
    this.#chance = new Chance(seed);
    this.#world = new VirtualMesh(seed);
    this.#world.latency = () => 1 + this.#chance.below(20);
    const transmit = this.#world.transmit.bind(this.#world);
    this.#world.transmit = (from, link, chunk) => {
      transmit(from, link, this.#chance.is(this.#damage) ? this.#chance.mutate(chunk) : chunk);
      if (this.#chance.is(this.#damage)) transmit(from, link, this.#chance.frames());
    };
    const seeds = ["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"];
    for (const name of ["a", "b", "c"]) {
      this.#world.add(`${name}~1`, seeds, { settings: { queueBytesMax: QUEUE_BYTES_MAX } });
    }
  }

  step(): void {
    const { machines } = this.#world;
    const pick = () => machines[this.#chance.below(machines.length)]!;
    const [one, other] = [pick(), pick()];
    one.sends(["x".repeat(this.#chance.below(100))], undefined, this.#chance.is(0.5));
    if (this.#chance.is(0.1)) one.feed({ kind: "rebuild", node: other.id });
    if (this.#chance.is(0.1)) one.feed({ kind: "discover", nodes: [other.id] });
    if (this.#chance.is(0.1)) this.#world.sever(one, other);
    if (this.#chance.is(0.3)) this.#connectStranger(one);
    this.#world.run(this.#chance.below(400));
    this.#check();
  }

  /** From now on all is well: everybody meets, and every path tells so. */
  heal(): void {
    this.#damage = 0;
    this.#world.run(30_000);
    this.#check();
    for (const { name, reaches } of this.#world.machines) {
      deepStrictEqual(reaches, ["a", "b", "c"].filter((other) => other !== name));
    }
    strictEqual(this.#world.connections, 3);
  }

  // Somebody connects, says something, and stays.
  #connectStranger({ mesh }: VirtualMachine): void {
    const link = ++this.#stranger;
    const { now } = this.#world;
    mesh.handle({ kind: "opened", link, dialled: undefined, remote: "10.0.0.66:1" }, now);
    const chunk = this.#chance.is(0.5) ? this.#chance.frames() : this.#chance.bytes(100);
    mesh.handle({ kind: "bytes", link, chunk }, now);
  }

  #check(): void {
    for (const { name, mesh, offences } of this.#world.machines) {
      deepStrictEqual(offences, [], name);
      const { addresses, connections, queueBytes, ...rest } = mesh.stats;
      ok(addresses! <= MESH_ADDRESSES_MAX + 3);
      ok(connections! <= MESH_STRANGERS_MAX + 20, `${connections} connections`);
      ok(queueBytes! <= connections! * 2 * QUEUE_BYTES_MAX);
      for (const [key, value] of Object.entries(rest)) ok(Number.isFinite(value), key);
    }
  }
}
