import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { Membership } from "../../src/cluster/membership.ts";
import { TICK_MS } from "../../src/cluster/settings.ts";
import type { Millis } from "../../src/core/machine.ts";
import { pair, SETTINGS, VirtualCluster } from "../support/virtual_cluster.ts";

const PATH = 0;

/** Three nodes: this one, `b` and `c`. */
function threeNodes(): Membership {
  const membership = new Membership("a~1", SETTINGS, 0);
  for (const name of ["b", "c"]) {
    membership.pathUp(PATH, { id: `${name}~1`, name }, 0);
    membership.synced(`${name}~1`);
  }
  membership.take();
  return membership;
}

function kindsOf(membership: Membership): string[] {
  return membership.take().map((output) =>
    "node" in output ? `${output.kind} ${output.node}` : output.kind
  );
}

test("P8: a node whose process died is down as soon as nobody else can speak for it", () => {
  const membership = threeNodes();
  membership.pathUp(PATH, { id: "d~1", name: "d" }, 0);
  membership.pathDown(PATH, "b~1", "refused", 10);
  membership.take();
  membership.testimony({ from: "c~1", node: "b~1", heardAgoMs: undefined }, 12);
  deepStrictEqual(kindsOf(membership), [], "d has not answered");
  membership.testimony({ from: "d~1", node: "b~1", heardAgoMs: 5 }, 13);
  membership.testimony({ from: "d~1", node: "b~1", heardAgoMs: undefined }, 14);
  deepStrictEqual(kindsOf(membership), ["down b~1"]);
});

test("P8: whoever hears a node whose process seemed gone takes back what it said before", () => {
  const membership = threeNodes();
  membership.pathUp(PATH, { id: "d~1", name: "d" }, 0);
  membership.pathDown(PATH, "b~1", "refused", 10);
  membership.take();
  membership.testimony({ from: "c~1", node: "b~1", heardAgoMs: undefined }, 12);
  membership.testimony({ from: "c~1", node: "b~1", heardAgoMs: 1 }, 13);
  membership.testimony({ from: "d~1", node: "b~1", heardAgoMs: undefined }, 14);
  deepStrictEqual(kindsOf(membership), []);
});

test("P8: a node that was restarted is gone before its successor is met", () => {
  const membership = threeNodes();
  membership.pathDown(PATH, "b~1", "refused", 10);
  deepStrictEqual(kindsOf(membership), ["probe b~1"]);
  membership.pathUp(PATH, { id: "b~2", name: "b" }, 20);
  deepStrictEqual(kindsOf(membership), ["down b~1", "greet b~2"]);
});

test("P8: a node that is out of reach is not purged because another has its name", () => {
  const membership = threeNodes();
  membership.pathDown(PATH, "b~1", "lost", 10);
  membership.pathUp(PATH, { id: "b~2", name: "b" }, 20);
  deepStrictEqual(kindsOf(membership), ["greet b~2"]);
});

/** Ticks up to a time; from `brokenAt` on the witness says that it has no path to `b` either. */
function asksWitness(membership: Membership, brokenAt: Millis, untilMs: Millis): string[] {
  const told: string[] = [];
  for (let now = 0; now <= untilMs; now += TICK_MS) {
    membership.observe(now);
    membership.heard(PATH, "c~1", now);
    membership.tick(now);
    for (const output of membership.take()) {
      if (output.kind === "down") told.push(`${output.node} ${output.reason}`);
      if (output.kind !== "probe") continue;
      membership.testimony({
        from: "c~1",
        node: "b~1",
        heardAgoMs: now < brokenAt ? now : undefined,
      }, now);
    }
  }
  return told;
}

test("P8: who has another name succeeds nobody", () => {
  const membership = threeNodes();
  membership.pathDown(PATH, "b~1", "refused", 10);
  membership.pathUp(PATH, { id: "d~1", name: "d" }, 20);
  deepStrictEqual(kindsOf(membership), ["probe b~1", "greet d~1"]);
});

test("P8: a dead process is gone within a second although a witness finds out later", () => {
  const membership = threeNodes();
  membership.pathDown(PATH, "b~1", "refused", 0);
  membership.testimony({ from: "c~1", node: "b~1", heardAgoMs: 0 }, 0);
  deepStrictEqual(asksWitness(membership, 200, 1_000), ["b~1 died"]);
});

test("P14: a node that refuses this one is not dead while another has a path to it", () => {
  const membership = threeNodes();
  membership.pathDown(PATH, "b~1", "refused", 0);
  membership.testimony({ from: "c~1", node: "b~1", heardAgoMs: 0 }, 0);
  deepStrictEqual(asksWitness(membership, Infinity, SETTINGS.nodeTimeoutMs - 2 * TICK_MS), []);
});

/** One node's membership on two paths, fed in short words, and what it decides in short lines. */
class Circle {
  readonly membership = new Membership("a~1", SETTINGS, 0);
  now: Millis = 0;
  /** Nodes that are heard on path 0 before each tick. */
  heard: readonly string[] = [];

  ups(node: string, path = PATH): this {
    this.membership.pathUp(path, { id: `${node}~1`, name: node }, this.now);
    return this;
  }

  downs(node: string, loss: "left" | "refused" | "lost", path = PATH): this {
    this.membership.pathDown(path, `${node}~1`, loss, this.now);
    return this;
  }

  syncs(node: string): this {
    this.membership.synced(`${node}~1`);
    return this;
  }

  runs(ms: Millis): this {
    for (const end = this.now + ms; this.now < end;) {
      this.now += TICK_MS;
      this.membership.observe(this.now);
      for (const node of this.heard) this.membership.heard(PATH, `${node}~1`, this.now);
      this.membership.tick(this.now);
    }
    return this;
  }

  states(): string[] {
    return this.membership.view(this.now).map(({ name, state, paths }) =>
      [name, state, ...paths].join(" ")
    );
  }

  decided(): string[] {
    return this.membership.take().map((output) => {
      const path = "path" in output ? output.path : "";
      const reason = output.kind === "down" ? output.reason : "";
      const node = "node" in output ? output.node : "";
      return [output.kind, node, path, reason].filter((word) => word !== "").join(" ");
    });
  }
}

test("a node counts from when its interest is known, once, however often a path comes up", () => {
  const circle = new Circle().ups("b");
  deepStrictEqual([circle.states(), circle.membership.connectedCount], [["b syncing 0"], 0]);
  deepStrictEqual(circle.syncs("b").syncs("b").ups("b", 1).syncs("b").decided(), [
    "greet b~1",
    "connected b~1",
    "greet b~1",
  ]);
  deepStrictEqual([circle.states(), circle.membership.connectedCount], [["b connected 0 1"], 1]);
});

const LOSSES: readonly {
  readonly what: string;
  readonly feed: (circle: Circle) => unknown;
  readonly decides: readonly string[];
  readonly states: readonly string[];
}[] = [
  {
    what: "one of two paths is lost",
    feed: (circle) => circle.downs("b", "lost", 1),
    decides: [],
    states: ["b connected 0"],
  },
  {
    what: "both paths are lost",
    feed: (circle) => circle.downs("b", "lost", 1).downs("b", "lost"),
    decides: [],
    states: ["b suspect"],
  },
  {
    what: "it leaves one of two backplanes",
    feed: (circle) => circle.downs("b", "left"),
    decides: [],
    states: ["b connected 1"],
  },
  {
    what: "it leaves both backplanes",
    feed: (circle) => circle.downs("b", "left").downs("b", "left", 1),
    decides: ["down b~1 left"],
    states: [],
  },
  {
    what: "its goodbye comes over one path only, as the other ends before it",
    feed: (circle) => circle.downs("b", "left").downs("b", "refused", 1),
    decides: ["down b~1 left"],
    states: [],
  },
  {
    what: "it leaves while the other path is lost",
    feed: (circle) => circle.downs("b", "lost", 1).downs("b", "left"),
    decides: ["down b~1 left"],
    states: [],
  },
  {
    what: "its process refuses on one of two paths",
    feed: (circle) => circle.downs("b", "refused"),
    decides: [],
    states: ["b connected 1"],
  },
  {
    what: "its process refuses where no other node can be asked",
    feed: (circle) => circle.downs("b", "lost", 1).downs("b", "refused"),
    decides: ["down b~1 died"],
    states: [],
  },
  {
    what: "it is found dead after its paths were lost",
    feed: (circle) => {
      circle.downs("b", "lost", 1).downs("b", "lost");
      circle.membership.pathGone(1, "b~1", circle.now);
    },
    decides: ["down b~1 died"],
    states: [],
  },
  {
    what: "a path that is up is said to be dead",
    feed: (circle) => circle.membership.pathGone(1, "b~1", circle.now),
    decides: [],
    states: ["b connected 0 1"],
  },
  {
    what: "a path that it never had is lost",
    feed: (circle) => circle.downs("b", "left", 2).downs("stranger", "left"),
    decides: [],
    states: ["b connected 0 1"],
  },
];

for (const { what, feed, decides, states } of LOSSES) {
  test(`when ${what}: ${decides.length === 0 ? "the node stays" : decides[0]}`, () => {
    const circle = new Circle().ups("b").ups("b", 1).syncs("b");
    circle.decided();
    feed(circle);
    deepStrictEqual([circle.decided(), circle.states()], [decides, states]);
  });
}

test("P8: a process is dead a moment after it was found gone, however often it is", () => {
  const circle = new Circle().ups("b").syncs("b").ups("c").syncs("c");
  circle.heard = ["c"];
  circle.downs("b", "lost").decided();
  for (let step = 0; step < 2; step++) {
    circle.membership.pathGone(PATH, "b~1", circle.now);
    circle.runs(TICK_MS);
  }
  ok(circle.decided().includes("down b~1 died"));
});

test("P14: a process that refused and then is there again is not dead", () => {
  const circle = new Circle().ups("b").syncs("b").ups("c").syncs("c");
  circle.heard = ["b", "c"];
  circle.downs("b", "refused").ups("b").runs(10_000);
  deepStrictEqual(circle.states(), ["b connected 0", "c connected 0"]);
});

test("P8: nobody is dead or lost for a backplane that is down; then each has its full time", () => {
  const circle = new Circle().ups("b").syncs("b").ups("c").syncs("c");
  circle.downs("b", "refused").membership.pathLost(PATH);
  deepStrictEqual(circle.states(), ["b suspect", "c suspect"]);
  circle.runs(60_000).decided();
  strictEqual(circle.membership.isStale, true);
  circle.membership.pathFound(PATH, circle.now);
  deepStrictEqual([circle.membership.isStale, circle.states().length], [false, 2]);
  circle.runs(SETTINGS.nodeTimeoutMs - 2 * TICK_MS);
  strictEqual(circle.states().length, 2);
  circle.runs(TICK_MS);
  strictEqual(circle.states().length, 0);
});

test("a node that never counted goes without having counted", () => {
  const circle = new Circle().ups("b");
  circle.decided();
  circle.downs("b", "left");
  const [output] = circle.membership.take();
  deepStrictEqual(output?.kind === "down" && output.wasConnected, false);
});

test("P13: each path that is up carries a heartbeat each second, to nodes that do not count too", () => {
  const circle = new Circle().ups("b").ups("b", 1).ups("c");
  circle.heard = ["b", "c"];
  circle.downs("c", "lost").decided();
  circle.runs(1_000);
  deepStrictEqual(circle.decided(), ["heartbeat b~1 0", "heartbeat b~1 1"]);
  circle.runs(750);
  deepStrictEqual(circle.decided(), []);
});

test("P13: a path that is deaf is built anew, alone, and again only after as long", () => {
  const circle = new Circle().ups("b").ups("b", 1).syncs("b");
  circle.heard = ["b"];
  const rebuilds = (): string[] => circle.decided().filter((line) => line.startsWith("rebuild"));
  deepStrictEqual(circle.runs(SETTINGS.deafMs - 2 * TICK_MS) && rebuilds(), []);
  deepStrictEqual(circle.runs(TICK_MS) && rebuilds(), ["rebuild b~1 1"]);
  deepStrictEqual(circle.runs(SETTINGS.deafMs - 2 * TICK_MS) && rebuilds(), []);
  deepStrictEqual(circle.runs(TICK_MS) && rebuilds(), ["rebuild b~1 1"]);
  strictEqual(circle.membership.isDeaf, false);
  circle.now += 60_000;
  deepStrictEqual(circle.runs(TICK_MS) && rebuilds(), []);
});

test("P14: before a silent node is down the others are asked, and it is down in time", () => {
  const circle = new Circle().ups("b").syncs("b").ups("c").syncs("c");
  circle.heard = ["c"];
  const about = (kind: string): string[] =>
    circle.decided().filter((line) => line.startsWith(kind) && line.includes("b~1"));
  circle.runs(SETTINGS.deafMs / 2 - TICK_MS);
  deepStrictEqual(about("probe"), []);
  circle.runs(SETTINGS.nodeTimeoutMs - TICK_MS - circle.now - TICK_MS);
  strictEqual(about("probe").length, 7);
  deepStrictEqual(circle.runs(TICK_MS) && about("down"), ["down b~1 timed_out"]);
  ok(circle.now <= SETTINGS.nodeTimeoutMs);
});

test("P14: a witness prolongs a silent life while it hears, and to twice the time at most", () => {
  for (const [witnessEndsAt, downAt] of [[4_000, 8_750], [60_000, 9_500]] as const) {
    const circle = new Circle().ups("b").syncs("b").ups("c").syncs("c");
    circle.heard = ["c"];
    while (!circle.decided().includes("down b~1 timed_out") && circle.now < 20_000) {
      if (circle.now <= witnessEndsAt) {
        circle.membership.testimony({ from: "c~1", node: "b~1", heardAgoMs: 0 }, circle.now);
      }
      circle.runs(TICK_MS);
    }
    strictEqual(circle.now, downAt, `a witness until ${witnessEndsAt}`);
  }
});

test("P14: a witness who heard the node no later than this one is none", () => {
  const circle = new Circle().ups("b").syncs("b").ups("c").syncs("c");
  circle.heard = ["c"];
  while (!circle.decided().includes("down b~1 timed_out") && circle.now < 20_000) {
    circle.membership.testimony({ from: "c~1", node: "b~1", heardAgoMs: circle.now }, circle.now);
    circle.membership.testimony({ from: "c~1", node: "stranger~1", heardAgoMs: 0 }, circle.now);
    circle.runs(TICK_MS);
  }
  strictEqual(circle.now, SETTINGS.nodeTimeoutMs - TICK_MS);
});

test("P14: a pause of this node's own counts for nobody, and a short one is no pause", () => {
  const circle = new Circle().ups("b").syncs("b").ups("c").syncs("c");
  circle.downs("b", "refused").decided();
  circle.now = 60_000;
  circle.membership.observe(circle.now);
  circle.membership.tick(circle.now);
  deepStrictEqual(circle.decided().filter((line) => /down|rebuild|deaf/.test(line)), []);
  strictEqual(circle.membership.stalledMs, 60_000);
  circle.membership.observe(circle.now + 2 * TICK_MS);
  strictEqual(circle.membership.stalledMs, 60_000);
});

test("what a node can say of another is when it last heard it, while a path leads there", () => {
  const circle = new Circle().ups("b");
  circle.now = 70;
  strictEqual(circle.membership.testify("b~1", circle.now), 70);
  circle.membership.heard(PATH, "b~1", 50);
  circle.membership.heard(1, "b~1", 60);
  strictEqual(circle.membership.testify("b~1", circle.now), 20);
  strictEqual(circle.downs("b", "lost").membership.testify("b~1", circle.now), undefined);
  strictEqual(circle.membership.testify("stranger~1", circle.now), undefined);
});

test("a node that is down and still has a path is cut off there, so that it returns as new", () => {
  const circle = new Circle().ups("b").syncs("b");
  const lines = circle.runs(SETTINGS.nodeTimeoutMs).decided();
  deepStrictEqual(lines.slice(-3, -1), ["rebuild b~1 0", "down b~1 timed_out"]);
  strictEqual(circle.membership.has("b~1"), false);
});

test("all nodes that agree on who counts have one digest, whatever their order", () => {
  const digestOf = (self: string, others: readonly string[]): number => {
    const membership = new Membership(self, SETTINGS, 0);
    for (const id of others) {
      membership.pathUp(PATH, { id, name: id }, 0);
      membership.synced(id);
    }
    return membership.digest;
  };
  const digest = digestOf("a~1", ["b~1", "c~1"]);
  strictEqual(digestOf("b~1", ["c~1", "a~1"]), digest);
  ok(digestOf("c~1", ["a~1"]) !== digest);
  ok(digestOf("a~1", ["b~1", "c~2"]) !== digest);
  ok(digest >= 0 && digest <= 0xffff_ffff);
});

test("notes are compared after three heartbeats in a row that differ, and not at each", () => {
  const circle = new Circle().ups("b").syncs("b");
  circle.heard = ["b"];
  const beats = (digest: number, count: number): number => {
    let discovers = 0;
    for (let index = 0; index < count; index++) {
      circle.membership.compare("b~1", digest);
      discovers += circle.runs(1_000).decided().filter((line) => line === "discover").length;
    }
    return discovers;
  };
  strictEqual(beats(1, 2), 0);
  strictEqual(beats(circle.membership.digest, 1), 0);
  strictEqual(beats(1, 2), 0);
  strictEqual(beats(1, 1), 1);
  strictEqual(beats(1, 10), 2);
});

test("P8: a node that says goodbye is gone at once", () => {
  const { world, a, b } = pair();
  a.feed({ kind: "path_down", path: 0, node: b.id, loss: "left" });
  deepStrictEqual(a.peerEvents, ["+b~1", "-b~1 left"]);
  world.run(10);
});

test("P8: a node whose process died is gone within a second, in a cluster of any size", () => {
  for (const others of [0, 1, 4]) {
    const world = new VirtualCluster();
    const a = world.add("a~1");
    const b = world.add("b~1");
    for (let index = 0; index < others; index++) world.add(`o${index}~1`);
    world.run(2_000);
    world.kill(b);
    world.run(1_000);
    ok(a.peerEvents.includes("-b~1 died"), `${others} others`);
  }
});

test("P8: a frozen node is declared down within the node timeout, and returns once", () => {
  const { world, a, b } = pair();
  a.subscribe("s", "c");
  world.run(1_900);
  b.isFrozen = true;
  world.run(5_000);
  deepStrictEqual(a.peerEvents, ["+b~1", "-b~1 timed_out"]);
  b.isFrozen = false;
  world.link(a, b);
  world.run(2_000);
  deepStrictEqual(a.peerEvents, ["+b~1", "-b~1 timed_out", "+b~1"]);
  deepStrictEqual(b.peerEvents, ["+a~1"]);
  b.publishes("c", "1");
  world.run(10);
  deepStrictEqual(a.received.get("s"), ["c:1"]);
});

test("P8: a node whose backplane is down purges nobody, says so, and repairs what it missed", () => {
  const { world, a, b } = pair();
  const c = world.add("c~1");
  [a, b, c].forEach((node) => node.subscribe("s", "c"));
  world.run(100);
  world.losePath(a, 0);
  world.run(300);
  deepStrictEqual([a.cluster.isStale, a.health], [true, [true]]);
  a.publishes("c", "from a");
  b.publishes("c", "from b");
  world.run(60_000);
  deepStrictEqual(a.peerEvents, ["+b~1", "+c~1"]);
  deepStrictEqual(a.cluster.peers(world.now).map(({ state }) => state), ["suspect", "suspect"]);
  deepStrictEqual(b.peerEvents, ["+a~1", "+c~1", "-a~1 timed_out"]);
  world.findPath(a, 0);
  world.run(2_000);
  deepStrictEqual([a.cluster.isStale, a.health], [false, [true, false]]);
  deepStrictEqual(a.peerEvents, ["+b~1", "+c~1"]);
  deepStrictEqual(a.received.get("s"), ["c:from a", "c:from b"]);
  deepStrictEqual(b.received.get("s"), ["c:from b", "c:from a"]);
  deepStrictEqual([...a.gaps, ...b.gaps, ...c.gaps], []);
});

test("P8: when a backplane is back, who does not come back has the node timeout to do so", () => {
  const { world, a, b } = pair();
  world.losePath(a, 0);
  world.run(60_000);
  b.isFrozen = true;
  world.findPath(a, 0);
  world.run(4_000);
  deepStrictEqual(a.peerEvents, ["+b~1"]);
  world.run(1_500);
  deepStrictEqual(a.peerEvents, ["+b~1", "-b~1 timed_out"]);
});

test("P8: a node frozen for less than the node timeout is never declared down", () => {
  const { world, a, b } = pair();
  world.run(1_900);
  b.isFrozen = true;
  world.run(3_500);
  b.isFrozen = false;
  world.link(a, b);
  world.run(10_000);
  deepStrictEqual(a.peerEvents, ["+b~1"]);
  deepStrictEqual(b.peerEvents, ["+a~1"]);
});
