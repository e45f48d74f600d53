import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { existsSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { chromium, type Page } from "playwright-core";
import {
  startDemoNode,
  type StartProcess,
  type TestProcess,
  withProcesses,
} from "../support/process.ts";

const CHROMIUM = "/usr/bin/chromium";
const END_TIME_LIMIT_MS = 2_000;
const PAGE_TIME_LIMIT_MS = 15_000;
/** CI installs Chromium, so a missing one is a fault there and not a reason to skip. */
const isMissing = !existsSync(CHROMIUM) && process.env["CI"] === undefined;
const skip = isMissing ? "Chromium is not installed (apt-get install chromium)" : false;

interface Demo {
  readonly process: TestProcess;
  readonly url: string;
}

interface NodeReport {
  readonly name: string;
  readonly url: string;
  readonly state: string;
  readonly pid: number;
}

/** Starts the demo on free ports and ends it cleanly, so that none of its nodes is left behind. */
async function withDemo(body: (demo: Demo, start: StartProcess) => Promise<void>): Promise<void> {
  await withProcesses(async (start) => {
    const args = ["--json", "--port", "0", "--cluster-port", "0"];
    const child = start({ script: "demo/cluster.ts", args });
    try {
      const { url } = await child.line(({ event, name }) => {
        return event === "listening" && name === undefined;
      });
      await body({ process: child, url: String(url) }, start);
    } finally {
      child.kill("SIGTERM");
      await child.exited;
    }
  });
}

async function withPage(url: string, body: (page: Page) => Promise<void>): Promise<void> {
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
  try {
    const page = await browser.newPage();
    page.setDefaultTimeout(PAGE_TIME_LIMIT_MS);
    const errors: string[] = [];
    page.on("pageerror", (error) => errors.push(error.message));
    await page.goto(url);
    await body(page);
    deepStrictEqual(errors, []);
  } finally {
    await browser.close();
  }
}

function paneOn(page: Page, pane: "left" | "right", node: string): Promise<void> {
  const open = `#${pane}[data-node="${node}"] .status[data-state="open"]`;
  return page.locator(open).waitFor();
}

async function say(page: Page, pane: "left" | "right", text: string): Promise<void> {
  await page.locator(`#${pane}`).getByLabel("Message", { exact: true }).fill(text);
  await page.locator(`#${pane}`).getByRole("button", { name: "Publish" }).click();
}

function hear(page: Page, pane: "left" | "right", text: string): Promise<void> {
  return page.locator(`#${pane} .messages .text`, { hasText: text }).waitFor();
}

/** Waits until a pane shows just so many members. */
async function online(page: Page, pane: "left" | "right", count: number): Promise<void> {
  const members = page.locator(`#${pane} .roster li`);
  await members.nth(count - 1).waitFor();
  await members.nth(count).waitFor({ state: "detached" });
}

function linkIs(page: Page, link: string, state: string): Promise<void> {
  const line = `.link[data-link="${link}"][data-state="${state}"]`;
  return page.locator(line).waitFor({ state: "attached" });
}

function labelIs(page: Page, link: string, text: RegExp): Promise<void> {
  return page.locator(`.link-label[data-link="${link}"]`, { hasText: text }).waitFor();
}

async function readNodes(demo: Demo): Promise<NodeReport[]> {
  const response = await fetch(`${demo.url}/nodes`);
  return (await response.json() as { nodes: NodeReport[] }).nodes;
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test("on the demo's page a message crosses from node to node, both ways", { skip }, async () => {
  await withDemo(async (demo) => {
    await withPage(demo.url, async (page) => {
      await Promise.all([paneOn(page, "left", "a"), paneOn(page, "right", "b")]);
      await say(page, "left", "hello from a");
      await hear(page, "right", "hello from a");
      await say(page, "right", "hello from b");
      await hear(page, "left", "hello from b");
      const origin = page.locator("#left .messages .theirs .origin");
      match(await origin.innerText(), /^from b, no\. 1, [\d.]+ ms$/);
    });
  });
});

test("on the demo's page a killed node's links fall, and heal when it is back", {
  skip,
}, async () => {
  await withDemo(async (demo) => {
    await withPage(demo.url, async (page) => {
      await Promise.all([paneOn(page, "left", "a"), paneOn(page, "right", "b")]);
      await linkIs(page, "a-b", "up");
      await page.getByRole("button", { name: "Kill node b" }).click();
      await Promise.all([linkIs(page, "a-b", "down"), linkIs(page, "b-c", "down")]);
      await labelIs(page, "a-b", /^down after [\d.]+ m?s$/);
      await linkIs(page, "a-c", "up");
      await page.locator("#right .event", { hasText: "b is gone" }).waitFor();
      await page.locator("#notes li", { hasText: /a knew after \d+ ms that b is gone/ }).waitFor();
      // The pane has moved to the node that the other pane is not on, and hears as before.
      await paneOn(page, "right", "c");
      await say(page, "left", "still here");
      await hear(page, "right", "still here");
      await page.getByRole("button", { name: "Restart node b" }).click();
      await Promise.all([linkIs(page, "a-b", "up"), linkIs(page, "b-c", "up")]);
      await labelIs(page, "a-b", /^up after [\d.]+ m?s$/);
      await page.locator("#right").getByRole("combobox", { name: "Node" }).selectOption("b");
      await paneOn(page, "right", "b");
      await say(page, "right", "back again");
      await hear(page, "left", "back again");
    });
  });
});

test("the demo's page shows who is online on all nodes, and who vanishes with a killed one", {
  skip,
}, async () => {
  await withDemo(async (demo) => {
    await withPage(demo.url, async (page) => {
      await Promise.all([paneOn(page, "left", "a"), paneOn(page, "right", "b")]);
      await Promise.all([online(page, "left", 2), online(page, "right", 2)]);
      await page.getByRole("button", { name: "Kill node b" }).click();
      const gone = page.locator("#left .event", { hasText: /is gone with b, \d+ m?s after/ });
      await gone.waitFor();
      const [, member = ""] = /^(guest-\d+) is gone/.exec(await gone.innerText()) ?? [];
      await page.locator("#left .event", { hasText: `${member} is here, on c` }).waitFor();
      await Promise.all([online(page, "left", 2), online(page, "right", 2)]);
      await page.locator("#right").getByLabel("Channel").fill("elsewhere");
      await page.keyboard.press("Tab");
      await Promise.all([online(page, "left", 1), online(page, "right", 1)]);
    });
  });
});

test("a node's own page shows its peers and offers no orders", { skip }, async () => {
  await withProcesses(async (start) => {
    const page = ["--page", "demo/page"];
    const a = await startDemoNode(start, { name: "a", args: page });
    const b = await startDemoNode(start, { name: "b", peers: [a.clusterPort] });
    await a.process.event("peerconnected", { peer: b.node });
    await withPage(`http://127.0.0.1:${a.port}/`, async (shown) => {
      await Promise.all([paneOn(shown, "left", "a"), paneOn(shown, "right", "a")]);
      await linkIs(shown, "a-b", "up");
      strictEqual(await shown.locator(".order:visible").count(), 0);
      await say(shown, "left", "by myself");
      await hear(shown, "right", "by myself");
      b.process.kill("SIGTERM");
      await shown.locator(`.node[data-node="b"]`).waitFor({ state: "detached" });
    });
  });
});

test("the demo obeys its own page only", async () => {
  await withDemo(async (demo) => {
    const kill = async (init: RequestInit): Promise<number> => {
      const response = await fetch(`${demo.url}/nodes/a/kill`, init);
      await response.body?.cancel();
      return response.status;
    };
    strictEqual(await kill({ method: "POST", headers: { origin: "http://example.org" } }), 403);
    strictEqual(await kill({ method: "GET" }), 405);
    deepStrictEqual((await readNodes(demo)).map(({ state }) => state), ["up", "up", "up"]);
    strictEqual(await kill({ method: "POST", headers: { origin: demo.url } }), 200);
    deepStrictEqual((await readNodes(demo)).map(({ state }) => state), ["down", "up", "up"]);
  });
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  test(`${signal} ends the demo and all of its nodes within 2 s`, async () => {
    await withDemo(async (demo) => {
      const nodes = await readNodes(demo);
      deepStrictEqual(nodes.map(({ pid }) => isRunning(pid)), [true, true, true]);
      const start = performance.now();
      demo.process.kill(signal);
      deepStrictEqual(await demo.process.exited, { code: 0, signal: null });
      ok(performance.now() - start < END_TIME_LIMIT_MS);
      deepStrictEqual(nodes.map(({ pid }) => isRunning(pid)), [false, false, false]);
    });
  });
}

test("the demo takes the next free ports, and says so when a flag is wrong", async () => {
  await withDemo(async (demo, start) => {
    const { port } = new URL(demo.url);
    const args = ["--json", "--port", port, "--cluster-port", "0"];
    const second = start({ script: "demo/cluster.ts", args });
    const { port: found } = await second.line(({ event, name }) => {
      return event === "listening" && name === undefined;
    });
    ok(Number(found) > Number(port));
    second.kill("SIGTERM");
    await second.exited;
    const wrong = start({ script: "demo/cluster.ts", args: ["--port", "many"] });
    deepStrictEqual(await wrong.exited, { code: 2, signal: null });
    match(wrong.output, /^Cannot use --port many: expected a port/);
  });
});
