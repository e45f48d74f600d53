import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import type { EdgeSettings } from "../../src/edge/client_socket.ts";
import { FrameBuffers } from "../../src/edge/upgrade_node_socket.ts";
import { Guests, QUICK_SETTINGS } from "../support/guest.ts";
import { type NodeWay, openListener } from "../support/node_way.ts";
import { encodeRawFrame, OPCODE, RawClient } from "../support/raw_client.ts";

async function withGuests(
  settings: Partial<EdgeSettings>,
  run: (way: NodeWay, guests: Guests) => Promise<void>,
): Promise<void> {
  const guests = new Guests();
  const way = await openListener({ ...QUICK_SETTINGS, ...settings }, () => guests);
  try {
    await run(way, guests);
  } finally {
    await way.stop();
  }
}

test("FrameBuffers makes one Buffer of a frame for all clients, and keeps no large one", () => {
  const buffers = new FrameBuffers();
  const memory = Uint8Array.from({ length: 20_000 }, (_, index) => index);
  const [small, other, large] = [
    memory.subarray(3, 40),
    memory.subarray(40, 50),
    memory.subarray(100),
  ];
  for (const frame of [small, other, large]) {
    const buffer = buffers.of(frame);
    deepStrictEqual([...buffer], [...frame]);
    strictEqual(buffer.buffer, memory.buffer);
    strictEqual(buffers.of(frame) === buffer, frame !== large);
  }
  deepStrictEqual([...buffers.of(small)], [...small]);
});

test("NodeClientSocket keeps a silent client that answers pings", async () => {
  const settings = { pingIntervalMs: 20, pongTimeoutMs: 5_000 };
  await withGuests(settings, async ({ port, upgrades }) => {
    const client = await RawClient.connect({ port });
    for (let count = 0; count < 5; count++) {
      const frame = await client.nextFrame();
      deepStrictEqual([frame.opcode, frame.payload.byteLength], [OPCODE.ping, 0]);
    }
    client.text("still here");
    strictEqual(await client.nextText(), "still here");
    strictEqual(upgrades.counters.unanswered, 0);
    client.destroy();
  });
});

test("NodeClientSocket drops a client that answers no ping", async () => {
  const settings = { pingIntervalMs: 20, pongTimeoutMs: 40 };
  await withGuests(settings, async ({ port, upgrades }, guests) => {
    const client = await RawClient.connect({ port, answers: false });
    const { code, reason } = await (await guests.at(0)).ended;
    deepStrictEqual([code, reason], [1006, "No sign of life within 40 ms of a ping"]);
    await client.closed;
    strictEqual(upgrades.counters.unanswered, 1);
  });
});

test("NodeClientSocket does not ping a client that is heard anyway", async () => {
  await withGuests({ pingIntervalMs: 1_000 }, async ({ port }) => {
    const client = await RawClient.connect({ port });
    for (let count = 0; count < 50; count++) {
      client.text("a");
      strictEqual((await client.nextFrame()).opcode, OPCODE.text);
    }
    client.destroy();
  });
});

test("NodeClientSocket waits for a close frame for no longer than its time limit", async () => {
  await withGuests({ closeTimeoutMs: 60 }, async ({ port }, guests) => {
    const client = await RawClient.connect({ port, answers: false });
    const guest = await guests.at(0);
    guest.socket.close(4000, "go");
    deepStrictEqual(await guest.ended, { code: 4000, reason: "go" });
    // The client sees the close frame, answers nothing, and is dropped.
    strictEqual((await client.closed).code, 4000);
  });
});

test("NodeClientSocket reads away what comes behind a fault, so that the client reads why", async () => {
  await withGuests({ closeTimeoutMs: 5_000 }, async ({ port }, guests) => {
    const client = await RawClient.connect({ port });
    client.frame({ opcode: 3 });
    for (let count = 0; count < 50; count++) client.text("x".repeat(60_000));
    const { code, reason } = await client.closed;
    deepStrictEqual([code, reason], [1002, "Opcode 3 is reserved"]);
    deepStrictEqual((await guests.at(0)).log, ["closed 1002"]);
  });
});

test("NodeClientSocket does not hold what it sends to a client that floods it with pings", async () => {
  await withGuests({ bufferedBytesMax: 100_000 }, async ({ port, upgrades }, guests) => {
    const client = await RawClient.connect({ port, answers: false });
    client.pause();
    const pings = encodeRawFrame({ opcode: OPCODE.ping, payload: "x".repeat(125) });
    const chunk = new Uint8Array(pings.byteLength * 500);
    for (let at = 0; at < chunk.byteLength; at += pings.byteLength) chunk.set(pings, at);
    const { ended } = await guests.at(0);
    let isOver = false;
    void ended.then(() => isOver = true);
    while (!isOver) {
      client.bytes(chunk);
      await new Promise((resolve) => setImmediate(resolve));
    }
    strictEqual((await ended).code, 1013);
    strictEqual(upgrades.slowConsumerCount, 1);
    client.destroy();
  });
});

test("NodeClientSocket keeps frames apart, however many are written at once", async () => {
  await withGuests({}, async ({ port }, guests) => {
    const client = await RawClient.connect({ port });
    const guest = await guests.at(0);
    const { Outgoing } = await import("../../src/edge/client_socket.ts");
    // Few and small are joined; many and large are listed.
    for (const [count, length] of [[3, 10], [200, 10], [5, 3_000], [4, 200_000]] as const) {
      for (let index = 0; index < count; index++) {
        guest.socket.send(new Outgoing(`${index}`.padEnd(length, "é")));
      }
      const { bufferedBytes } = guest.socket;
      ok(bufferedBytes >= count * length);
      guest.socket.flush();
      for (let index = 0; index < count; index++) {
        strictEqual(await client.nextText(), `${index}`.padEnd(length, "é"));
      }
    }
    client.destroy();
  });
});

test("NodeClientSocket still gives a client that ended its side what waited for it", async () => {
  await withGuests({ bufferedBytesMax: 100_000_000 }, async ({ port }, guests) => {
    const client = await RawClient.connect({ port });
    client.pause();
    const { socket } = await guests.at(0);
    const { Outgoing } = await import("../../src/edge/client_socket.ts");
    const text = "x".repeat(1_000_000);
    for (let count = 0; count < 12; count++) socket.send(new Outgoing(text));
    socket.flush();
    client.end();
    // At some of these turns the server has read of the end, and tells no more.
    for (let turn = 0; turn < 100; turn++) {
      await new Promise((resolve) => setImmediate(resolve));
      socket.send(new Outgoing("more"));
      socket.flush();
    }
    client.resume();
    for (let count = 0; count < 12; count++) {
      strictEqual((await client.nextText()).length, 1_000_000);
    }
    client.destroy();
  });
});
