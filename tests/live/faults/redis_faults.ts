import { type Fault, pass, type Scene } from "./fault.ts";
import type { Member } from "./fault_cluster.ts";
import { until } from "./until.ts";

const STALE_TIME_LIMIT_MS = 5_000;

/** What can happen to the Redis server between nodes, and to the way there. */
export const REDIS_FAULTS: readonly Fault[] = [
  {
    name: "Redis out of reach",
    links: ["redis"],
    promise: "P4, P8: a node that is cut off from Redis is down, and takes nobody else for down",
    need: "network",
    bystanders: ["a", "b"],
    noticedInMs: (nodeTimeoutMs) => nodeTimeoutMs + 500,
    convergesInMs: 10_000,
    run: async (scene) => {
      const { cluster, network, holdMs } = scene;
      const [hub, cutOff] = [cluster.members.length, cluster.member("c")];
      const healAt = performance.now() + holdMs;
      network!.block(2, hub);
      network!.block(hub, 2);
      scene.begun();
      await cluster.lost(cutOff.life, cluster.others(cutOff), "timed_out");
      scene.noticed();
      await pass(healAt - performance.now());
      await expectStale(scene, [cutOff]);
      network!.unblock();
    },
  },
  {
    name: "Redis killed",
    links: ["redis"],
    promise: "P8: without Redis nobody takes anybody for down, and every roster is stale",
    bystanders: [],
    convergesInMs: 10_000,
    run: async (scene) => {
      await scene.linking.server!.kill();
      await pass(1.5 * scene.nodeTimeoutMs);
      await expectStale(scene, scene.cluster.members);
      await scene.linking.server!.start();
    },
  },
  {
    name: "Redis frozen",
    links: ["redis"],
    promise: "P8: a Redis that stands still makes nobody take anybody for down",
    bystanders: [],
    convergesInMs: 10_000,
    run: async (scene) => {
      scene.linking.server!.signal("SIGSTOP");
      await pass(1.5 * scene.nodeTimeoutMs);
      await expectStale(scene, scene.cluster.members);
      scene.linking.server!.signal("SIGCONT");
    },
  },
];

/** Waits until nodes say that their roster is what they last knew, with all others in it. */
async function expectStale({ cluster }: Scene, members: readonly Member[]): Promise<void> {
  for (const member of members) {
    await until(`${member.life.node} is stale and keeps its peers`, async () => {
      const stats = await cluster.stats(member);
      return stats?.stale === true && stats.peers.length === cluster.members.length - 1;
    }, STALE_TIME_LIMIT_MS);
  }
}
