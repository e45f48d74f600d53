import { deepStrictEqual, rejects, strictEqual } from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { withProcesses } from "./process.ts";
import { RUNTIMES } from "./runtime_command.ts";

const script = "tests/support/sample_process.ts";

for (const runtime of RUNTIMES) {
  test(`a process on ${runtime} is heard line by line and ended by its own id`, async () => {
    await withProcesses(async (start) => {
      const child = start({ script, runtime, args: ["a", "b"] });
      deepStrictEqual(await child.event("args"), { event: "args", args: ["a", "b"] });
      deepStrictEqual(await child.event("pid"), { event: "pid", pid: child.pid });
      child.kill("SIGKILL");
      deepStrictEqual(await child.exited, { code: null, signal: "SIGKILL" });
    });
  });
}

test("lines are taken in any order, and each only once", async () => {
  await withProcesses(async (start) => {
    const child = start({ script });
    strictEqual((await child.event("args"))["event"], "args");
    strictEqual((await child.line((line) => line["text"] === "first"))["text"], "first");
    await rejects(
      child.line((line) => line["text"] === "first", 50),
      /nothing in 50 ms.*\n.*first/s,
    );
  });
});

test("waiting for a line of a process that ends fails and shows what it printed", async () => {
  await withProcesses(async (start) => {
    const child = start({ script, args: ["exit"] });
    await rejects(child.event("never"), /it ended with code 3.*first.*to stderr/s);
    await rejects(child.event("never"), /it ended with code 3/);
  });
});

test("processes end with the test's body, frozen or not", async () => {
  const pids: number[] = [];
  const failure = new Error("the body fails");
  await rejects(
    withProcesses(async (start) => {
      const [running, frozen] = [start({ script }), start({ script })];
      await Promise.all([running.event("pid"), frozen.event("pid")]);
      frozen.kill("SIGSTOP");
      pids.push(running.pid, frozen.pid);
      throw failure;
    }),
    failure,
  );
  deepStrictEqual(pids.map(isRunning), [false, false]);
});

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
