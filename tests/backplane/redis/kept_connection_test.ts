import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import {
  KeptConnection,
  type KeptConnectionInput,
} from "../../../src/backplane/redis/kept_connection.ts";
import {
  DEFAULT_KEPT_CONNECTION_SETTINGS,
  type KeptConnectionSettings,
} from "../../../src/backplane/redis/kept_connection_settings.ts";
import { RespMessage } from "../../../src/backplane/redis/resp.ts";
import type { WireEvent } from "../../../src/backplane/redis/wire.ts";
import { createPrng } from "../../../src/core/prng.ts";
import { bulk, bulks, confirmation, HELLO_REPLY } from "../../support/redis_wire.ts";

const TARGET = { address: { hostname: "redis", port: 6379 }, tls: undefined };
const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

/** A kept connection in virtual time, and the network and the server that the test plays. */
class Rig {
  now = 0;
  /** When the last dial was asked for, and its number. */
  dialledAt: number | undefined;
  last = 0;
  readonly kept: KeptConnection<string>;
  readonly #outputs: WireEvent<string>[] = [];
  #written = "";
  #dialled: number | undefined;
  #current = 0;

  constructor(settings: Partial<KeptConnectionSettings> = {}) {
    const all = { ...DEFAULT_KEPT_CONNECTION_SETTINGS, ...settings };
    this.kept = new KeptConnection(all, TARGET, createPrng(1), this.now);
  }

  handle(input: KeptConnectionInput<string>): void {
    this.kept.handle(input, this.now);
    for (const output of this.kept.take()) {
      if (output.kind === "dial") {
        this.#dialled = output.connection;
        this.dialledAt = this.now;
        this.last = output.connection;
      } else if (output.kind === "write") {
        strictEqual(output.connection, this.#current);
        this.#written += output.parts.map((part) => new TextDecoder().decode(part)).join("");
      } else this.#outputs.push(output);
    }
  }

  /** Lets time pass, with a wake whenever the connection wants one. */
  passes(ms: number): void {
    const end = this.now + ms;
    for (let at = this.kept.deadline; at !== undefined && at <= end; at = this.kept.deadline) {
      this.now = Math.max(this.now, at);
      this.handle({ kind: "wake" });
    }
    this.now = end;
  }

  /** The dial that is asked for, within a while. */
  dialled(withinMs = 0): number {
    this.passes(withinMs);
    const dialled = this.#dialled;
    this.#dialled = undefined;
    ok(dialled !== undefined, "not dialled");
    return dialled;
  }

  /** Answers the next dial and the greeting. */
  comesUp(withinMs = 0): void {
    this.opens(withinMs);
    this.serverSays(HELLO_REPLY);
  }

  opens(withinMs = 0): void {
    this.#current = this.dialled(withinMs);
    this.handle({ kind: "opened", connection: this.#current });
  }

  serverSays(wire: string): void {
    this.handle({ kind: "bytes", connection: this.#current, chunk: encode(wire) });
  }

  breaks(): void {
    this.handle({ kind: "ended", connection: this.#current, cause: undefined });
  }

  command(ticket: string, ...command: string[]): void {
    this.handle({ kind: "command", command, ticket });
  }

  wants(...channels: string[]): void {
    this.handle({ kind: "subscription", verb: "SUBSCRIBE", channels });
  }

  leaves(...channels: string[]): void {
    this.handle({ kind: "subscription", verb: "UNSUBSCRIBE", channels });
  }

  /** What was written since the last question, after the tick has ended. */
  written(): string {
    this.passes(0);
    const written = this.#written;
    this.#written = "";
    return written;
  }

  outputs(): WireEvent<string>[] {
    return this.#outputs.splice(0);
  }

  kinds(): string[] {
    return this.outputs().map(({ kind }) => kind);
  }
}

test("commands that are given before there is a connection are sent when it is up, in order", () => {
  const rig = new Rig();
  rig.command("a", "GET", "1");
  rig.opens();
  rig.command("b", "GET", "2");
  strictEqual(rig.written(), bulks("HELLO", "3"));
  rig.serverSays(HELLO_REPLY);
  rig.command("c", "GET", "3");
  strictEqual(rig.written(), bulks("GET", "1") + bulks("GET", "2") + bulks("GET", "3"));
  rig.serverSays(":1\r\n:2\r\n:3\r\n");
  deepStrictEqual(rig.outputs().slice(1), [
    { kind: "reply", ticket: "a", value: 1 },
    { kind: "reply", ticket: "b", value: 2 },
    { kind: "reply", ticket: "c", value: 3 },
  ]);
});

test("what was sent and not answered fails when the connection breaks, and is not sent again", () => {
  const rig = new Rig();
  rig.comesUp();
  rig.command("sent", "INCR", "x");
  rig.written();
  rig.outputs();
  rig.breaks();
  const [hangup, failed, down] = rig.outputs();
  strictEqual(hangup?.kind, "hangup");
  ok(failed?.kind === "failed" && failed.ticket === "sent");
  strictEqual(failed.error.code, "connection_lost");
  ok(down?.kind === "down" && down.error === failed.error);
  rig.command("kept", "GET", "x");
  rig.comesUp(5_000);
  strictEqual(rig.written(), bulks("HELLO", "3") + bulks("GET", "x"));
});

test("each failure doubles the pause up to its bound, and chance spreads it", () => {
  const rig = new Rig({ reconnectMinMs: 100, reconnectMaxMs: 1_000 });
  const ceilings = [100, 200, 400, 800, 1_000, 1_000, 1_000, 1_000];
  const pauses = [0, ...ceilings].map((ceiling, index) => {
    const before = rig.now;
    const connection = rig.dialled(ceiling);
    const pauseMs = (rig.dialledAt ?? 0) - before;
    ok(pauseMs <= ceiling && (index < 2 || pauseMs >= 50), `${pauseMs} of ${ceiling}`);
    rig.now = rig.dialledAt ?? 0;
    rig.handle({ kind: "dial_failed", connection, cause: new Error("nobody listens") });
    const [down] = rig.outputs();
    ok(down?.kind === "down" && down.error.code === "connect_failed");
    return pauseMs;
  });
  ok(new Set(pauses).size > 4, `${pauses}`);
});

test("a connection that lasted begins with the shortest pause, one that did not goes on", () => {
  const rig = new Rig({ reconnectMinMs: 100, reconnectMaxMs: 60_000 });
  for (let count = 0; count < 6; count++) {
    const connection = rig.dialled(60_000);
    rig.handle({ kind: "dial_failed", connection, cause: undefined });
  }
  for (const [lastsMs, isShort] of [[900, false], [1_500, true]] as const) {
    rig.comesUp(60_000);
    rig.passes(lastsMs);
    rig.breaks();
    const before = rig.now;
    rig.dialled(60_000);
    strictEqual((rig.dialledAt ?? 0) - before <= 100, isShort, `after ${lastsMs}`);
    rig.handle({ kind: "dial_failed", connection: rig.last, cause: undefined });
  }
});

test("channels are asked for again on each connection, and told again", () => {
  const rig = new Rig();
  rig.wants("a", "b");
  rig.handle({ kind: "subscription", verb: "SSUBSCRIBE", channels: ["s"] });
  const asked = bulks("SUBSCRIBE", "a", "b") + bulks("SSUBSCRIBE", "s");
  const confirmed = confirmation("subscribe", "a", 1) + confirmation("subscribe", "b", 2) +
    confirmation("ssubscribe", "s", 1);
  for (let round = 0; round < 2; round++) {
    rig.comesUp(5_000);
    strictEqual(rig.written(), bulks("HELLO", "3") + asked);
    rig.serverSays(confirmed);
    deepStrictEqual(rig.kinds(), ["up", "subscribed", "subscribed", "subscribed"]);
    rig.breaks();
    deepStrictEqual(rig.kinds(), ["hangup", "down"]);
  }
});

test("many channels are asked for in several commands", () => {
  const rig = new Rig();
  rig.wants(...Array.from({ length: 2_500 }, (_, index) => `c${index}`));
  rig.comesUp();
  strictEqual(rig.written().split("SUBSCRIBE").length - 1, 3);
});

test("a channel that was left while there was no connection is not asked for again", () => {
  const rig = new Rig();
  rig.wants("a", "b");
  rig.comesUp();
  rig.written();
  rig.breaks();
  rig.outputs();
  rig.leaves("a");
  deepStrictEqual(rig.outputs(), [
    { kind: "unsubscribed", channel: "a", isSharded: false, isAsked: true },
  ]);
  rig.comesUp(5_000);
  strictEqual(rig.written(), bulks("HELLO", "3") + bulks("SUBSCRIBE", "b"));
});

test("a channel that was being left when the connection broke is told to be left", () => {
  const rig = new Rig();
  rig.wants("a");
  rig.comesUp();
  rig.serverSays(confirmation("subscribe", "a", 1));
  rig.leaves("a");
  rig.written();
  rig.outputs();
  rig.breaks();
  deepStrictEqual(rig.kinds(), ["hangup", "unsubscribed", "down"]);
});

test("messages come through, and a channel that the server refuses is told with the reason", () => {
  const rig = new Rig();
  rig.wants("a", "b");
  rig.comesUp();
  rig.serverSays("-NOPERM no\r\n");
  const failed = rig.outputs().at(-1);
  ok(failed?.kind === "subscription_failed" && failed.error.code === "no_permission");
  deepStrictEqual(failed.channels, ["a", "b"]);
  rig.wants("c");
  rig.serverSays(
    `${confirmation("subscribe", "c", 1)}>3\r\n${bulk("message")}${bulk("c")}${bulk("hi")}`,
  );
  deepStrictEqual(rig.outputs(), [
    { kind: "subscribed", channel: "c", isSharded: false },
    new RespMessage("c", encode("hi"), false),
  ]);
  rig.written();
  rig.breaks();
  rig.comesUp(5_000);
  strictEqual(rig.written(), bulks("HELLO", "3") + bulks("SUBSCRIBE", "c"));
});

test("commands that wait too long for a connection fail, oldest first", () => {
  const rig = new Rig({ waitTimeoutMs: 1_000 });
  rig.dialled();
  rig.command("a", "GET", "x");
  rig.passes(400);
  rig.command("b", "GET", "x");
  rig.passes(600);
  const [failed, ...more] = rig.outputs();
  ok(failed?.kind === "failed" && failed.ticket === "a" && failed.error.code === "timed_out");
  strictEqual(more.length, 0);
  rig.passes(400);
  strictEqual(rig.outputs().length, 1);
  strictEqual(rig.kept.waitingCommands, 0);
});

test("at the bound the newest of what waits is refused, and told when there is room", () => {
  const rig = new Rig({ queueCommandsMax: 2 });
  for (const ticket of ["a", "b", "c"]) rig.command(ticket, "GET", "x");
  const [failed, ...more] = rig.outputs();
  ok(failed?.kind === "failed" && failed.ticket === "c" && failed.error.code === "queue_full");
  strictEqual(more.length, 0);
  rig.comesUp();
  deepStrictEqual(rig.kinds(), ["up", "relieved"]);
});

test("what is told of an earlier connection is ignored", () => {
  const rig = new Rig();
  rig.comesUp();
  rig.breaks();
  rig.outputs();
  rig.handle({ kind: "bytes", connection: 1, chunk: encode("garbage") });
  rig.handle({ kind: "ended", connection: 1, cause: undefined });
  rig.handle({ kind: "dial_failed", connection: 1, cause: undefined });
  deepStrictEqual(rig.outputs(), []);
  rig.handle({ kind: "opened", connection: 1 });
  deepStrictEqual(rig.outputs(), [{ kind: "hangup", connection: 1, isGraceful: false }]);
});

test("a server that turns the client away is tried again, and each refusal is told", () => {
  const rig = new Rig();
  for (let count = 0; count < 2; count++) {
    rig.opens(5_000);
    rig.serverSays("-WRONGPASS no\r\n");
    const [hangup, down] = rig.outputs();
    strictEqual(hangup?.kind, "hangup");
    ok(down?.kind === "down" && down.error.code === "auth_failed");
  }
});

test("close sends what waits to be written, fails the rest, and is the end", () => {
  for (const isUp of [true, false]) {
    const rig = new Rig();
    if (isUp) rig.comesUp();
    rig.outputs();
    rig.command("a", "PUBLISH", "x", "y");
    rig.handle({ kind: "close" });
    strictEqual(rig.written().includes("PUBLISH"), isUp);
    const outputs = rig.outputs();
    deepStrictEqual(
      outputs.map(({ kind }) => kind),
      isUp ? ["hangup", "failed", "down"] : ["failed", "down"],
    );
    const down = outputs.at(-1);
    ok(down?.kind === "down" && down.error.code === "closed");
    strictEqual(rig.kept.deadline, undefined);
    rig.command("late", "GET", "x");
    rig.wants("late");
    deepStrictEqual(rig.kinds(), ["failed", "subscription_failed"]);
  }
});
