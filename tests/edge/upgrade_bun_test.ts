import { match, rejects, strictEqual } from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import type { ClusterError } from "../../src/errors.ts";
import { BunUpgrades } from "../../src/edge/upgrade_bun.ts";
import {
  type OpenWayIn,
  testClientSockets,
  type WayIn,
} from "../contract/client_socket_contract.ts";
import { Guests, QUICK_SETTINGS } from "../support/guest.ts";
import { OPCODE, RawClient } from "../support/raw_client.ts";
import { CURRENT_RUNTIME } from "../support/runtime_command.ts";

const listen: OpenWayIn = async (settings, admit) => {
  const upgrades = new BunUpgrades(settings, admit);
  const listener = await upgrades.listen({ hostname: "127.0.0.1", port: 0 });
  return {
    port: listener.port,
    close: (code, reason) => upgrades.close(code, reason),
    stop: async () => {
      await upgrades.close(1001, "stop");
      await listener.close();
    },
  };
};

if (CURRENT_RUNTIME === "bun") {
  testClientSockets("BunUpgrades.listen()", listen, {
    judges: true,
    readsFrames: true,
  });
  testHere();
} else {
  test("BunUpgrades.listen() says that it needs Bun", async () => {
    await rejects(listen(QUICK_SETTINGS, () => ({ status: 500, reason: "" })), {
      name: "ClusterError",
      code: "listen_failed",
      message: "Cannot listen on 127.0.0.1:0: this is not Bun",
    });
  });
}

function testHere(): void {
  test("BunUpgrades drops a client that answers no ping, in the steps that Bun has", async () => {
    const guests = new Guests();
    const settings = { ...QUICK_SETTINGS, pingIntervalMs: 1_000 };
    const way = await listen(settings, () => ({ accept: guests.accept }));
    const client = await RawClient.connect({ port: way.port, answers: false });
    strictEqual((await client.nextFrame()).opcode, OPCODE.ping);
    strictEqual((await (await guests.at(0)).ended).code, 1006);
    await way.stop();
  });

  test("BunUpgrades answers plain requests with the handler, or 404, or 500", async () => {
    const upgrades = new BunUpgrades(QUICK_SETTINGS, () => ({ status: 403, reason: "No" }));
    const listener = await upgrades.listen({
      hostname: "127.0.0.1",
      port: 0,
      fetch: ({ url }) => {
        const { pathname } = new URL(url);
        if (pathname === "/fail") throw new Error("secret detail");
        return pathname === "/here" ? new Response("here") : undefined;
      },
    });
    const ask = async (path: string): Promise<string> => {
      const response = await fetch(`http://127.0.0.1:${listener.port}${path}`);
      return `${response.status} ${(await response.text()).trim()}`;
    };
    strictEqual(await ask("/here"), "200 here");
    strictEqual(await ask("/there"), "404 Not found");
    strictEqual(await ask("/fail"), "500 Internal server error");
    strictEqual(upgrades.counters.failures, 1);
    await listener.close();
  });

  test("BunUpgrades gives a handler the time that it needs, and a silent connection no longer", async () => {
    const settings = { ...QUICK_SETTINGS, handshakeTimeoutMs: 1_000 };
    const upgrades = new BunUpgrades(settings, () => ({ status: 403, reason: "No" }));
    const listener = await upgrades.listen({
      hostname: "127.0.0.1",
      port: 0,
      fetch: async (request) => {
        // Until Bun has dropped two who came later, one after the other, and said nothing more.
        const isSlow = new URL(request.url).pathname === "/slow";
        for (let count = 0; isSlow && count < 2; count++) await silence(listener.port);
        return new Response(await request.text());
      },
    });
    const url = `http://127.0.0.1:${listener.port}/slow`;
    strictEqual(await (await fetch(url, { method: "POST", body: "late" })).text(), "late");
    await listener.close();
  });

  test("BunUpgrades.listen() says why it cannot", async () => {
    const way: WayIn = await listen(QUICK_SETTINGS, () => ({ status: 403, reason: "No" }));
    const upgrades = new BunUpgrades(QUICK_SETTINGS, () => ({ status: 403, reason: "No" }));
    const again = upgrades.listen({ hostname: "127.0.0.1", port: way.port });
    await rejects(again, (error: ClusterError) => {
      strictEqual(error.code, "listen_failed");
      match(error.message, new RegExp(`^Cannot listen on 127.0.0.1:${way.port}: `));
      return true;
    });
    await way.stop();
  });
}

/** Sends one request and then nothing, until the server has hung up. */
function silence(port: number): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1").on("error", () => {}).resume();
    socket.once("close", () => resolve());
    socket.write("GET /quick HTTP/1.1\r\nHost: a\r\n\r\n");
  });
}
