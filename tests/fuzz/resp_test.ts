import { deepStrictEqual, fail, ok } from "node:assert/strict";
import { test } from "node:test";
import type { RespDecoded } from "../../src/backplane/redis/resp_decoder.ts";
import { RespDecoder } from "../../src/backplane/redis/resp_decoder.ts";
import { createPrng, type Prng } from "../../src/core/prng.ts";
import { decodeAll, randomPush, randomReply, toBytes } from "../support/resp_reply.ts";

const SEEDS = 5_000;
const CHARACTERS = "+-:$*_#,(!=%~>|;.?0123456789\r\ninftxa\0\xff";

interface Reading {
  readonly found: readonly RespDecoded[];
  readonly fault: string | undefined;
}

test("RespDecoder reads or refuses any bytes, and the same however they are cut", () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const random = createPrng(seed);
    watch(seed, () => assertReads(noise(random), random));
  }
});

test("RespDecoder reads or refuses what became of replies, and the same however they are cut", () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const random = createPrng(seed);
    watch(seed, () => assertReads(mutate(replies(random), random), random));
  }
});

function assertReads(bytes: Uint8Array, random: Prng): void {
  const isRespTwo = random() < 0.5;
  const whole = read([bytes], isRespTwo);
  const chunks: Uint8Array[] = [];
  for (let start = 0; start < bytes.byteLength;) {
    const end = start + 1 + Math.floor(random() ** 2 * 40);
    chunks.push(bytes.slice(start, end));
    start = end;
  }
  const cut = read(chunks, isRespTwo);
  deepStrictEqual(cut.found, whole.found);
  ok((cut.fault === undefined) === (whole.fault === undefined), `${cut.fault} ${whole.fault}`);
}

function read(chunks: readonly Uint8Array[], isRespTwo: boolean): Reading {
  const decoder = new RespDecoder();
  decoder.arraysArePushes = isRespTwo;
  const found = chunks.flatMap((chunk) => decodeAll(decoder, chunk));
  return { found, fault: decoder.fault?.code };
}

function noise(random: Prng): Uint8Array {
  const length = random() * 60;
  const wire = Array.from({ length }, () => {
    return random() < 0.3 ? "\r\n" : CHARACTERS[Math.floor(random() * CHARACTERS.length)]!;
  });
  return toBytes(wire.join(""));
}

function replies(random: Prng): Uint8Array {
  const samples = Array.from(
    { length: 1 + random() * 5 },
    () => random() < 0.4 ? randomPush(random) : randomReply(random, 3),
  );
  return toBytes(samples.map(({ wire }) => wire).join(""));
}

function mutate(bytes: Uint8Array, random: Prng): Uint8Array {
  for (let count = random() * 4; count > 1; count--) {
    const at = Math.floor(random() * bytes.byteLength);
    bytes[at] = random() < 0.5
      ? bytes[at]! ^ (1 << Math.floor(random() * 8))
      : CHARACTERS.charCodeAt(Math.floor(random() * CHARACTERS.length));
  }
  return random() < 0.3 ? bytes.subarray(Math.floor(random() * bytes.byteLength)) : bytes;
}

function watch(seed: number, run: () => void): void {
  try {
    run();
  } catch (error) {
    fail(`seed ${seed}: ${error instanceof Error ? error.stack : error}`);
  }
}
