import { deepStrictEqual } from "node:assert/strict";
import { test } from "node:test";
import { BROADCAST_CHANNEL } from "../../src/core/message.ts";
import { CALM_OPTIONS, CalmWorld } from "./calm_world.ts";
import type { SimulationOptions } from "./options.ts";

test("P2: what is subscribed to before the backplane runs is confirmed as soon as it does", () => {
  const world = new CalmWorld({ nodeCount: 1 });
  const client = world.client(0);
  client.publish(BROADCAST_CHANNEL, 0);
  world.passes(10);
  deepStrictEqual(world.got(client, BROADCAST_CHANNEL).map(({ kind }) => kind), ["message"]);
});

test("P4: broadcasts that are lost beyond retention are told as a gap", () => {
  const world = new CalmWorld({
    nodeCount: 2,
    log: { ...CALM_OPTIONS.log, logMessagesMax: 0 },
  });
  world.passes(5_000);
  const [here, there] = [world.client(0), world.client(1)];
  here.publish(BROADCAST_CHANNEL, 0);
  world.passes(100);
  const mend = world.cutOff(0, 1);
  world.network.cut(world.machines[0]!.address, world.machines[1]!.address, false);
  here.publish(BROADCAST_CHANNEL, 0);
  world.passes(2_000);
  mend();
  world.passes(5_000);
  here.publish(BROADCAST_CHANNEL, 0);
  world.passes(100);
  const kinds = world.got(there, BROADCAST_CHANNEL).map(({ kind }) => kind);
  deepStrictEqual(kinds, ["message", "gap", "message"]);
});

test("P8: a dead process is found out in time although a witness has not noticed yet", () => {
  const world = new CalmWorld();
  const [, near, far] = world.machines;
  world.network.setDelay(near!.address, far!.address, 150);
  world.passes(3_000);
  world.process(2).crash(false);
  world.passes(1_200);
  deepStrictEqual(world.told(0).filter((event) => event.startsWith("-")), ["-n3 died"]);
  deepStrictEqual(world.told(1).filter((event) => event.startsWith("-")), ["-n3 died"]);
});

test("P14: whoever is frozen in a handshake does not take the other side's hang-up for a death", () => {
  const world = new CalmWorld({ nodeCount: 2 });
  const [here, there] = world.machines;
  world.passes(5_000);
  world.network.cut(here!.address, there!.address, false);
  // Both dial at once: the connections are there, and only the first words were said.
  world.passes(2.5);
  world.process(0).host.freeze();
  world.passes(4_000);
  world.process(0).host.thaw(false);
  world.passes(5_000);
  deepStrictEqual(world.told(0), ["+n2"]);
});

// The publishing node has met the listener's, whose answer comes back; its own is cut off on the way.
function publishesUnanswered(change: Partial<SimulationOptions> = {}) {
  const world = new CalmWorld({ nodeCount: 2, ...change });
  const mend = world.cutOff(0, 1);
  const [listener, publisher] = [world.client(0), world.client(1)];
  const [left, right] = world.machines;
  mend();
  while (world.told(1).length === 0) world.passes(0.25);
  deepStrictEqual(world.told(0), [], "the publishing node has met the other first");
  world.network.block(right!.address, left!.address);
  publisher.publish("news", 1);
  const returns = (): void => {
    world.network.cut(left!.address, right!.address, false);
    world.network.unblock(right!.address, left!.address);
  };
  return { world, listener, publisher, returns };
}

test("P4: what is published before a node knows that it is owed it comes when the path is back", () => {
  for (const outageMs of [1_000, 3_000, 20_000]) {
    const { world, listener, returns } = publishesUnanswered();
    world.passes(outageMs);
    returns();
    world.passes(10_000);
    const got = world.got(listener, "news").map(({ kind }) => kind);
    deepStrictEqual(got, ["message"], `after ${outageMs} ms`);
    deepStrictEqual(world.faultsOfDelivery(), []);
  }
});

test("P4: what is published before a node knows that it is owed it is a gap beyond retention", () => {
  const log = { ...CALM_OPTIONS.log, logMessagesMax: 0 };
  const { world, listener, returns } = publishesUnanswered({ log });
  world.passes(3_000);
  returns();
  world.passes(10_000);
  deepStrictEqual(world.got(listener, "news").map(({ kind }) => kind), ["gap"]);
});

test("P6: what a node never had is not acknowledged by what it holds behind it", () => {
  const log = { ...CALM_OPTIONS.log, logMessagesMax: 0 };
  const { world, listener, publisher, returns } = publishesUnanswered({ log });
  world.passes(3_000);
  returns();
  // Before the first one is given up.
  world.passes(1_500);
  publisher.publish("news", 1);
  world.passes(10_000);
  deepStrictEqual(world.got(listener, "news").map(({ kind }) => kind), ["gap", "message"]);
  const answers = world.history.publications.map(({ answeredAt }) => answeredAt !== undefined);
  deepStrictEqual(answers, [false, true]);
});

test("P7: who asks for a roster between a join and a leave of one tick is told of both", () => {
  const world = new CalmWorld({ nodeCount: 2 });
  world.passes(1_000);
  const [here, late, there] = [world.client(0), world.client(0), world.client(1)];
  here.attendee.join("news", "ann");
  world.passes(10);
  // What comes meanwhile is read all at once.
  world.process(0).host.freeze();
  there.attendee.join("news", "bob");
  world.passes(100);
  late.attendee.join("news", "cid");
  world.passes(100);
  there.attendee.leave("news");
  world.passes(100);
  world.process(0).host.thaw(false);
  world.passes(100);
  for (const { attendee } of [here, late]) {
    deepStrictEqual([...attendee.views.get("news")!.keys()].sort(), ["ann", "cid"]);
  }
});

for (const clientsFirst of [true, false]) {
  const order = clientsFirst ? "its clients first" : "its goodbye first";
  test(`P8: who moves away from a node that ends, ${order}, never left and never joined`, () => {
    const world = new CalmWorld({ graceMs: 3_000 });
    world.passes(1_000);
    const [moves, stays] = [world.client(0), world.client(0)];
    moves.attendee.join("news", "ann");
    stays.attendee.join("news", "bob");
    world.passes(100);
    world.process(0).stop(clientsFirst);
    world.passes(2_000);
    world.client(1).attendee.join("news", "ann");
    world.passes(3_000);
    for (const index of [1, 2]) {
      deepStrictEqual(world.toldOfMembers(index), ["join ann", "join bob", "leave bob"]);
    }
  });
}

test("P14: a node that others hear is not down, though it cannot be reached for a while", () => {
  const world = new CalmWorld();
  world.passes(3_000);
  const mend = world.cutOff(0, 1);
  world.passes(7_500);
  mend();
  world.passes(5_000);
  for (const index of [0, 1, 2]) {
    deepStrictEqual(world.told(index).filter((event) => event.startsWith("-")), []);
  }
});
