import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import type { EncodableEnvelope } from "../../src/cluster/envelope.ts";
import { Router, type RouterOutput } from "../../src/cluster/router.ts";
import { type ClusterSettings, INTEREST_PIECE_CHANNELS } from "../../src/cluster/settings.ts";

const ADDITIONS_MAX = 10_000;
const SETTINGS: ClusterSettings = {
  heartbeatMs: 1_000,
  deafMs: 3_000,
  nodeTimeoutMs: 5_000,
  confirmTimeoutMs: 5_000,
  interestLingerMs: 2_000,
};

/** A node's router with peers b~1, c~1…, and what it decides in short lines. */
class Crossing {
  readonly router: Router;
  now = 0;

  constructor(
    options: { paths?: number; peers?: string; settings?: Partial<ClusterSettings> } = {},
  ) {
    const { paths = 1, peers = "", settings = {} } = options;
    this.router = new Router({ ...SETTINGS, ...settings }, paths);
    for (const peer of peers) this.router.greet(`${peer}~1`, 0);
    this.router.take();
  }

  /** Subscribes in a tick of its own, on backplanes that deliver at once. */
  wants(channel: string): this {
    this.router.subscribe(channel, channel, this.now);
    this.router.listening(0, channel);
    this.router.flush();
    return this;
  }

  /** A peer acknowledges a version, and tells some heads. */
  isKnownTo(peer: string, version: number, heads: Record<string, number> = {}): this {
    return this.#acknowledged(peer, version, { heads, isAll: false, floor: 0 });
  }

  isWhollyKnownTo(peer: string, version: number, heads: Record<string, number> = {}, floor = 0) {
    return this.#acknowledged(peer, version, { heads, isAll: true, floor });
  }

  #acknowledged(
    peer: string,
    version: number,
    ack: { heads: Record<string, number>; isAll: boolean; floor: number },
  ): this {
    const heads = Object.entries(ack.heads).map(([channel, seq]) => ({ channel, seq }));
    this.router.acknowledge(`${peer}~1`, { ...ack, version, heads });
    return this;
  }

  /** A peer tells its whole interest in one piece. */
  learns(peer: string, version: number, channels: readonly string[]) {
    return this.router.interestAll(`${peer}~1`, { version, piece: 0, isLast: true, channels });
  }

  hears(peer: string, version: number, added: readonly string[], removed: readonly string[] = []) {
    return this.router.interest(`${peer}~1`, { version, added, removed });
  }

  ticks(ms: number): this {
    for (const end = this.now + ms; this.now < end;) {
      this.now += 250;
      this.router.tick(this.now);
      this.router.flush();
    }
    return this;
  }

  interested(channel: string): string {
    return [...this.router.interested(channel)].map((node) => node[0]).join("");
  }

  decided(kind?: RouterOutput["kind"]): string[] {
    const outputs = this.router.take();
    return outputs.filter((output) => kind === undefined || output.kind === kind).map(describe);
  }
}

function describe(output: RouterOutput): string {
  switch (output.kind) {
    case "send":
      return `${output.to ?? "all"}: ${describeEnvelope(output.envelope)}`;
    case "synced":
      return `synced ${output.node}`;
    case "head":
      return `head ${output.node} ${output.channel} ${output.seq}${output.isExact ? "" : "?"}`;
    case "listen":
      return `${output.wanted ? "listen" : "unlisten"} ${output.channel}`;
    case "confirmed":
      return ["confirmed", output.ticket, ...output.missing].join(" ");
  }
}

function describeEnvelope(envelope: EncodableEnvelope): string {
  switch (envelope.kind) {
    case "interest":
      return `interest ${envelope.version} +${envelope.added} -${envelope.removed}`;
    case "interest_all": {
      const { version, piece, isLast, channels } = envelope;
      const names = channels.length > 3 ? channels.length : channels.join(",");
      return `all ${version}.${piece}${isLast ? "." : ""} ${names}`;
    }
    default:
      return envelope.kind;
  }
}

test("what changes in a tick is told as one version", () => {
  const crossing = new Crossing({ peers: "b" });
  for (const channel of ["x", "y", "x"]) crossing.router.subscribe(channel, channel, 0);
  strictEqual(crossing.router.hasNews, true);
  crossing.router.flush();
  deepStrictEqual(crossing.decided("send"), ["all: interest 1 +x,y -"]);
  crossing.router.flush();
  deepStrictEqual(crossing.decided(), []);
  deepStrictEqual([crossing.router.version, crossing.router.channelCount], [1, 2]);
});

test("more than fits into an envelope is told in several versions, each confirmed by itself", () => {
  const crossing = new Crossing({ peers: "b" });
  const count = 2 * INTEREST_PIECE_CHANNELS + 1;
  for (let index = 0; index < count; index++) {
    crossing.router.subscribe(`c${index}`, index, 0);
    crossing.router.listening(0, `c${index}`);
  }
  crossing.router.flush();
  const sent = crossing.router.take().flatMap((output) =>
    output.kind === "send" && output.envelope.kind === "interest" ? [output.envelope] : []
  );
  deepStrictEqual(sent.map(({ version, added }) => [version, added.length]), [
    [1, INTEREST_PIECE_CHANNELS],
    [2, INTEREST_PIECE_CHANNELS],
    [3, 1],
  ]);
  strictEqual(crossing.isKnownTo("b", 1).decided("confirmed").length, INTEREST_PIECE_CHANNELS);
  crossing.isKnownTo("b", 2).decided();
  strictEqual(crossing.isKnownTo("b", 3).decided("confirmed").length, 1);
});

test("channels that are let go of together are told in several versions too", () => {
  const crossing = new Crossing({ peers: "b" });
  const count = INTEREST_PIECE_CHANNELS + 2;
  for (let index = 0; index < count; index++) crossing.router.subscribe(`c${index}`, index, 0);
  crossing.router.flush();
  for (let index = 0; index < count; index++) crossing.router.unsubscribe(`c${index}`, 0);
  crossing.router.subscribe("late", "late", 0);
  crossing.decided();
  crossing.now = SETTINGS.interestLingerMs;
  crossing.router.tick(crossing.now);
  crossing.router.flush();
  const sent = crossing.router.take().flatMap((output) =>
    output.kind === "send" && output.envelope.kind === "interest" ? [output.envelope] : []
  );
  deepStrictEqual(sent.map(({ added, removed }) => [added.length, removed.length]), [
    [1, INTEREST_PIECE_CHANNELS - 1],
    [0, 3],
  ]);
  strictEqual(crossing.router.channelCount, 1);
});

test("P2: a subscription is confirmed when every peer knows, and each tells where it stands", () => {
  const crossing = new Crossing({ peers: "bc" }).wants("x");
  deepStrictEqual(crossing.decided(), ["listen x", "all: interest 1 +x -"]);
  deepStrictEqual(crossing.isKnownTo("b", 1, { x: 7 }).decided(), ["head b~1 x 7"]);
  deepStrictEqual(crossing.isKnownTo("c", 1).decided(), ["head c~1 x 0?", "confirmed x"]);
});

test("P2: with nobody else it is confirmed at the end of the tick, and later at once", () => {
  const crossing = new Crossing().wants("x");
  deepStrictEqual(crossing.decided(), ["listen x", "confirmed x"]);
  crossing.router.subscribe("x", "again", 0);
  deepStrictEqual(crossing.decided(), ["confirmed again"]);
});

test("P2: it waits for each backplane to deliver the channel", () => {
  const crossing = new Crossing({ paths: 2 }).wants("x");
  deepStrictEqual(crossing.decided("confirmed"), []);
  crossing.router.listening(1, "other");
  deepStrictEqual(crossing.decided("confirmed"), []);
  crossing.router.listening(1, "x");
  deepStrictEqual(crossing.decided("confirmed"), ["confirmed x"]);
});

test("P15: a backplane that is down holds up no subscription, old or new, until it is back", () => {
  const crossing = new Crossing({ paths: 2 }).wants("x");
  crossing.decided();
  crossing.router.pathLost(1);
  deepStrictEqual(crossing.decided(), ["confirmed x"]);
  deepStrictEqual(crossing.wants("y").decided("confirmed"), ["confirmed y"]);
  crossing.router.pathFound(1);
  deepStrictEqual(crossing.wants("z").decided("confirmed"), []);
});

test("P2: an acknowledgement with a hole before it confirms nothing", () => {
  const crossing = new Crossing({ peers: "b" }).wants("x").wants("y");
  crossing.decided();
  deepStrictEqual(crossing.isKnownTo("b", 2, { y: 3 }).decided(), []);
  deepStrictEqual(crossing.isKnownTo("b", 1).decided("confirmed"), ["confirmed x"]);
  deepStrictEqual(crossing.isKnownTo("b", 1).decided(), []);
  deepStrictEqual(crossing.isWhollyKnownTo("b", 2, { x: 1, y: 3 }).decided(), [
    "head b~1 x 1",
    "head b~1 y 3",
    "confirmed y",
  ]);
  crossing.isWhollyKnownTo("b", 1, { x: 1 });
  crossing.decided();
  crossing.router.subscribe("y", "again", 0);
  deepStrictEqual(crossing.decided(), ["confirmed again"]);
});

test("P2: an acknowledgement of the whole covers what is in its version, and nothing newer", () => {
  const crossing = new Crossing({ peers: "b" }).wants("x").wants("y");
  crossing.decided();
  deepStrictEqual(crossing.isWhollyKnownTo("b", 1, { x: 4 }, 9).decided(), [
    "head b~1 x 4",
    "confirmed x",
  ]);
  deepStrictEqual(crossing.isWhollyKnownTo("b", 2, {}, 9).decided("head"), [
    "head b~1 x 9?",
    "head b~1 y 9?",
  ]);
});

test("P2: when the time is up it is confirmed, with those that have not answered", () => {
  const crossing = new Crossing({ peers: "bc" }).wants("x").isKnownTo("c", 1);
  crossing.decided();
  deepStrictEqual(crossing.ticks(4_750).decided("confirmed"), []);
  deepStrictEqual(crossing.ticks(250).decided("confirmed"), ["confirmed x b~1"]);
  strictEqual(crossing.router.confirmTimeouts, 1);
});

test("P2: when the time is up and no backplane delivers the channel, everybody is missing", () => {
  for (const [delivering, missing] of [[0, "x b~1 c~1"], [1, "x"]] as const) {
    const crossing = new Crossing({ paths: 2, peers: "bc" });
    crossing.router.subscribe("x", "x", 0);
    for (let path = 0; path < delivering; path++) crossing.router.listening(path, "x");
    crossing.router.flush();
    for (const peer of ["b", "c"]) crossing.isKnownTo(peer, 1);
    crossing.decided();
    deepStrictEqual(crossing.ticks(5_000).decided("confirmed"), [`confirmed ${missing}`]);
  }
});

test("P2: each subscriber of a channel has its own time", () => {
  const crossing = new Crossing({ peers: "b" }).wants("x").ticks(2_000);
  crossing.router.subscribe("x", "late", crossing.now);
  crossing.decided();
  deepStrictEqual(crossing.ticks(3_000).decided("confirmed"), ["confirmed x b~1"]);
  deepStrictEqual(crossing.ticks(1_750).decided("confirmed"), []);
  deepStrictEqual(crossing.isKnownTo("b", 1).decided("confirmed"), ["confirmed late"]);
});

test("P2: a peer that is down is waited for no longer", () => {
  const crossing = new Crossing({ peers: "bc" }).wants("x").isKnownTo("c", 1);
  crossing.decided();
  crossing.router.forget("b~1");
  deepStrictEqual(crossing.decided(), ["confirmed x"]);
});

test("P2: a peer that is greeted anew must acknowledge anew", () => {
  const crossing = new Crossing({ peers: "b" }).wants("x").isKnownTo("b", 1);
  crossing.router.greet("b~1", 0);
  crossing.decided();
  crossing.router.subscribe("x", "again", 0);
  deepStrictEqual(crossing.decided(), []);
  deepStrictEqual(crossing.isWhollyKnownTo("b", 1).decided("confirmed"), ["confirmed again"]);
});

test("P2: a version that nobody remembers is acknowledged by the whole alone", () => {
  // Told before the peer was there, so what it added was kept for nobody.
  const crossing = new Crossing().wants("x");
  crossing.router.greet("b~1", 0);
  crossing.router.subscribe("x", "again", 0);
  crossing.decided();
  deepStrictEqual(crossing.isKnownTo("b", 1).decided(), []);
  deepStrictEqual(crossing.isWhollyKnownTo("b", 1).decided(), ["head b~1 x 0?", "confirmed again"]);
});

test("what a silent peer has not acknowledged is kept up to a bound; then the whole is needed", () => {
  const crossing = new Crossing({ peers: "b" });
  for (let version = 0; version <= ADDITIONS_MAX; version++) crossing.wants(`c${version}`);
  crossing.decided();
  deepStrictEqual(crossing.isKnownTo("b", 1).decided("confirmed"), []);
  crossing.isWhollyKnownTo("b", ADDITIONS_MAX + 1);
  strictEqual(crossing.decided("confirmed").length, ADDITIONS_MAX + 1);
});

test("what a stranger says changes nothing", () => {
  const crossing = new Crossing().wants("x");
  crossing.decided();
  crossing.hears("s", 1, ["x"]);
  crossing.learns("s", 1, ["x"]);
  crossing.isWhollyKnownTo("s", 1).isKnownTo("s", 1);
  crossing.router.heartbeat("s~1", 9);
  crossing.router.interestRequest("s~1", 0);
  crossing.router.forget("s~1");
  deepStrictEqual(crossing.decided(), []);
  deepStrictEqual([crossing.interested("x"), crossing.router.isInterested("s~1", "x")], [
    "",
    false,
  ]);
});

test("whoever waits and leaves is answered, and nothing is left of it", () => {
  const crossing = new Crossing({ peers: "b" }).wants("x");
  crossing.router.unsubscribe("x", 0);
  crossing.ticks(SETTINGS.interestLingerMs);
  deepStrictEqual(crossing.decided("confirmed"), ["confirmed x"]);
  deepStrictEqual([crossing.router.channelCount, crossing.router.isWanted("x")], [0, false]);
});

test("a subscriber that comes, goes and comes again in one tick is told as one", () => {
  const crossing = new Crossing({ peers: "b" });
  crossing.router.subscribe("x", "first", 0);
  crossing.router.unsubscribe("x", 0);
  crossing.router.subscribe("x", "second", 0);
  crossing.router.listening(0, "x");
  crossing.router.flush();
  deepStrictEqual(crossing.decided("send"), ["all: interest 1 +x -"]);
  deepStrictEqual(crossing.ticks(500).isKnownTo("b", 1).decided("confirmed"), [
    "confirmed first",
    "confirmed second",
  ]);
  strictEqual(crossing.ticks(10_000).router.isWanted("x"), true);
});

test("P3: interest outlives its last subscriber by the linger time, and then is told", () => {
  const crossing = new Crossing({ peers: "b" }).wants("x").isKnownTo("b", 1);
  crossing.router.unsubscribe("x", 0);
  crossing.decided();
  deepStrictEqual(crossing.ticks(1_750).decided(), []);
  deepStrictEqual(crossing.ticks(250).decided(), ["unlisten x", "all: interest 2 + -x"]);
  deepStrictEqual(crossing.isKnownTo("b", 2).ticks(5_000).decided(), []);
});

test("a subscriber that returns within the linger time finds everything in place", () => {
  const crossing = new Crossing({ peers: "b" }).wants("x").isKnownTo("b", 1);
  crossing.router.unsubscribe("x", 0);
  crossing.ticks(1_750).decided();
  crossing.router.subscribe("x", "again", crossing.now);
  deepStrictEqual(crossing.ticks(10_000).decided(), ["confirmed again"]);
});

test("P3: a peer is interested in what it told, and in nothing that it took back", () => {
  const crossing = new Crossing({ peers: "bc" });
  deepStrictEqual(crossing.learns("b", 3, ["x", "y"]), ["x", "y"]);
  deepStrictEqual(crossing.learns("c", 1, ["y"]), ["y"]);
  deepStrictEqual(crossing.hears("b", 4, ["z"], ["x"]), ["z"]);
  deepStrictEqual(["x", "y", "z"].map((name) => crossing.interested(name)), ["", "bc", "b"]);
  strictEqual(crossing.router.isInterested("b~1", "x"), false);
  crossing.router.forget("b~1");
  deepStrictEqual(["x", "y", "z"].map((name) => crossing.interested(name)), ["", "c", ""]);
});

test("P9: a peer counts once when both know what the other wants, whichever comes first", () => {
  const crossing = new Crossing({ peers: "bc" });
  crossing.learns("b", 1, ["x"]);
  crossing.isWhollyKnownTo("c", 0);
  deepStrictEqual(crossing.decided(), []);
  crossing.isWhollyKnownTo("b", 0);
  crossing.learns("c", 1, []);
  deepStrictEqual(crossing.decided(), ["synced b~1", "synced c~1"]);
  crossing.router.greet("b~1", 0);
  crossing.isWhollyKnownTo("b", 0).learns("b", 2, ["x"]);
  deepStrictEqual(crossing.decided().filter((line) => line.startsWith("synced")), []);
});

test("a change is applied once, and never before the whole is known", () => {
  const crossing = new Crossing({ peers: "b" });
  strictEqual(crossing.hears("b", 1, ["x"]), undefined);
  crossing.learns("b", 1, []);
  deepStrictEqual(crossing.hears("b", 2, ["x"]), ["x"]);
  strictEqual(crossing.hears("b", 2, ["x"]), undefined);
  strictEqual(
    crossing.router.interest("stranger~1", { version: 1, added: ["x"], removed: [] }),
    undefined,
  );
  strictEqual(crossing.interested("x"), "b");
});

test("after a change that was missed the whole is asked for, once for each heartbeat", () => {
  const crossing = new Crossing({ peers: "b" });
  crossing.learns("b", 1, ["x"]);
  crossing.decided();
  strictEqual(crossing.hears("b", 3, ["z"]), undefined);
  strictEqual(crossing.hears("b", 4, ["w"]), undefined);
  deepStrictEqual(crossing.decided(), ["b~1: interest_request"]);
  crossing.router.heartbeat("b~1", 4);
  deepStrictEqual(crossing.decided(), ["b~1: interest_request"]);
  deepStrictEqual(crossing.learns("b", 4, ["y", "z", "w"]), ["y", "z", "w"]);
  strictEqual(crossing.interested("x") + crossing.interested("z"), "b");
  strictEqual(crossing.router.isInterested("b~1", "x"), false);
  crossing.router.heartbeat("b~1", 4);
  deepStrictEqual(crossing.decided(), []);
  strictEqual(crossing.hears("b", 6, []), undefined);
  deepStrictEqual(crossing.decided(), ["b~1: interest_request"]);
});

test("a whole interest that is older than what is known changes nothing, and is acknowledged", () => {
  const crossing = new Crossing({ peers: "b" });
  crossing.learns("b", 1, ["x"]);
  crossing.hears("b", 2, ["y"], ["x"]);
  deepStrictEqual(crossing.learns("b", 1, ["x"]), ["x"]);
  deepStrictEqual([crossing.interested("x"), crossing.interested("y")], ["", "b"]);
  deepStrictEqual(crossing.hears("b", 3, ["z"]), ["z"]);
});

test("a whole interest is taken when all its pieces are here, in order, of one version", () => {
  const pieces: readonly (readonly [why: string, pieces: readonly string[], taken: boolean])[] = [
    ["in order", ["1.0", "1.1", "1.2."], true],
    ["each twice", ["1.0", "1.0", "1.1", "1.1", "1.2.", "1.2."], true],
    ["begun again", ["1.0", "1.1", "1.0", "1.1", "1.2."], true],
    ["one lost", ["1.0", "1.2."], false],
    ["the first lost", ["1.1", "1.2."], false],
    ["of two versions", ["1.0", "2.1", "2.2."], false],
    ["of a newer version", ["1.0", "2.0", "2.1."], true],
  ];
  for (const [why, names, taken] of pieces) {
    const crossing = new Crossing({ peers: "b" });
    let isTaken = false;
    for (const name of names) {
      const [version, piece] = name.split(".").map(Number) as [number, number];
      const part = { version, piece, isLast: name.endsWith("."), channels: [`c${piece}`] };
      if (crossing.router.interestAll("b~1", part) !== undefined) isTaken = true;
    }
    strictEqual(isTaken, taken, why);
    strictEqual(crossing.interested("c0"), taken ? "b" : "", why);
  }
});

test("a large interest is told whole in pieces that fit", () => {
  const crossing = new Crossing({ peers: "b" });
  for (let index = 0; index < 2_500; index++) crossing.router.subscribe(`c${index}`, index, 0);
  crossing.router.flush();
  crossing.decided();
  crossing.router.interestRequest("b~1", 0);
  deepStrictEqual(crossing.decided(), [
    "b~1: all 3.0 1000",
    "b~1: all 3.1 1000",
    "b~1: all 3.2. 500",
  ]);
});

test("whoever is greeted is told everything that was told to the others before", () => {
  const crossing = new Crossing({ peers: "b" }).wants("x");
  crossing.router.subscribe("y", "y", 0);
  crossing.decided();
  crossing.router.greet("c~1", 0);
  deepStrictEqual(crossing.decided("send"), ["all: interest 2 +y -", "c~1: all 2.0. x,y"]);
});

test("a peer that does not answer is told everything again, each second", () => {
  const crossing = new Crossing({ peers: "b" }).isWhollyKnownTo("b", 0).wants("x");
  crossing.decided();
  strictEqual(crossing.ticks(3_250).decided("send").length, 3);
  crossing.isKnownTo("b", 1);
  deepStrictEqual(crossing.ticks(5_000).decided("send"), []);
});

test("a peer that answers is never told everything again, however much changes", () => {
  const crossing = new Crossing({ peers: "b" }).isWhollyKnownTo("b", 0);
  for (let version = 1; version <= 50; version++) {
    crossing.wants(`c${version}`).isKnownTo("b", version - 1).ticks(250);
  }
  ok(!crossing.decided("send").some((line) => line.includes("all ")));
});

test("a node that goes is told what is known, and waits for nothing more", () => {
  const crossing = new Crossing({ peers: "b" }).wants("x");
  crossing.decided();
  crossing.router.giveUp(Infinity);
  deepStrictEqual(crossing.decided(), ["confirmed x b~1"]);
  deepStrictEqual(crossing.isKnownTo("b", 1).decided("confirmed"), []);
});
