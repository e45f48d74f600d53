import type { Prng } from "../../src/core/prng.ts";
import {
  RespError,
  RespMap,
  RespMessage,
  RespPush,
  RespSet,
  type RespValue,
} from "../../src/backplane/redis/resp.ts";
import type { RespDecoded, RespDecoder } from "../../src/backplane/redis/resp_decoder.ts";

/** A reply as it is on the wire, and as it is read. */
export interface RespSample {
  /** The bytes, each as a character of its own code. */
  readonly wire: string;
  /** The value. */
  readonly value: RespDecoded;
}

/** Turns each character into the byte of its code. */
export function toBytes(wire: string): Uint8Array {
  return Uint8Array.from(wire, (character) => character.charCodeAt(0));
}

/** Reads all that a decoder finds in a chunk. */
export function decodeAll(decoder: RespDecoder, chunk: Uint8Array): RespDecoded[] {
  decoder.push(chunk);
  const found: RespDecoded[] = [];
  for (let item = decoder.next(); item !== undefined; item = decoder.next()) found.push(item);
  return found;
}

/** Makes a reply of any type, with others in it up to a depth. */
export function randomReply(random: Prng, depth: number): RespSample {
  if (depth > 0 && random() < 0.4) return randomAggregate(random, depth);
  return pick(SCALARS, random)(random);
}

/** Makes a push: a message or any other. */
export function randomPush(random: Prng): RespSample {
  const { wire: channelWire, bytes: channel } = randomBulk(random, 20, 128);
  const { wire: payloadWire, bytes: payload } = randomBulk(random, 300);
  const kind = pick(["message", "smessage", "subscribe"], random);
  const wire = `>3\r\n$${kind.length}\r\n${kind}\r\n${channelWire}${payloadWire}`;
  if (kind === "subscribe") {
    return { wire, value: new RespPush([toBytes(kind), channel, payload]) };
  }
  const name = new TextDecoder().decode(channel);
  return { wire, value: new RespMessage(name, payload, kind === "smessage") };
}

type Maker = (random: Prng) => RespSample;

const SCALARS: readonly Maker[] = [
  (random) => {
    const { wire, bytes: value } = randomBulk(random, random() < 0.05 ? 5_000 : 40);
    return { wire, value };
  },
  (random) => {
    const value = Math.floor((random() - 0.5) * 10 ** Math.floor(random() * 15));
    return { wire: `:${value}\r\n`, value: value === 0 ? 0 : value };
  },
  (random) => {
    const value = BigInt(Math.floor(random() * 1e15)) * 1_000_003n - (10n ** 20n);
    return { wire: `(${value}\r\n`, value };
  },
  (random) => {
    const value = pick([0.5, -1.25e300, 3, Infinity, -Infinity, Number.NaN], random);
    return { wire: `,${`${value}`.replace("Infinity", "inf").toLowerCase()}\r\n`, value };
  },
  (random) => pick(CONSTANTS, random),
  (random) => {
    const message = `ERR ${"no ".repeat(random() * 5)}`;
    const value = new RespError(message);
    return random() < 0.5
      ? { wire: `-${message}\r\n`, value }
      : { wire: `!${message.length}\r\n${message}\r\n`, value };
  },
  (random) => {
    const { bytes } = randomBulk(random, 30);
    return { wire: `=${bytes.byteLength + 4}\r\ntxt:${toWire(bytes)}\r\n`, value: bytes };
  },
  (random) => {
    const parts = Array.from({ length: random() * 4 }, () => randomBulk(random, 20).bytes)
      .filter((part) => part.byteLength > 0);
    const wire = parts.map((part) => `;${part.byteLength}\r\n${toWire(part)}\r\n`).join("");
    return { wire: `$?\r\n${wire};0\r\n`, value: Uint8Array.from(parts.flatMap((p) => [...p])) };
  },
];

const CONSTANTS: readonly RespSample[] = [
  { wire: "+OK\r\n", value: "OK" },
  { wire: "+\r\n", value: "" },
  { wire: "_\r\n", value: null },
  { wire: "$-1\r\n", value: null },
  { wire: "*-1\r\n", value: null },
  { wire: "#t\r\n", value: true },
  { wire: "#f\r\n", value: false },
  { wire: ":9223372036854775807\r\n", value: 9223372036854775807n },
];

function randomAggregate(random: Prng, depth: number): RespSample {
  const type = pick(["*", "~", "%"], random);
  const count = Math.floor(random() ** 2 * 6);
  const samples = Array.from(
    { length: type === "%" ? 2 * count : count },
    () => randomReply(random, depth - 1),
  );
  const items = samples.map(({ value }) => value as RespValue);
  const inner = samples.map(({ wire }) => wire).join("");
  const body = random() < 0.2 ? `?\r\n${inner}.\r\n` : `${count}\r\n${inner}`;
  const value = type === "*" ? items : type === "%" ? new RespMap(items) : new RespSet(items);
  const attribute = random() < 0.1 ? `|1\r\n+ttl\r\n${randomReply(random, depth - 1).wire}` : "";
  return { wire: `${attribute}${type}${body}`, value };
}

function randomBulk(
  random: Prng,
  lengthMax: number,
  below = 256,
): { readonly wire: string; readonly bytes: Uint8Array } {
  const bytes = Uint8Array.from({ length: random() * lengthMax }, () => random() * below);
  return { wire: `$${bytes.byteLength}\r\n${toWire(bytes)}\r\n`, bytes };
}

function toWire(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

function pick<Item>(items: readonly Item[], random: Prng): Item {
  return items[Math.floor(random() * items.length)]!;
}
