import { rejects, strictEqual } from "node:assert/strict";
import { readdirSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { Network, whyNoNetwork } from "./network.ts";
import { type TestProcess, withProcesses } from "./process.ts";

const PORT = "9000";
const reason = whyNoNetwork();
const skip = reason ?? false;

/** Two hosts that send to each other all the time. */
async function withTalkers(
  body: (network: Network, talkers: readonly [TestProcess, TestProcess]) => Promise<void>,
): Promise<void> {
  const network = new Network(2);
  try {
    await withProcesses(async (start) => {
      const talkers = [0, 1].map((own) => {
        const [{ within, innerHostname }, other] = [network.hosts[own]!, network.hosts[1 - own]!];
        const args = [innerHostname, other.innerHostname, PORT];
        const script = "tests/support/datagram_process.ts";
        return start({ script, args, within, runtime: "node" });
      }) as [TestProcess, TestProcess];
      await Promise.all(talkers.map((talker) => hears(talker)));
      await body(network, talkers);
    });
  } finally {
    network.close();
  }
}

/** Takes what a talker has heard up to now, then the next that it hears. */
async function hears(talker: TestProcess, timeLimitMs = 20_000): Promise<void> {
  const isHeard = (line: object): boolean => "heard" in line;
  for (let isOver = false; !isOver;) {
    isOver = await talker.line(isHeard, 0).then(() => false, () => true);
  }
  await talker.line(isHeard, timeLimitMs);
}

/** Waits for so long that a talker would have heard something, and it has not. */
async function hearsNothing(talker: TestProcess): Promise<void> {
  await rejects(hears(talker, 1_000), /nothing in 1000 ms/);
}

test("a blocked direction carries nothing, the other one does, and it can be undone", {
  skip,
}, async () => {
  await withTalkers(async (network, [first, second]) => {
    network.block(0, 1);
    await hearsNothing(second);
    await hears(first);
    network.unblock();
    await Promise.all([first, second].map((talker) => hears(talker)));
  });
});

test("packets to one host can be lost by chance, all of them too, and it can be undone", {
  skip: whyNoNetwork("netem") ?? false,
}, async () => {
  await withTalkers(async (network, [first, second]) => {
    network.impair(1, { delayMs: 1, jitterMs: 0, lossPercent: 100 });
    await hearsNothing(second);
    await hears(first);
    network.repair();
    await Promise.all([first, second].map((talker) => hears(talker)));
  });
});

test("a cable can be too narrow for what is sent, and it can be undone", {
  skip: whyNoNetwork("tbf") ?? false,
}, async () => {
  await withTalkers(async (network, [first, second]) => {
    // A datagram has 46 bytes with its headers: what is saved up lets some through, then one in 46 s.
    network.narrow(1, { kilobitsPerSecond: 0.008, queueBytes: 5_000 });
    await rejects(async () => {
      for (;;) await hears(second, 1_000);
    }, /nothing in 1000 ms/);
    await hears(first);
    network.repair();
    await Promise.all([first, second].map((talker) => hears(talker)));
  });
});

test("nothing is left of a network that was closed, which may be done twice", { skip }, () => {
  const network = new Network(3);
  const left = (): number =>
    ["/run/netns", "/sys/class/net"].flatMap((folder) => readdirSync(folder))
      .filter((name) => name.includes(`chorus${process.pid}-`) || name.includes(`-${process.pid}-`))
      .length;
  strictEqual(left(), 3 + 4);
  network.close();
  network.close();
  strictEqual(left(), 0);
});
