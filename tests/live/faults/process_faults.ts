import { type Fault, pass } from "./fault.ts";
import { until } from "./until.ts";

const CUT_PAUSE_MS = 250;
const PADDING_BYTES = 16_384;

/** What can happen to the processes of nodes, their connections and their clients. */
export const PROCESS_FAULTS: readonly Fault[] = [
  {
    name: "kill",
    promise: "P8: a node that is killed is gone within 1 s, and its successor is a new node",
    bystanders: ["a", "c"],
    noticedInMs: () => 1_000,
    convergesInMs: 5_000,
    run: async ({ cluster, populate, noticed, over }) => {
      const member = cluster.member("b");
      const { life } = member;
      const killed = cluster.crash(member);
      await cluster.lost(life, cluster.others(member), "died");
      noticed();
      await killed;
      await cluster.restart(member);
      over();
      await cluster.admit(member);
      await populate(member);
    },
  },
  {
    name: "short freeze",
    promise: "P8: nodes that are frozen for less than the node timeout stay, and miss nothing",
    bystanders: [],
    convergesInMs: 5_000,
    run: async ({ cluster, nodeTimeoutMs, holdMs }) => {
      const untilMs = performance.now() + holdMs;
      for (const { process } of [...cluster.members, ...cluster.members]) {
        process.kill("SIGSTOP");
        await pass(0.7 * nodeTimeoutMs);
        process.kill("SIGCONT");
        if (performance.now() > untilMs) return;
        await pass(0.5 * nodeTimeoutMs);
      }
    },
  },
  {
    name: "long freeze",
    promise: "P8: a node that is frozen for longer is down once and back once, and misses nothing",
    bystanders: ["a", "c"],
    noticedInMs: (nodeTimeoutMs) => nodeTimeoutMs + 500,
    convergesInMs: 10_000,
    run: async ({ cluster, nodeTimeoutMs, holdMs, noticed }) => {
      const member = cluster.member("b");
      const thawAt = performance.now() + Math.max(holdMs, nodeTimeoutMs);
      member.isServing = false;
      member.process.kill("SIGSTOP");
      await cluster.lost(member.life, cluster.others(member), "timed_out");
      noticed();
      await pass(thawAt - performance.now());
      member.process.kill("SIGCONT");
      member.isServing = true;
    },
  },
  {
    name: "rolling restart",
    promise: "P4, P8: a rolling restart loses nothing that a node has taken",
    bystanders: [],
    noticedInMs: () => 1_000,
    convergesInMs: 5_000,
    run: async ({ cluster, populate, holdMs, noticed, over }) => {
      for (const [index, member] of cluster.members.entries()) {
        const { life } = member;
        const left = cluster.leave(member);
        await cluster.lost(life, cluster.others(member), "left");
        if (index === 0) noticed();
        await left;
        await cluster.restart(member);
        over();
        await cluster.admit(member);
        await populate(member);
        if (member !== cluster.members.at(-1)) await pass(holdMs / 10);
      }
    },
  },
  {
    name: "link cut",
    promise: "P4: links that are cut again and again while messages flow lose nothing",
    need: "cuttable links",
    bystanders: [],
    convergesInMs: 5_000,
    run: async ({ linking, holdMs }) => {
      let count = 0;
      for (const end = performance.now() + holdMs; performance.now() < end;) {
        count += await linking.cut();
        await pass(CUT_PAUSE_MS);
      }
      if (count === 0) throw new Error("no link could be cut");
    },
  },
  {
    name: "slow reader",
    promise: "P10: a client that reads nothing is closed, and slows nobody",
    bystanders: ["a", "b", "c"],
    convergesInMs: 5_000,
    run: async ({ cluster, load, touchedClients }) => {
      const deaf = load.clients.find(({ name }) => name.startsWith("b"))!;
      touchedClients.push(deaf.name);
      for (const client of load.clients) client.paddingBytes = PADDING_BYTES;
      deaf.pause();
      await until("the slow client is closed", async () => {
        const stats = await cluster.stats(cluster.member("b"));
        return (stats?.clients.slowConsumers ?? 0) > 0;
      }, 60_000);
      for (const client of load.clients) client.paddingBytes = 0;
      deaf.resume();
    },
  },
];
