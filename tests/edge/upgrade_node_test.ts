import { deepStrictEqual, rejects, strictEqual } from "node:assert/strict";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { test } from "node:test";
import type { Admission } from "../../src/edge/client_socket.ts";
import { NodeUpgrades } from "../../src/edge/upgrade_node.ts";
import { testClientSockets } from "../contract/client_socket_contract.ts";
import { Guests, QUICK_SETTINGS } from "../support/guest.ts";
import { type NodeWay, openHttpServer, openListener } from "../support/node_way.ts";
import { encodeRawFrame, RawClient, type RawRefusal } from "../support/raw_client.ts";

type OpenNodeWay = typeof openHttpServer;

const TRAITS = { judges: true, readsFrames: true } as const;
const WAYS = [
  ["NodeUpgrades.upgrade()", openHttpServer],
  ["NodeUpgrades.listen()", openListener],
] as const;

for (const [name, open] of WAYS) {
  testClientSockets(name, open, TRAITS);
  testCounters(name, open);
  testStop(name, open);
}

test("NodeUpgrades.upgrade() takes the time limit of the HTTP server off its sockets", async () => {
  const guests = new Guests();
  const server = createServer();
  server.timeout = 40;
  const upgrades = new NodeUpgrades(QUICK_SETTINGS, () => guests);
  server.on("upgrade", (request, socket, head) => upgrades.upgrade(request, socket, head));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const client = await RawClient.connect({ port });
  // Whoever is silent for as long, and connected later, is dropped.
  await new Promise((resolve) => connect(port, "127.0.0.1").on("close", resolve).resume());
  client.text("still here");
  strictEqual(await client.nextText(), "still here");
  client.destroy();
  server.close();
  await upgrades.close(1001, "stop");
});

function testCounters(name: string, open: OpenNodeWay): void {
  test(`${name} counts what happens`, async () => {
    const guests = new Guests();
    const way = await open(
      QUICK_SETTINGS,
      ({ url }) => url.endsWith("/no") ? { status: 403, reason: "No" } : { accept: guests.accept },
    );
    const { port, upgrades } = way;
    await rejects(RawClient.connect({ port, path: "/no" }));
    await rejects(RawClient.connect({ port, headers: { "Sec-WebSocket-Version": "8" } }));
    const [client, other] = [await RawClient.connect({ port }), await RawClient.connect({ port })];
    strictEqual(upgrades.count, 2);
    client.frame({ opcode: 3 });
    await client.closed;
    await (await guests.at(0)).ended;
    other.close(1000);
    await other.closed;
    await way.stop();
    const { accepted, refused, protocolErrors, slowConsumers, failures } = upgrades.counters;
    deepStrictEqual([accepted, refused, protocolErrors, slowConsumers, failures], [2, 2, 1, 0, 0]);
    strictEqual(upgrades.count, 0);
  });

  test(`${name} reads what a client sends right behind its request`, async () => {
    for (const isSlow of [false, true]) {
      const guests = new Guests();
      const admission: Admission = { accept: guests.accept };
      const way = await open(QUICK_SETTINGS, async () => {
        if (isSlow) await new Promise((resolve) => setImmediate(resolve));
        return admission;
      });
      const head = encodeRawFrame({ payload: "early" });
      const client = await RawClient.connect({ port: way.port, head });
      strictEqual(await client.nextText(), "early");
      client.text("later");
      strictEqual(await client.nextText(), "later");
      client.destroy();
      await way.stop();
    }
  });
}

function testStop(name: string, open: OpenNodeWay): void {
  test(`${name} refuses a client that is still judged when it is closed`, async () => {
    const { way, guests, isJudging, judge } = await openSlowly(open);
    const stranger = RawClient.connect({ port: way.port });
    await isJudging;
    const closing = way.close(1001, "stop");
    await rejects(stranger, (error: RawRefusal) => error.status === 503);
    judge({ accept: guests.accept });
    await closing;
    strictEqual(guests.all.length, 0);
    await way.stop();
  });

  for (const leave of ["destroy", "resetAndDestroy"] as const) {
    test(`${name} lets a client go that leaves while it is judged, by ${leave}()`, async () => {
      const { way, guests, isJudging, judge } = await openSlowly(open);
      const socket = connect(way.port, "127.0.0.1", () => {
        socket.write(
          "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        );
      });
      await isJudging;
      const gone = new Promise((resolve) => socket.on("close", resolve));
      socket[leave]();
      await gone;
      // Whether the server notices before it accepts, or when it reads, it forgets the client.
      for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
      judge({ accept: guests.accept });
      await new Promise((resolve) => setImmediate(resolve));
      for (const guest of guests.all) strictEqual((await guest.ended).code, 1006);
      await way.stop();
      strictEqual(way.upgrades.count, 0);
    });
  }

  test(`${name} refuses new clients once it is closed, and asks nobody`, async () => {
    let askedCount = 0;
    const way = await open(QUICK_SETTINGS, () => {
      askedCount++;
      return { status: 403, reason: "No" };
    });
    await way.close(1001, "stop");
    await rejects(
      RawClient.connect({ port: way.port }),
      (error: RawRefusal) => error.status === 503,
    );
    strictEqual(askedCount, 0);
    await way.stop();
  });
}

interface SlowScene {
  readonly way: NodeWay;
  readonly guests: Guests;
  /** Resolves when a request has come. */
  readonly isJudging: Promise<void>;
  /** Ends its judgement. */
  judge(admission: Admission): void;
}

async function openSlowly(open: OpenNodeWay): Promise<SlowScene> {
  let judge = (_: Admission): void => {};
  let judging = (): void => {};
  const isJudging = new Promise<void>((resolve) => judging = resolve);
  const way = await open(QUICK_SETTINGS, () => {
    judging();
    return new Promise((resolve) => judge = resolve);
  });
  return { way, guests: new Guests(), isJudging, judge: (admission) => judge(admission) };
}
