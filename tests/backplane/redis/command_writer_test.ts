import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { CommandWriter, type RedisCommand } from "../../../src/backplane/redis/command_writer.ts";
import { RespDecoder } from "../../../src/backplane/redis/resp_decoder.ts";
import { createPrng, type Prng } from "../../../src/core/prng.ts";
import { decodeAll } from "../../support/resp_reply.ts";

function write(...commands: RedisCommand[]): string {
  const writer = new CommandWriter();
  for (const command of commands) writer.append(command);
  return writer.take().map((part) => new TextDecoder().decode(part)).join("");
}

const VECTORS: readonly (readonly [wire: string, ...command: RedisCommand])[] = [
  ["*1\r\n$4\r\nPING\r\n", "PING"],
  ["*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", "ECHO", ""],
  ["*2\r\n$4\r\nECHO\r\n$2\r\n\0\n\r\n", "ECHO", Uint8Array.of(0, 10)],
  // The text takes more bytes than characters: as many digits as before, and one more.
  ["*2\r\n$4\r\nECHO\r\n$5\r\nn\u00e9ws\r\n", "ECHO", "néws"],
  ["*2\r\n$4\r\nECHO\r\n$10\r\nééééé\r\n", "ECHO", "ééééé"],
  [`*2\r\n$4\r\nECHO\r\n$100\r\n${"é".repeat(50)}\r\n`, "ECHO", "é".repeat(50)],
  [`*2\r\n$4\r\nECHO\r\n$99\r\n${"a".repeat(99)}\r\n`, "ECHO", "a".repeat(99)],
  [`*11\r\n${"$1\r\na\r\n".repeat(11)}`, ..."a".repeat(11)],
];

test("CommandWriter writes commands as arrays of bulk strings", () => {
  for (const [wire, ...command] of VECTORS) strictEqual(write(command), wire);
  strictEqual(
    write(...VECTORS.map(([, ...command]) => command)),
    VECTORS.map(([wire]) => wire).join(""),
  );
});

test("CommandWriter joins what is short into one part, and shares what is long", () => {
  const writer = new CommandWriter();
  for (let count = 0; count < 100; count++) writer.append(["PUBLISH", "news", "hello"]);
  strictEqual(writer.take().length, 1);
  const long = new Uint8Array(20_000);
  writer.append(["PUBLISH", "news", long]);
  writer.append(["PING"]);
  const parts = writer.take();
  strictEqual(parts.length, 3);
  ok(parts[1] === long);
  deepStrictEqual(writer.take(), []);
});

test("CommandWriter counts the bytes that wait, and leaves what was taken as it was", () => {
  const random = createPrng(1);
  const writer = new CommandWriter();
  const kept: { readonly part: Uint8Array; readonly copy: Uint8Array }[] = [];
  for (let round = 0; round < 100; round++) {
    for (let count = random() * 5; count > 0; count--) writer.append(randomCommand(random));
    const waiting = writer.byteLength;
    const parts = writer.take();
    strictEqual(parts.reduce((sum, part) => sum + part.byteLength, 0), waiting);
    strictEqual(writer.byteLength, 0);
    for (const part of parts) kept.push({ part, copy: part.slice() });
  }
  for (const { part, copy } of kept) deepStrictEqual(part, copy);
});

test("what CommandWriter writes is read back by RespDecoder, whatever the arguments", () => {
  for (let seed = 1; seed <= 100; seed++) {
    const random = createPrng(seed);
    const commands = Array.from({ length: 1 + random() * 20 }, () => randomCommand(random));
    const writer = new CommandWriter();
    for (const command of commands) writer.append(command);
    const decoder = new RespDecoder();
    const found = writer.take().flatMap((part) => decodeAll(decoder, part));
    deepStrictEqual(found, commands.map((command) => command.map(toUtf8)), `seed ${seed}`);
  }
});

function toUtf8(argument: string | Uint8Array): Uint8Array {
  return typeof argument === "string" ? new TextEncoder().encode(argument) : argument;
}

function randomCommand(random: Prng): (string | Uint8Array)[] {
  return Array.from({ length: 1 + random() * 4 }, () => {
    const length = Math.floor(random() ** 12 * 60_000);
    if (random() < 0.5) return Uint8Array.from({ length }, () => random() * 256);
    const characters = random() < 0.5 ? ["a", "z", "\r\n"] : ["a", "é", "€", "😀", "\0"];
    const pick = (): string => characters[Math.floor(random() * characters.length)]!;
    return Array.from({ length: Math.min(length, 6_000) }, pick).join("");
  });
}
