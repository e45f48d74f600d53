import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { Gossip } from "../../../src/backplane/mesh/gossip.ts";
import type { MeshPeer } from "../../../src/backplane/mesh/mesh_peer.ts";
import { PeerLinks } from "../../../src/backplane/mesh/peer_links.ts";
import { createPrng } from "../../../src/core/prng.ts";
import { createCluster } from "../../support/virtual_mesh.ts";

const JOIN_MS = 100;
const INTERVAL_MS = 30_000;

/** A node's gossip, and who is linked with it. */
class Teller {
  readonly gossip: Gossip = new Gossip(createPrng(1), 0);
  peers: MeshPeer[] = [];

  links(...names: string[]): this {
    for (const name of names) this.peers.push(peerOf(name));
    return this;
  }

  /** What is told at a time, as `to: of whom`. */
  tells(now: number): string[] {
    return this.gossip.takeDue(() => this.peers, now).map(({ peer, nodes }) =>
      `${peer.name}: ${nodes.map(({ id, address }) => `${id}@${address}`).join(" ")}`
    );
  }
}

function peerOf(name: string): MeshPeer {
  return {
    id: `${name}~1`,
    name,
    address: `${name}:1`,
    links: new PeerLinks(true, 1_000),
    isReportedUp: true,
    lostAt: undefined,
    lostToken: "",
  };
}

test("whoever is linked newly is told of all, and the others of it alone", () => {
  const teller = new Teller().links("a", "b", "c");
  teller.gossip.met("c~1", true, 0);
  deepStrictEqual(teller.tells(JOIN_MS - 1), []);
  deepStrictEqual(teller.tells(JOIN_MS), ["a: c~1@c:1", "b: c~1@c:1", "c: a~1@a:1 b~1@b:1"]);
  deepStrictEqual(teller.tells(INTERVAL_MS - 1), []);
});

test("those that come together are told of together", () => {
  const teller = new Teller().links("a", "b", "c");
  teller.gossip.met("b~1", true, 0);
  teller.gossip.met("c~1", true, JOIN_MS - 1);
  deepStrictEqual(teller.tells(JOIN_MS), [
    "a: b~1@b:1 c~1@c:1",
    "b: a~1@a:1 c~1@c:1",
    "c: a~1@a:1 b~1@b:1",
  ]);
});

test("a node of which gossip told here is no news to the others", () => {
  const teller = new Teller().links("a", "b", "c");
  teller.gossip.met("c~1", false, 0);
  deepStrictEqual(teller.tells(JOIN_MS), ["c: a~1@a:1 b~1@b:1"]);
});

test("of many that gossip told of a few are told of all, and each that nobody told of", () => {
  const names = Array.from({ length: 40 }, (_, index) => `p${index}`);
  const teller = new Teller().links(...names);
  for (const name of names) teller.gossip.met(`${name}~1`, name === "p7", 0);
  const told = teller.gossip.takeDue(() => teller.peers, JOIN_MS);
  const ofAll = told.filter(({ nodes }) => nodes.length === names.length - 1);
  strictEqual(ofAll.length, 9);
  ok(ofAll.some(({ peer }) => peer.name === "p7"));
  const rest = told.filter((telling) => !ofAll.includes(telling));
  strictEqual(rest.length, names.length - 9);
  for (const { nodes } of rest) deepStrictEqual(nodes.map(({ id }) => id), ["p7~1"]);
});

test("nodes that know others are told of all at once, and those that are not linked are not", () => {
  const teller = new Teller().links("a", "b", "c");
  teller.gossip.compare(["b~1", "x~1"], 5);
  deepStrictEqual(teller.tells(5), ["b: a~1@a:1 c~1@c:1"]);
});

test("one node at a time is told of all every 30 s, and each has its turn", () => {
  const teller = new Teller().links("a", "b", "c");
  const told = Array.from({ length: 50 }, (_, round) => teller.tells((round + 1) * INTERVAL_MS));
  for (const tellings of told) strictEqual(tellings.length, 1);
  strictEqual(new Set(told.flat()).size, 3);
});

test("a node that is alone has nobody to tell, and nothing to tell a single peer", () => {
  const teller = new Teller();
  deepStrictEqual(teller.tells(INTERVAL_MS), []);
  teller.links("a").gossip.met("a~1", true, INTERVAL_MS);
  deepStrictEqual(teller.tells(INTERVAL_MS + JOIN_MS), []);
});

test("a cluster at rest hardly gossips, and a node that joins costs each other one list", () => {
  const { world, nodes } = createCluster(30);
  world.run(5_000);
  const bytesOut = (): number => nodes.reduce((sum, { mesh }) => sum + mesh.stats["bytesOut"]!, 0);
  const entryBytes = 60;
  let before = bytesOut();
  world.run(60_000);
  const pings = 30 * 29 * 60 * 5 / 4;
  const atRest = bytesOut() - before;
  ok(atRest < pings + 2 * 30 * 30 * entryBytes, `${atRest} bytes`);
  before = bytesOut();
  const joined = world.add("n99~1", [nodes[0]!.address]);
  world.run(3_000);
  strictEqual(joined.mesh.stats["links"], 30);
  const handshakes = 30 * 1_000;
  const atJoin = bytesOut() + joined.mesh.stats["bytesOut"]! - before;
  ok(atJoin < handshakes + 30 * 30 * entryBytes, `${atJoin} bytes`);
});
