import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_EDGE_SETTINGS, type EdgeSettings } from "../../../src/edge/client_socket.ts";
import {
  Connection,
  type ConnectionInput,
  type ConnectionOutput,
} from "../../../src/edge/websocket/connection.ts";
import {
  encodeClosePayload,
  encodeRawFrame,
  OPCODE,
  type RawFrameOptions,
} from "../../support/raw_client.ts";

const SETTINGS: EdgeSettings = {
  ...DEFAULT_EDGE_SETTINGS,
  messageBytesMax: 100,
  pingIntervalMs: 1_000,
  pongTimeoutMs: 500,
  closeTimeoutMs: 300,
};

/** A connection whose outputs are written down in words. */
class Side {
  readonly connection = new Connection(SETTINGS, 0);
  readonly log: string[] = [];

  feeds(input: ConnectionInput, now = 0): this {
    this.connection.handle(input, now);
    this.log.push(...this.connection.take().map(describe));
    return this;
  }

  hears(frames: readonly RawFrameOptions[], now = 0): this {
    const parts = frames.map(encodeRawFrame);
    const chunk = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
    let offset = 0;
    for (const part of parts) {
      chunk.set(part, offset);
      offset += part.byteLength;
    }
    return this.feeds({ kind: "bytes", chunk }, now);
  }

  closes(code: number, reason: string, now = 0): this {
    return this.feeds({ kind: "close", code, reason }, now);
  }

  wakes(now: number): this {
    return this.feeds({ kind: "wake" }, now);
  }
}

const NAMES: Readonly<Record<number, string>> = {
  [OPCODE.close]: "close",
  [OPCODE.ping]: "ping",
  [OPCODE.pong]: "pong",
};

function describe(output: ConnectionOutput): string {
  switch (output.kind) {
    case "text":
      return `text ${output.text}`;
    case "ascii":
      return `text ${new TextDecoder().decode(output.bytes)}`;
    case "binary":
      return `binary ${output.bytes}`;
    case "write":
      return `write ${NAMES[output.bytes[0]! & 15]} ${show(output.bytes.subarray(2))}`.trimEnd();
    case "closed":
      return `closed ${output.code} ${output.reason} ${output.fault ?? ""}`.trimEnd();
    case "end":
    case "drop":
      return output.kind;
  }
}

function show(payload: Uint8Array): string {
  if (payload.byteLength < 2 || payload[0]! > 0x10) return new TextDecoder().decode(payload);
  const code = payload[0]! * 256 + payload[1]!;
  return `${code} ${new TextDecoder().decode(payload.subarray(2))}`.trimEnd();
}

const CLOSE = (code: number, reason = ""): RawFrameOptions => ({
  opcode: OPCODE.close,
  payload: encodeClosePayload(code, reason),
});

test("Connection gives messages in order", () => {
  const binary = { opcode: OPCODE.binary, payload: Uint8Array.of(1, 2) };
  deepStrictEqual(new Side().hears([{ payload: "a" }, binary, { payload: "b" }]).log, [
    "text a",
    "binary 1,2",
    "text b",
  ]);
});

test("Connection hands on text of ASCII alone as its bytes, and other text as text", () => {
  const { connection } = new Side();
  for (const payload of ["a", "é"]) {
    connection.handle({ kind: "bytes", chunk: encodeRawFrame({ payload }) }, 0);
  }
  deepStrictEqual(connection.take(), [
    { kind: "ascii", bytes: Uint8Array.of(0x61) },
    { kind: "text", text: "é" },
  ]);
});

test("Connection answers a ping with a pong of the same payload (§5.5.3)", () => {
  const ping = { opcode: OPCODE.ping, payload: "xy" };
  deepStrictEqual(new Side().hears([{ payload: "a" }, ping, ping]).log, [
    "text a",
    "write pong xy",
    "write pong xy",
  ]);
});

test("Connection takes a pong that it did not ask for (§5.5.3)", () => {
  deepStrictEqual(new Side().hears([{ opcode: OPCODE.pong, payload: "xy" }]).log, []);
});

test("Connection answers a close frame with its code, ends and lets the client close (§5.5.1)", () => {
  const side = new Side().hears([{ payload: "a" }, CLOSE(4001, "bye")]);
  deepStrictEqual(side.log, ["text a", "write close 4001", "closed 4001 bye", "end"]);
});

test("Connection answers a close frame without a code with none (§5.5.1)", () => {
  const side = new Side().hears([{ opcode: OPCODE.close }]);
  deepStrictEqual(side.log, ["write close", "closed 1005", "end"]);
});

test("Connection gives nothing that comes behind a close frame (§5.5.1)", () => {
  const late = [{ payload: "late" }, { opcode: OPCODE.ping }, CLOSE(1001)];
  const side = new Side().hears([CLOSE(1000), ...late]).hears(late);
  deepStrictEqual(side.log, ["write close 1000", "closed 1000", "end"]);
});

test("Connection that closes waits for the client's close frame, and says why it ended (§7.1.1)", () => {
  const side = new Side().closes(1001, "stop").hears([CLOSE(1001)]);
  deepStrictEqual(side.log, ["write close 1001 stop", "closed 1001 stop", "end"]);
});

test("Connection gives no message, and answers no ping, while it waits for that (§5.5.1)", () => {
  const side = new Side().closes(1001, "stop");
  side.hears([{ payload: "late" }, { opcode: OPCODE.ping }, CLOSE(4000)]);
  deepStrictEqual(side.log, ["write close 1001 stop", "closed 1001 stop", "end"]);
});

test("Connection closes once, whatever is asked of it afterwards (§5.5.1)", () => {
  const side = new Side().closes(1001, "stop").closes(1008, "again").hears([CLOSE(1001)]);
  side.closes(1000, "late").hears([CLOSE(1000)]).feeds({ kind: "eof" });
  deepStrictEqual(side.log, ["write close 1001 stop", "closed 1001 stop", "end"]);
});

test("Connection does not wait longer than its time limit for a close frame (§7.1.1)", () => {
  const side = new Side().closes(1001, "stop", 100).wakes(399);
  deepStrictEqual(side.log, ["write close 1001 stop"]);
  strictEqual(side.connection.deadline, 400);
  deepStrictEqual(side.wakes(400).log.slice(1), ["closed 1001 stop", "drop"]);
  strictEqual(side.connection.deadline, undefined);
});

test("Connection drops a client that does not end the TCP connection after the handshake (§7.1.1)", () => {
  const side = new Side().hears([CLOSE(1000)], 100).wakes(399).wakes(400);
  deepStrictEqual(side.log, ["write close 1000", "closed 1000", "end", "drop"]);
});

test("Connection reports 1006 when the bytes end without a close frame (§7.1.5)", () => {
  const side = new Side().hears([{ payload: "half", fin: false }]).feeds({ kind: "eof" });
  deepStrictEqual(side.log, ["closed 1006 Connection ended without a close frame", "end"]);
});

test("Connection whose bytes end while it closes reports its own code", () => {
  const side = new Side().closes(1001, "stop").feeds({ kind: "eof" });
  deepStrictEqual(side.log, ["write close 1001 stop", "closed 1001 stop", "end"]);
});

test("Connection that is terminated says so once and drops", () => {
  const side = new Side().feeds({ kind: "terminate" }).feeds({ kind: "terminate" });
  deepStrictEqual(side.log, ["closed 1006 Terminated", "drop"]);
});

const FAULTS: readonly (readonly [what: string, frame: RawFrameOptions, written: string])[] = [
  ["a broken protocol", { opcode: 3 }, "1002 Opcode 3 is reserved"],
  ["text that is no UTF-8", { payload: Uint8Array.of(255) }, "1007 Text is not UTF-8"],
  [
    "a message over the limit",
    { payload: "x".repeat(101) },
    "1009 Message of 101 bytes or more, at most 100",
  ],
];

for (const [what, frame, written] of FAULTS) {
  test(`Connection answers ${what} with a close frame that says so (§7.1.7)`, () => {
    const side = new Side().hears([{ payload: "a" }, frame, { payload: "b" }]);
    deepStrictEqual(side.log, [
      "text a",
      `write close ${written}`,
      `closed ${written} protocol`,
      "end",
    ]);
    strictEqual(side.connection.isOpen, false);
  });
}

test("Connection pings after silence, and goes on when anything comes (§5.5.2)", () => {
  const side = new Side().wakes(999);
  deepStrictEqual(side.log, []);
  strictEqual(side.connection.deadline, 1_000);
  deepStrictEqual(side.wakes(1_000).log, ["write ping"]);
  strictEqual(side.connection.deadline, 1_500);
  side.hears([{ opcode: OPCODE.pong }], 1_400);
  strictEqual(side.connection.deadline, 2_400);
  deepStrictEqual(side.wakes(2_400).log, ["write ping", "write ping"]);
  deepStrictEqual(side.hears([{ payload: "a" }], 2_800).log.at(-1), "text a");
  strictEqual(side.connection.deadline, 3_800);
});

test("Connection drops a client that answers no ping", () => {
  const side = new Side().wakes(1_000).wakes(1_499).wakes(1_500);
  deepStrictEqual(side.log, [
    "write ping",
    "closed 1006 No sign of life within 500 ms of a ping unanswered",
    "drop",
  ]);
});

test("Connection of a client that was pinged can be closed and used", () => {
  const side = new Side().wakes(1_000).closes(1001, "stop", 1_100).hears([CLOSE(1001)], 1_200);
  deepStrictEqual(side.log, ["write ping", "write close 1001 stop", "closed 1001 stop", "end"]);
});

test("Connection that is woken too early changes nothing", () => {
  const side = new Side();
  for (let now = 0; now < 1_000; now += 100) side.wakes(now);
  deepStrictEqual(side.log, []);
});
