import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import type { Backplane } from "../../src/backplane/backplane.ts";
import { BackplaneSide } from "../support/backplane_side.ts";

const MIB = 1024 * 1024;

/** Where the engines of one cluster run, for the length of a test. */
export interface BackplaneGround {
  /** Makes an engine for the cluster of `seed`, which has been started, or for a new cluster. */
  create(seed?: Backplane): Backplane;
  /** Makes an engine that cannot start, and tells what its complaint must say. */
  createBroken(): { readonly backplane: Backplane; readonly says: RegExp };
  /** Whether anything of an engine is still open: a port, a connection. */
  isOpen(backplane: Backplane): Promise<boolean>;
  /** Takes away what the engines run on, where they run on anything. */
  readonly fail?: () => Promise<void>;
  /** Gives it back. */
  readonly recover?: () => Promise<void>;
}

/** An engine that is held to the contract. */
export interface BackplaneCase {
  /** The engine's name. */
  readonly name: string;
  /** Whether the order holds only among what is sent to the same nodes in the same channel. */
  readonly isOrderPerChannel?: boolean;
  /** Whether it runs on something that can be away. */
  readonly canBeAway?: boolean;
  /** Why it cannot run here. */
  readonly skip?: string | false;
  /** Runs a test's body on a fresh ground. */
  run(body: (ground: BackplaneGround) => Promise<void>): Promise<void>;
}

/** What every backplane must do. */
export function testBackplane(engine: BackplaneCase): void {
  testReach(engine);
  testSending(engine);
  testChannels(engine);
  testEnds(engine);
  if (engine.canBeAway === true) testAbsence(engine);
}

type Body = (sides: readonly BackplaneSide[], ground: BackplaneGround) => Promise<void> | void;

function testReach(engine: BackplaneCase): void {
  testWith(engine, 3, "links every node with every other, from one that they know", (all) => {
    for (const side of all) {
      const names = all.filter((other) => other !== side).map(({ name }) => `+${name}`);
      deepStrictEqual([...side.paths].sort(), names.sort());
      deepStrictEqual(side.states.filter((state) => state === "down"), []);
    }
  });

  testWith(engine, 3, "reports a node that stops as left, to every other, once", async (all) => {
    const [a, b, c] = all as [BackplaneSide, BackplaneSide, BackplaneSide];
    await c.stop();
    for (const side of [a, b]) {
      await side.until("c has left", () => side.paths.includes("-c left"));
      strictEqual(side.reaches(c), false);
      deepStrictEqual(side.paths.filter((path) => /[-?]c (left|refused)/.test(path)), ["-c left"]);
    }
  });

  testWith(engine, 2, "meets a successor of a node that left", async (all, ground) => {
    const [a, b] = all as [BackplaneSide, BackplaneSide];
    await b.stop();
    const successor = new BackplaneSide("b", ground.create(a.backplane));
    await withSides([successor], async () => {
      await meet([a, successor]);
      deepStrictEqual(a.paths, ["+b", "-b left", "+b"]);
    });
  });

  testWith(engine, 2, "rebuilds a path, and says so on the way", async (all) => {
    const [a, b] = all as [BackplaneSide, BackplaneSide];
    a.backplane.rebuild(b.id);
    await a.until("b is up again", () => a.paths.length === 3);
    await b.until("a is up again", () => b.paths.length === 3);
    deepStrictEqual([a.paths, b.paths], [["+b", "-b lost", "+b"], ["+a", "-a lost", "+a"]]);
    a.sends(["after"], [b]);
    await b.until("a is heard", () => b.heard(a).length === 1);
  });

  testWith(engine, 2, "takes discover and rebuild for unknown nodes in its stride", async (all) => {
    const [a, b] = all as [BackplaneSide, BackplaneSide];
    a.backplane.rebuild("nobody~1");
    for (const { backplane } of all) backplane.discover(["nobody~1", a.id, b.id]);
    a.sends(["after"], [b]);
    await b.until("a is heard", () => b.heard(a).length === 1);
    deepStrictEqual([a.paths, b.paths], [["+b"], ["+a"]]);
  });
}

function testSending(engine: BackplaneCase): void {
  testWith(engine, 2, "keeps the order of what a node sends to another", async (all) => {
    const [a, b] = all as [BackplaneSide, BackplaneSide];
    b.backplane.subscribe("news");
    await b.until("it is subscribed", () => b.subscriptions.length === 1);
    const sent: string[] = [];
    for (let index = 0; index < 3_000; index++) {
      const text = `${index} ${"x".repeat(index % 700)}`;
      sent.push(text);
      const isForAll = index % 3 === 0 && engine.isOrderPerChannel !== true;
      a.sends([text], isForAll ? undefined : [b], index % 5 === 0 ? "news" : undefined);
      if (index % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await b.until("all is heard", () => b.heard(a).length >= sent.length);
    deepStrictEqual(b.heard(a), sent);
  });

  testWith(
    engine,
    3,
    "sends to those who are named, to all, and passes others over",
    async (all) => {
      const [a, b, c] = all as [BackplaneSide, BackplaneSide, BackplaneSide];
      a.sends(["to b"], [b]);
      a.backplane.send(["nobody~1", c.id], new TextEncoder().encode("to c"));
      a.sends(["to b and c"], [b, c]);
      a.sends(["to nobody"], []);
      a.sends(["to all"]);
      for (const side of [b, c]) {
        await side.until("all is heard", () => side.heard(a).length === 3);
      }
      const sorted = (texts: string[]): string[] => engine.isOrderPerChannel ? texts.sort() : texts;
      deepStrictEqual(sorted(b.heard(a)), sorted(["to b", "to b and c", "to all"]));
      deepStrictEqual(sorted(c.heard(a)), sorted(["to c", "to b and c", "to all"]));
    },
  );

  testWith(engine, 2, "carries an empty payload and one of 4 MiB unchanged", async (all) => {
    const [a, b] = all as [BackplaneSide, BackplaneSide];
    const large = Uint8Array.from(
      { length: 4 * MIB },
      (_, index) => (index * 31 + index >> 8) & 255,
    );
    a.backplane.send([b.id], new Uint8Array(0));
    a.backplane.send([b.id], large.slice());
    await b.until("both are heard", () => b.payloads.get("a")?.length === 2);
    const [empty, came] = b.payloads.get("a")!;
    strictEqual(empty!.byteLength, 0);
    deepStrictEqual(came, large);
  });

  testWith(engine, 2, "hands over payloads that stay as they are", async (all) => {
    const [a, b] = all as [BackplaneSide, BackplaneSide];
    const sent = Array.from({ length: 500 }, (_, index) => `${index}`.repeat(50));
    a.sends(sent.slice(0, 250), [b]);
    await b.until("the first half is heard", () => b.heard(a).length >= 250);
    a.sends(sent.slice(250), [b]);
    await b.until("all is heard", () => b.heard(a).length >= 500);
    deepStrictEqual(b.heard(a), sent);
  });

  testWith(engine, 2, "never brings back what a node sent itself", async (all) => {
    const [a, b] = all as [BackplaneSide, BackplaneSide];
    a.backplane.subscribe("news");
    b.backplane.subscribe("news");
    await a.until("a is subscribed", () => a.subscriptions.length === 1);
    await b.until("b is subscribed", () => b.subscriptions.length === 1);
    a.sends(["one"], [a, b], "news");
    a.sends(["two"]);
    a.sends(["three"], [a]);
    await b.until("all is heard", () => b.heard(a).length === 2);
    b.sends(["back"], [a]);
    await a.until("b is heard", () => a.heard(b).length === 1);
    deepStrictEqual(a.heard(a), []);
  });

  testWith(engine, 2, "counts in numbers", ([a]) => {
    const stats = a!.backplane.stats();
    ok(Object.keys(stats).length > 0);
    for (const value of Object.values(stats)) ok(Number.isFinite(value));
  });
}

function testChannels(engine: BackplaneCase): void {
  testWith(engine, 3, "says when a channel reaches this node, and then it does", async (all) => {
    const [a, b, c] = all as [BackplaneSide, BackplaneSide, BackplaneSide];
    for (const side of [b, c]) {
      side.backplane.subscribe("news");
      side.backplane.subscribe("más noticias\n");
      await side.until("it is subscribed", () => side.subscriptions.length === 2);
      deepStrictEqual([...side.subscriptions].sort(), ["más noticias\n", "news"]);
    }
    a.sends(["one", "two"], [b, c], "news");
    a.sends(["three"], [b, c], "más noticias\n");
    for (const side of [b, c]) {
      await side.until("all is heard", () => side.heard(a).length === 3);
      deepStrictEqual(side.heard(a).sort(), ["one", "three", "two"]);
    }
  });

  testWith(engine, 2, "takes a subscription back, and gives it again", async (all) => {
    const [a, b] = all as [BackplaneSide, BackplaneSide];
    for (let round = 1; round <= 3; round++) {
      b.backplane.subscribe("news");
      await b.until("it is subscribed", () => b.subscriptions.length === round);
      a.sends([`${round}`], [b], "news");
      await b.until("it is heard", () => b.heard(a).length === round);
      b.backplane.unsubscribe("news");
    }
    deepStrictEqual(b.heard(a), ["1", "2", "3"]);
  });

  testWith(
    engine,
    2,
    "answers a subscription that is taken back and given in one tick",
    async (all) => {
      const [a, b] = all as [BackplaneSide, BackplaneSide];
      b.backplane.subscribe("news");
      b.backplane.unsubscribe("news");
      b.backplane.subscribe("news");
      await b.until("it is subscribed", () => b.subscriptions.length > 0);
      a.sends(["one"], [b], "news");
      await b.until("it is heard", () => b.heard(a).length === 1);
    },
  );
}

function testEnds(engine: BackplaneCase): void {
  testWith(engine, 2, "leaves nothing open when it stops", async (all, ground) => {
    for (const { backplane } of all) strictEqual(await ground.isOpen(backplane), true);
    for (const side of all) await side.stop();
    for (const { backplane } of all) strictEqual(await ground.isOpen(backplane), false);
  });

  testWith(engine, 2, "stops just once, and is silent from then on", async (all) => {
    const [a, b] = all as [BackplaneSide, BackplaneSide];
    await Promise.all([b.stop(), b.stop()]);
    await b.stop();
    b.backplane.subscribe("news");
    b.backplane.unsubscribe("news");
    b.backplane.rebuild(a.id);
    b.backplane.discover([a.id]);
    b.sends(["late"], [a]);
    b.backplane.stats();
    await a.until("b is down", () => !a.reaches(b));
    deepStrictEqual(a.heard(b), []);
  });

  testOn(engine, "stops before it has started, and while it starts", async (ground) => {
    const never = new BackplaneSide("a", ground.create());
    await never.stop();
    const side = new BackplaneSide("b", ground.create());
    const starting = rejects(side.start(), { name: "ClusterError", code: "stopped" });
    await side.stop();
    await starting;
    strictEqual(await ground.isOpen(side.backplane), false);
    deepStrictEqual([...never.offences, ...side.offences], []);
  });

  testOn(engine, "starts once, and never again", async (ground) => {
    const side = new BackplaneSide("a", ground.create());
    const refusal = { name: "ClusterError", code: "stopped" };
    deepStrictEqual(await side.start(), { state: "up" });
    await rejects(side.start(), refusal);
    strictEqual(await ground.isOpen(side.backplane), true);
    await side.stop();
    await rejects(side.start(), refusal);
    strictEqual(await ground.isOpen(side.backplane), false);
    const never = ground.create();
    await never.stop();
    await rejects(new BackplaneSide("b", never).start(), refusal);
  });

  testOn(engine, "says why it cannot start, and leaves nothing open", async (ground) => {
    const { backplane, says } = ground.createBroken();
    const side = new BackplaneSide("a", backplane);
    try {
      await rejects(side.start(), (error: Error) => {
        match(error.message, says);
        return true;
      });
    } finally {
      await side.stop();
    }
    deepStrictEqual(side.offences, []);
  });
}

function testAbsence(engine: BackplaneCase): void {
  testOn(
    engine,
    "starts where what it runs on is away, and is up once that is back",
    async (ground) => {
      const a = new BackplaneSide("a", ground.create());
      const b = new BackplaneSide("b", ground.create(a.backplane));
      await ground.fail?.();
      try {
        const start = await a.start();
        match(start.state === "down" ? start.reason.message : start.state, /^Cannot /);
        a.backplane.subscribe("news");
        a.backplane.subscribe("weather");
        a.backplane.unsubscribe("weather");
        a.sends(["to nobody"]);
        await ground.recover?.();
        await a.until("it is up", () => a.states.length > 0);
        deepStrictEqual([a.states, a.subscriptions], [["up"], ["news"]]);
        deepStrictEqual(await b.start(), { state: "up" });
        await meet([a, b]);
        b.sends(["one"], [a], "news");
        await a.until("it is heard", () => a.heard(b).length === 1);
        // What was told by the start is not told again.
        deepStrictEqual([a.paths, a.faults], [["+b"], []]);
      } finally {
        for (const side of [a, b]) await side.stop();
      }
      deepStrictEqual([...a.offences, ...b.offences], []);
    },
  );

  testOn(engine, "stops while what it runs on is away, and is silent", async (ground) => {
    const side = new BackplaneSide("a", ground.create());
    await ground.fail?.();
    strictEqual((await side.start()).state, "down");
    await side.stop();
    await ground.recover?.();
    strictEqual(await ground.isOpen(side.backplane), false);
    deepStrictEqual(side.offences, []);
  });
}

function testOn(
  { name, skip = false, run }: BackplaneCase,
  promise: string,
  body: (ground: BackplaneGround) => Promise<void>,
): void {
  test(`${name} ${promise}`, { skip }, () => run(body));
}

/** Runs a body with so many nodes that have all met, and checks that each kept to the contract. */
function testWith(engine: BackplaneCase, count: number, promise: string, body: Body): void {
  testOn(engine, promise, async (ground) => {
    const sides: BackplaneSide[] = [];
    await withSides(sides, async () => {
      for (const name of ["a", "b", "c"].slice(0, count)) {
        const side = new BackplaneSide(name, ground.create(sides[0]?.backplane));
        sides.push(side);
        await side.start();
      }
      await meet(sides);
      await body(sides, ground);
    });
    for (const side of sides) deepStrictEqual(side.offences, [], side.name);
  });
}

async function withSides(
  sides: readonly BackplaneSide[],
  body: () => Promise<void>,
): Promise<void> {
  try {
    for (const side of sides) await side.start();
    await body();
  } finally {
    for (const side of sides) await side.stop();
  }
}

async function meet(sides: readonly BackplaneSide[]): Promise<void> {
  for (const side of sides) {
    for (const other of sides) {
      if (other === side) continue;
      await side.until(`${other.name} is up`, () => side.reaches(other));
    }
  }
}
