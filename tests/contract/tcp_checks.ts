import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import type { Conduct, Pair, Side } from "../support/tcp_side.ts";

const MIB = 1024 * 1024;

/** One byte to send. */
export const BYTE: Uint8Array = Uint8Array.of(42);

/** Sends back what comes in. */
export const ECHO: Conduct = { data: ({ connection }, chunk) => void connection.write(chunk) };

/** Checks that 4 MiB in many pieces come back as they went. */
export async function assertEcho({ client }: Pair): Promise<void> {
  const before = client.receivedBytes;
  const sent = randomBytes(4 * MIB);
  for (let offset = 0; offset < sent.byteLength; offset += 10_007) {
    client.connection.write(Uint8Array.from(sent.subarray(offset, offset + 10_007)));
  }
  await client.receives(before + sent.byteLength);
  strictEqual(digest(client.received.subarray(before)), digest(sent));
}

/** Checks that a side heard just this, in this order, and that nothing broke. */
export async function assertHeard(side: Side, ...heard: string[]): Promise<void> {
  await side.ended;
  await nextTurn();
  deepStrictEqual(side.heard, heard);
  strictEqual(side.cause, undefined);
}

/** What tells contents apart. */
export function digest(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Resolves when what is due has been reported: an end that is reported twice, for one. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
}

/** Checks that two small writes in a row never wait for the acknowledgement of the first. */
export async function assertPrompt({ client }: Pair): Promise<void> {
  const start = performance.now();
  for (let round = 1; round <= 50; round++) {
    client.connection.write(BYTE);
    client.connection.write(BYTE);
    await client.receives(round);
  }
  // With Nagle, Linux would wait 40 ms in each round: 2 s.
  ok(performance.now() - start < 1_000);
}
