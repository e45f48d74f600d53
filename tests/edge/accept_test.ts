import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { acceptSocket, type WebSocketLike } from "../../src/edge/accept.ts";
import { type ClientSocket, Outgoing } from "../../src/edge/client_socket.ts";
import { NodeUpgrades } from "../../src/edge/upgrade_node.ts";
import type { CancelTimer, Clock } from "../../src/core/clock.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { type OpenWayIn, testClientSockets } from "../contract/client_socket_contract.ts";
import { FakeSocket } from "../support/fake_socket.ts";
import { Guest, type GuestConduct, Guests, QUICK_SETTINGS } from "../support/guest.ts";
import { CURRENT_RUNTIME } from "../support/runtime_command.ts";
import { opaque } from "../support/frame_maker.ts";

const upgradeWebSocket: OpenWayIn = (settings, admit) => {
  const sockets = new Set<ClientSocket>();
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
    const { socket, response } = Deno.upgradeWebSocket(request);
    acceptSocket(socket, settings, (client) => {
      sockets.add(client);
      const admission = admit({ url: "", headers: new Headers(), remoteAddress: "" });
      if (!("accept" in admission)) throw new Error("Cannot admit");
      return admission.accept(client);
    });
    return response;
  });
  const close = (code: number, reason: string): Promise<void> => {
    for (const socket of sockets) socket.close(code, reason);
    return Promise.resolve();
  };
  const stop = (): Promise<void> => server.shutdown();
  return Promise.resolve({ port: server.addr.port, close, stop });
};

if (CURRENT_RUNTIME === "deno") {
  testClientSockets("acceptSocket()", upgradeWebSocket, {
    judges: false,
    readsFrames: false,
  });
}

const hasWebSocket = "WebSocket" in globalThis;

test("acceptSocket() serves over the WebSocket that the runtime itself has", {
  skip: hasWebSocket ? false : "this version of Node has no global WebSocket",
}, async () => {
  const peers = new Guests({
    text: ({ socket }, text) => {
      if (text !== "welcome") return;
      socket.send(new Outgoing("question"));
      socket.send(new Outgoing(opaque(Uint8Array.of(1, 2, 3))));
      socket.close(4000, "done");
    },
  });
  const upgrades = new NodeUpgrades(QUICK_SETTINGS, () => ({ accept: peers.accept }));
  const listener = await upgrades.listen({ hostname: "127.0.0.1", port: 0 });
  const standard = new WebSocket(`ws://127.0.0.1:${listener.port}/`, "chorus.v1");
  const guest = accept(standard, { open: (opened) => opened.say("welcome") });
  deepStrictEqual(await guest.ended, { code: 4000, reason: "done" });
  deepStrictEqual(guest.log, ["text question", "binary of 3", "closed 4000"]);
  strictEqual((await (await peers.at(0)).ended).code, 4000);
  await listener.close();
});

/** A clock whose timers fire when the test says so. */
class Timers implements Clock {
  readonly waiting = new Set<() => void>();

  now(): number {
    return systemClock.now();
  }

  setTimer(_delayMs: number, callback: () => void): CancelTimer {
    this.waiting.add(callback);
    return () => void this.waiting.delete(callback);
  }

  defer(callback: () => void): void {
    callback();
  }

  fire(): void {
    for (const callback of this.waiting) callback();
    this.waiting.clear();
  }
}

function accept(
  socket: WebSocketLike,
  conduct: GuestConduct = {},
  clock: Clock = systemClock,
): Guest {
  let guest: Guest | undefined;
  acceptSocket(socket, QUICK_SETTINGS, (client) => guest = new Guest(client, conduct), { clock });
  return guest!;
}

test("acceptSocket() carries text and binary messages", () => {
  const socket = new FakeSocket();
  const guest = accept(socket);
  strictEqual(socket.binaryType, "arraybuffer");
  socket.fires("message", { data: "a" });
  socket.fires("message", { data: Uint8Array.of(1, 2).buffer });
  deepStrictEqual(guest.log, ["text a", "binary of 2"]);
  deepStrictEqual(socket.log, ["send a", "send 2 bytes"]);
});

test("acceptSocket() keeps what is sent to a socket that is still opening", () => {
  const socket = new FakeSocket();
  socket.readyState = 0;
  accept(socket, { open: (guest) => guest.say("welcome") });
  deepStrictEqual(socket.log, []);
  socket.readyState = 1;
  socket.fires("open");
  deepStrictEqual(socket.log, ["send welcome"]);
});

test("acceptSocket() reports a socket that was closed before", () => {
  const socket = new FakeSocket();
  socket.readyState = 3;
  deepStrictEqual(accept(socket).log, ["closed 1006"]);
});

test("acceptSocket() closes with 1003 for what is neither text nor ArrayBuffer", () => {
  const socket = new FakeSocket();
  const guest = accept(socket);
  socket.fires("message", { data: new Blob(["x"]) });
  socket.fires("close", { code: 1006, reason: "" });
  deepStrictEqual(guest.log, ["closed 1003"]);
  strictEqual(socket.log[0], "close 1003 Binary messages must come as ArrayBuffer");
});

test("acceptSocket() counts the bytes of text, not its characters", () => {
  const small = "é".repeat(QUICK_SETTINGS.messageBytesMax / 2);
  const socket = new FakeSocket();
  const guest = accept(socket);
  socket.fires("message", { data: small });
  socket.fires("message", { data: `${small}x` });
  deepStrictEqual(guest.log, [`text of ${small.length}`]);
  strictEqual(socket.log[1], "close 1009 Message of more than 1048576 bytes");
});

test("acceptSocket() adds 3000 to a code that the socket refuses to send", () => {
  const socket = new FakeSocket();
  socket.isStrict = true;
  const guest = accept(socket);
  guest.socket.close(1001, "stop");
  deepStrictEqual(socket.log, ["close 4001 stop"]);
  socket.fires("close", { code: 4001, reason: "stop" });
  deepStrictEqual(guest.log, ["closed 1001"]);
});

test("acceptSocket() does not wait longer than its time limit for the client to close", async () => {
  const socket = new FakeSocket();
  const timers = new Timers();
  const guest = accept(socket, {}, timers);
  guest.socket.close(1001, "stop");
  deepStrictEqual(guest.log, []);
  timers.fire();
  deepStrictEqual(await guest.ended, { code: 1001, reason: "stop" });
  socket.fires("close", { code: 1006, reason: "" });
  deepStrictEqual(guest.log, ["closed 1001"]);
});

test("acceptSocket() leaves no timer behind", () => {
  const timers = new Timers();
  const socket = new FakeSocket();
  accept(socket, {}, timers).socket.close(1001, "stop");
  socket.fires("close", { code: 1001, reason: "stop" });
  strictEqual(timers.waiting.size, 0);
});

test("acceptSocket() closes a slow client with 1013", () => {
  const socket = new FakeSocket();
  const guest = accept(socket);
  socket.bufferedAmount = QUICK_SETTINGS.bufferedBytesMax + 1;
  guest.say("a");
  guest.socket.send(new Outgoing("late"));
  guest.socket.flush();
  deepStrictEqual(socket.log, [
    "send a",
    "close 1013 Slow consumer: more than 4194304 bytes unread",
  ]);
});

test("acceptSocket() closes a client with 1013 for whom too much waits before its socket is open", async () => {
  const socket = new FakeSocket();
  const timers = new Timers();
  socket.readyState = 0;
  const guest = accept(socket, {}, timers);
  const half = new Outgoing("x".repeat(QUICK_SETTINGS.bufferedBytesMax / 2));
  guest.socket.send(half);
  guest.socket.send(half);
  guest.socket.flush();
  strictEqual(timers.waiting.size, 0);
  guest.socket.send(new Outgoing(opaque(Uint8Array.of(1))));
  timers.fire();
  strictEqual((await guest.ended).code, 1013);
  deepStrictEqual(socket.log.filter((line) => line.startsWith("send")), []);
});

test("acceptSocket() drops a client whose socket throws, and reports it once", async () => {
  const socket = new FakeSocket();
  const guest = accept(socket);
  socket.isBroken = true;
  guest.say("a");
  guest.say("b");
  guest.socket.flush();
  deepStrictEqual(await guest.ended, { code: 1006, reason: "The socket takes no message" });
  guest.say("c");
  socket.fires("close", { code: 1006 });
  deepStrictEqual(socket.log, ["close undefined undefined"]);
});
