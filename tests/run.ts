/**
 * Runs everything that must hold before a change lands: the static checks, then each test file on
 * each runtime in a process of its own. `npm test` and `.ci/run` call it.
 *
 *     npx tsx tests/run.ts [--runtime node|bun|deno]… [--only SUBSTRING] [--no-static]
 *
 * @module
 */

import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { skipWithoutRedis } from "./support/redis_server.ts";
import {
  ROOT,
  runtimeBinary,
  runtimeCommand,
  type RuntimeName,
  RUNTIMES,
  runtimeVersion,
} from "./support/runtime_command.ts";
import {
  addTallies,
  countTests,
  EMPTY_TALLY,
  formatTally,
  type Tally,
} from "./support/test_report.ts";

/** Two files at once keep two cores busy, and leave timers the time that they expect. */
const FILES_AT_ONCE = 2;
const FILE_TIME_LIMIT_MS = 180_000;
/** Bun's own limit is 5 s a test; the other runtimes have none. */
const BUN_TEST_TIME_LIMIT_MS = 120_000;
const ENTRY_POINTS = ["mod.ts"];

const STATIC_CHECKS: readonly (readonly [name: string, ...args: string[]])[] = [
  ["format", "fmt", "--check"],
  ["lint", "lint"],
  ["types", "check", ...ENTRY_POINTS, "src", "tests", "demo", "bench"],
  ["page types", "check", "--config", "tests/support/page_check.json", "demo/page/script.js"],
  ["docs", "doc", "--lint", ...ENTRY_POINTS],
  [
    "examples",
    "test",
    "--doc",
    "--config",
    "tests/support/example_check.json",
    "-A",
    ...ENTRY_POINTS,
    "src",
  ],
  ["publish", "publish", "--dry-run", "--allow-dirty"],
];

interface Options {
  readonly runtimes: readonly RuntimeName[];
  readonly only: string;
  readonly static: boolean;
}

interface Outcome {
  readonly succeeded: boolean;
  readonly output: string;
  readonly seconds: string;
}

const running = new Set<number>();
const reports = mkdtempSync(join(tmpdir(), "chorus-test-"));
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => process.exit(130));
}
process.once("exit", () => {
  for (const group of running) killGroup(group);
  rmSync(reports, { recursive: true, force: true });
});
await main(readOptions());

async function main(options: Options): Promise<void> {
  const tallies: Tally[] = [];
  if (options.static) {
    for (const [name, ...args] of STATIC_CHECKS) tallies.push(await checkStatic(name, args));
  }
  const files = listTestFiles("tests").filter((file) => file.includes(options.only));
  if (skipWithoutRedis !== false) print(`skip  what needs Redis: ${skipWithoutRedis}`);
  if (files.length === 0) print(`no test file's name contains "${options.only}"`);
  for (const runtime of options.runtimes) tallies.push(await testRuntime(runtime, files));
  const total = addTallies(tallies);
  print(`\n${formatTally(total)}`);
  process.exitCode = total.failed > 0 || files.length === 0 ? 1 : 0;
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      "runtime": { type: "string", multiple: true },
      "only": { type: "string", default: "" },
      "no-static": { type: "boolean", default: false },
    },
  });
  const runtimes = values.runtime ?? RUNTIMES;
  for (const name of runtimes) {
    if (!RUNTIMES.includes(name as RuntimeName)) {
      print(`Cannot run tests: --runtime must be one of ${RUNTIMES.join(", ")}, received ${name}`);
      process.exit(2);
    }
  }
  return {
    runtimes: runtimes as RuntimeName[],
    only: values.only ?? "",
    static: values["no-static"] !== true,
  };
}

async function checkStatic(name: string, args: readonly string[]): Promise<Tally> {
  const outcome = await run([runtimeBinary("deno"), ...args]);
  print(`${outcome.succeeded ? "ok  " : "FAIL"}  ${name} (${outcome.seconds} s)`);
  if (!outcome.succeeded) print(outcome.output);
  return { ...EMPTY_TALLY, [outcome.succeeded ? "passed" : "failed"]: 1 };
}

async function testRuntime(runtime: RuntimeName, files: readonly string[]): Promise<Tally> {
  const start = performance.now();
  const isLive = (file: string): boolean => file.startsWith("tests/live/");
  const together = files.filter((file) => !isLive(file));
  const tallies: Tally[] = [];
  const work = async (queue: string[]): Promise<void> => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      tallies.push(await testFile(runtime, file));
    }
  };
  await Promise.all(Array.from({ length: FILES_AT_ONCE }, () => work(together)));
  // What is timed against real processes runs alone.
  await work(files.filter(isLive));
  const total = addTallies(tallies);
  const name = `${runtime} ${runtimeVersion(runtime)}`;
  const verdict = total.failed === 0 ? "ok  " : "FAIL";
  print(`${verdict}  ${name}: ${formatTally(total)} in ${files.length} files (${since(start)} s)`);
  return total;
}

async function testFile(runtime: RuntimeName, file: string): Promise<Tally> {
  const report = join(reports, `${runtime}-${file.replaceAll("/", "-")}.xml`);
  const outcome = await run(testCommand(runtime, file, report));
  const tally = countTests(
    existsSync(report) ? readFileSync(report, "utf8") : "",
    outcome.succeeded,
  );
  const line = `${runtime} ${file}: ${formatTally(tally)} (${outcome.seconds} s)`;
  if (tally.failed > 0) print(`FAIL  ${line}\n${outcome.output}`);
  else if (tally.skipped > 0) print(`skip  ${line}`);
  return tally;
}

function testCommand(runtime: RuntimeName, file: string, report: string): string[] {
  const binary = runtimeBinary(runtime);
  switch (runtime) {
    case "node":
      return [
        ...runtimeCommand("node"),
        "--test-reporter=spec",
        "--test-reporter-destination=stdout",
        "--test-reporter=junit",
        `--test-reporter-destination=${report}`,
        file,
      ];
    case "bun":
      return [
        binary,
        "test",
        `--timeout=${BUN_TEST_TIME_LIMIT_MS}`,
        "--reporter=junit",
        `--reporter-outfile=${report}`,
        `./${file}`,
      ];
    case "deno":
      return [
        binary,
        "test",
        "--allow-all",
        "--no-check",
        "--preload=tests/support/deno_uncaught.ts",
        `--junit-path=${report}`,
        file,
      ];
  }
}

// Each command leads a process group, so that what it leaves behind ends with it.
function run(command: readonly string[]): Promise<Outcome> {
  const [binary = "", ...args] = command;
  const start = performance.now();
  const child = spawn(binary, args, {
    cwd: ROOT,
    detached: true,
    env: { ...process.env, NO_COLOR: "1" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const group = child.pid;
  if (group === undefined) throw new Error(`Cannot run ${binary}`);
  running.add(group);
  const chunks: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (chunk: string) => chunks.push(chunk));
  }
  const timer = setTimeout(() => {
    chunks.push(`\nended after its time limit of ${FILE_TIME_LIMIT_MS / 1_000} s\n`);
    killGroup(group);
  }, FILE_TIME_LIMIT_MS);
  child.once("exit", () => killGroup(group));
  return new Promise((resolve) => {
    child.once("close", (code) => {
      clearTimeout(timer);
      running.delete(group);
      resolve({ succeeded: code === 0, output: chunks.join("").trimEnd(), seconds: since(start) });
    });
  });
}

function killGroup(group: number): void {
  try {
    process.kill(-group, "SIGKILL");
  } catch {
    // Nothing of it is left, which is how it should be.
  }
}

function listTestFiles(folder: string): string[] {
  return readdirSync(`${ROOT}${folder}`, { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return listTestFiles(path);
    return path.endsWith("_test.ts") ? [path] : [];
  }).sort();
}

function since(start: number): string {
  return ((performance.now() - start) / 1_000).toFixed(1);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
