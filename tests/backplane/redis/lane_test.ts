import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_CONNECTION_SETTINGS } from "../../../src/backplane/redis/connection_settings.ts";
import { Lane } from "../../../src/backplane/redis/lane.ts";
import { createPrng } from "../../../src/core/prng.ts";
import { bulk, bulks, commandsOf, confirmation, HELLO_REPLY } from "../../support/redis_wire.ts";

const CANARY = "p:n:me";
const LIFE = "p:l:{p:n:me}";
const BUSY = "-BUSY Redis is busy running a script.\r\n";
const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

/** A lane in virtual time, and the server at the other end of its two connections. */
class Rig {
  now = 0;
  readonly lane: Lane;
  /** Whether the server refuses what is asked of it. */
  isBusy = false;
  /** Answers that the server keeps back, while it does. */
  held: string[] | undefined;
  /** Connections that bring nothing any more, whatever the server says. */
  readonly dead = new Set<number>();
  /** Connections that bring answers, and no messages. */
  readonly deaf = new Set<number>();
  /** What the lane told, but for messages. */
  readonly said: string[] = [];
  readonly #listening = new Set<string>();

  constructor() {
    let number = 0;
    const context = {
      connection: DEFAULT_CONNECTION_SETTINGS,
      tls: undefined,
      reconnectMinMs: 100,
      reconnectMaxMs: 2_000,
      prng: createPrng(1),
      nextNumber: () => ++number,
    };
    this.lane = new Lane(context, {
      address: { hostname: "redis", port: 6379 },
      isSharded: false,
      role: "unchanged",
      canary: CANARY,
      life: LIFE,
      encodeCanary: (count) => encode(`${count}`),
    }, this.now);
    this.settles();
  }

  /** Lets time pass, with a wake whenever the lane wants one. */
  passes(ms: number): void {
    const end = this.now + ms;
    for (let at = this.lane.deadline; at !== undefined && at <= end; at = this.lane.deadline) {
      this.now = Math.max(this.now, at);
      this.lane.handle({ kind: "wake" }, this.now);
      this.settles();
    }
    this.now = end;
  }

  /** The server answers everything that it has kept back. */
  answers(): void {
    const held = this.held ?? [];
    this.held = undefined;
    for (const answer of held) this.#tells(this.lane.wires[1]!, answer);
    this.settles();
  }

  /** Performs what the lane decides. */
  settles(): void {
    for (let outputs = this.lane.take(); outputs.length > 0; outputs = this.lane.take()) {
      for (const output of outputs) {
        if (output.kind === "dial") {
          this.lane.handle({ kind: "opened", connection: output.connection }, this.now);
        } else if (output.kind === "write") {
          const text = output.parts.map((part) => new TextDecoder().decode(part)).join("");
          for (const command of commandsOf(text)) this.#serve(output.connection, command);
        } else if (output.kind === "message") {
          const number = Number(new TextDecoder().decode(output.payload));
          if (output.channel === CANARY) this.lane.canaryHeard(number, this.now);
        } else if (output.kind === "subscribed") this.said.push(`on ${output.channel}`);
        else if (output.kind !== "hangup" && output.kind !== "listeners") {
          this.said.push("error" in output ? `${output.kind} ${output.error.code}` : output.kind);
        }
      }
    }
  }

  /** The connection that hears breaks. */
  breaks(): void {
    this.#listening.clear();
    const connection = this.lane.wires[1]!;
    this.lane.handle({ kind: "ended", connection, cause: undefined }, this.now);
    this.settles();
  }

  #serve(connection: number, [name, ...rest]: readonly string[]): void {
    if (name === "HELLO") return this.#tells(connection, HELLO_REPLY);
    if (name === "PING") return this.#tells(connection, "+PONG\r\n");
    if (this.isBusy) return this.#tells(connection, BUSY);
    if (name === "PUBSUB") return this.#tells(connection, `*2\r\n${bulk(rest[1]!)}:1\r\n`);
    if (name === "PUBLISH") {
      this.#tells(connection, ":1\r\n");
      if (!this.#listening.has(rest[0]!)) return;
      return this.#tells(this.lane.wires[1]!, bulks("message", ...rest).replace("*", ">"));
    }
    for (const channel of rest) {
      if (name === "SUBSCRIBE") this.#listening.add(channel);
      else this.#listening.delete(channel);
      const answer = confirmation(name!.toLowerCase(), channel, this.#listening.size);
      if (this.held !== undefined) this.held.push(answer);
      else this.#tells(connection, answer);
    }
  }

  #tells(connection: number, wire: string): void {
    if (this.dead.has(connection)) return;
    if (this.deaf.has(connection) && wire.includes("$7\r\nmessage\r\n")) return;
    this.lane.handle({ kind: "bytes", connection, chunk: encode(wire) }, this.now);
  }
}

test("a lane is ready once everything is subscribed to and a canary came through", () => {
  const rig = new Rig();
  rig.lane.subscribe("p:all", rig.now);
  rig.passes(1_000);
  deepStrictEqual(rig.said, [`on ${CANARY}`, "on p:all", "ready"]);
});

test("P13: a subscription that is there and hears nothing is built anew within 3 s", () => {
  const rig = new Rig();
  rig.passes(1_000);
  rig.said.length = 0;
  rig.deaf.add(rig.lane.wires[1]!);
  rig.passes(2_000);
  deepStrictEqual(rig.said, []);
  rig.passes(900);
  deepStrictEqual(rig.said, ["lost timed_out", "failed timed_out", `on ${CANARY}`, "ready"]);
});

test("P13: when one connection is dead, what hears is not waited for: both are new in 3 s", () => {
  const rig = new Rig();
  rig.passes(1_000);
  rig.said.length = 0;
  const before = rig.lane.wires;
  for (const connection of before) rig.dead.add(connection);
  rig.passes(2_800);
  deepStrictEqual(rig.said, ["lost timed_out", "failed timed_out", `on ${CANARY}`, "ready"]);
  deepStrictEqual(rig.lane.wires.filter((connection) => before.includes(connection)), []);
});

test("P13: what a busy server refuses after a break is asked for again until it is there", () => {
  const rig = new Rig();
  rig.lane.subscribe("p:all", rig.now);
  rig.lane.subscribe("p:c/news", rig.now);
  rig.passes(1_000);
  rig.said.length = 0;
  rig.isBusy = true;
  rig.breaks();
  rig.passes(5_000);
  deepStrictEqual([...new Set(rig.said)], ["lost connection_lost", "failed server_error"]);
  ok(rig.said.length <= 7, `${rig.said.length} words for 5 s`);
  rig.said.length = 0;
  rig.isBusy = false;
  rig.passes(1_500);
  deepStrictEqual(rig.said.sort(), ["on p:all", "on p:c/news", `on ${CANARY}`, "ready"]);
});

test("P13: a server that was too busy to say who listens is asked again", () => {
  const rig = new Rig();
  rig.passes(1_000);
  rig.isBusy = true;
  const [connection] = rig.lane.wires;
  rig.lane.handle({ kind: "ended", connection: connection!, cause: undefined }, rig.now);
  rig.passes(2_000);
  rig.isBusy = false;
  rig.passes(1_500);
  strictEqual(rig.lane.isReady, true);
});

test("a channel that is refused while all others come through is asked for again", () => {
  const rig = new Rig();
  rig.passes(1_000);
  rig.said.length = 0;
  rig.isBusy = true;
  for (const channel of ["x", "y", "z"]) rig.lane.subscribe(channel, rig.now);
  rig.lane.unsubscribe("y", rig.now);
  rig.passes(50);
  rig.isBusy = false;
  rig.passes(1_200);
  deepStrictEqual(rig.said.filter((word) => word.startsWith("on ")).sort(), ["on x", "on z"]);
});

test("P2: a channel that is left and joined again counts from the last confirmation on", () => {
  const rig = new Rig();
  rig.passes(1_000);
  rig.said.length = 0;
  rig.held = [];
  rig.lane.subscribe("x", rig.now);
  rig.passes(0);
  rig.lane.unsubscribe("x", rig.now);
  rig.lane.subscribe("x", rig.now);
  rig.passes(0);
  strictEqual(rig.held.length, 3);
  const last = rig.held.pop()!;
  rig.answers();
  deepStrictEqual(rig.said, []);
  rig.held = [last];
  rig.answers();
  deepStrictEqual(rig.said, ["on x"]);
});

test("a server that refuses all packets is complained of once a second, and each is counted", () => {
  const rig = new Rig();
  rig.passes(1_000);
  rig.said.length = 0;
  rig.isBusy = true;
  for (let count = 0; count < 100; count++) rig.lane.publish("p:all", encode("x"), rig.now);
  rig.passes(900);
  deepStrictEqual(rig.said.filter((word) => word !== "dropped"), ["fault server_error"]);
  ok(rig.said.length > 100);
});
