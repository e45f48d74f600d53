/**
 * Real processes for live tests: started on any of the three runtimes, watched line by line,
 * signalled by their own id, and ended whatever happens.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";
import { CURRENT_RUNTIME, ROOT, runtimeCommand, type RuntimeName } from "./runtime_command.ts";

const LINE_TIME_LIMIT_MS = 20_000;
const OUTPUT_LINES_SHOWN = 30;

/** One line of output: the object that it holds as JSON, or `{ text }` where it holds none. */
export type ProcessLine = Readonly<Record<string, unknown>>;

/** What to run. */
export interface ProcessOptions {
  /** The TypeScript file, relative to the project's folder. */
  readonly script: string;
  /** The arguments. Default: none. */
  readonly args?: readonly string[];
  /** Where to run it. Default: the runtime that the test itself runs on. */
  readonly runtime?: RuntimeName;
  /** A command that becomes this one, such as `ip netns exec NAME`. Default: none. */
  readonly within?: readonly string[];
  /** Environment variables to add. Default: none. */
  readonly env?: Readonly<Record<string, string>>;
}

/** How a process ended. */
export interface ProcessExit {
  /** The exit code, or `null` when a signal ended it. */
  readonly code: number | null;
  /** The signal that ended it, or `null`. */
  readonly signal: string | null;
}

/** A signal that tests send. */
export type ProcessSignal = "SIGKILL" | "SIGSTOP" | "SIGCONT" | "SIGTERM" | "SIGINT";

/** Starts a process that {@linkcode withProcesses} ends. */
export type StartProcess = (options: ProcessOptions) => TestProcess;

/**
 * Runs a test's body with a way to start processes, and ends them all when it is through.
 *
 * @param body The test. Frozen processes are thawed and killed after it too.
 */
export async function withProcesses(body: (start: StartProcess) => Promise<void>): Promise<void> {
  const started: TestProcess[] = [];
  const killAll = (): void => started.forEach((child) => child.kill("SIGKILL"));
  process.once("exit", killAll);
  try {
    await body((options) => {
      const child = new TestProcess(options);
      started.push(child);
      return child;
    });
  } finally {
    killAll();
    await Promise.all(started.map((child) => child.exited));
    process.off("exit", killAll);
  }
}

interface Waiter {
  readonly take: (line: ProcessLine) => boolean;
  readonly fail: (reason: string) => void;
}

/** One running process. */
export class TestProcess {
  /** The runtime's own process id. */
  readonly pid: number;
  /** Resolves when the process has ended and all of its output has been read. Never rejects. */
  readonly exited: Promise<ProcessExit>;
  readonly #child: ChildProcess;
  readonly #title: string;
  readonly #output: string[] = [];
  readonly #lines: ProcessLine[] = [];
  readonly #waiters = new Set<Waiter>();
  #exit: ProcessExit | undefined;

  /** Starts it. Prefer {@linkcode withProcesses}, which also ends it. */
  constructor(options: ProcessOptions) {
    const { script, args = [], runtime = CURRENT_RUNTIME, within = [], env = {} } = options;
    const [binary = "", ...before] = [...within, ...runtimeCommand(runtime)];
    this.#title = `${runtime} ${script} ${args.join(" ")}`;
    this.#child = spawn(binary, [...before, `${ROOT}${script}`, ...args], {
      cwd: ROOT,
      env: { ...process.env, NO_COLOR: "1", ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    if (this.#child.pid === undefined) throw new Error(`Cannot start ${this.#title}`);
    this.pid = this.#child.pid;
    createInterface(this.#child.stdout!).on("line", (text) => this.#hear(text));
    createInterface(this.#child.stderr!).on("line", (text) => this.#remember(text));
    this.exited = new Promise((resolve) => {
      this.#child.once("close", (code, signal) => resolve(this.#end({ code, signal })));
    });
  }

  /** Everything that it printed so far on both streams, for messages. */
  get output(): string {
    return this.#output.join("\n");
  }

  /**
   * Takes the first line of standard output, old or new, that matches and was not taken before.
   *
   * @param matches Tells which line is wanted.
   * @param timeLimitMs How long to wait. Default: 20 s.
   * @throws {Error} If none comes in time, or the process ends. The message shows its output.
   */
  line(
    matches: (line: ProcessLine) => boolean,
    timeLimitMs: number = LINE_TIME_LIMIT_MS,
  ): Promise<ProcessLine> {
    const index = this.#lines.findIndex(matches);
    if (index >= 0) return Promise.resolve(this.#lines.splice(index, 1)[0]!);
    if (this.#exit !== undefined) return Promise.reject(this.#refusal(describeExit(this.#exit)));
    return new Promise((resolve, reject) => {
      const settle = (done: () => void): void => {
        clearTimeout(timer);
        this.#waiters.delete(waiter);
        done();
      };
      const waiter: Waiter = {
        take: (line) => matches(line) && (settle(() => resolve(line)), true),
        fail: (reason) => settle(() => reject(this.#refusal(reason))),
      };
      const timer = setTimeout(() => waiter.fail(`nothing in ${timeLimitMs} ms`), timeLimitMs);
      this.#waiters.add(waiter);
    });
  }

  /** Takes the next line whose `event` is this one, and whose other fields are these. */
  event(name: string, fields: ProcessLine = {}): Promise<ProcessLine> {
    const wanted = Object.entries({ event: name, ...fields });
    return this.line((line) => wanted.every(([key, value]) => line[key] === value));
  }

  /** Sends a signal. Does nothing once the process has ended. */
  kill(signal: ProcessSignal): void {
    if (this.#exit !== undefined) return;
    try {
      process.kill(this.pid, signal);
    } catch {
      // It ended a moment ago, and its exit has not been reported yet.
    }
  }

  #hear(text: string): void {
    this.#remember(text);
    const line = parseLine(text);
    for (const waiter of this.#waiters) {
      if (waiter.take(line)) return;
    }
    this.#lines.push(line);
  }

  #remember(text: string): void {
    this.#output.push(text);
  }

  #end(exit: ProcessExit): ProcessExit {
    this.#exit = exit;
    for (const waiter of this.#waiters) waiter.fail(describeExit(exit));
    return exit;
  }

  #refusal(reason: string): Error {
    const shown = this.#output.slice(-OUTPUT_LINES_SHOWN).join("\n  ");
    return new Error(`Cannot read a line of ${this.#title}: ${reason}; it printed\n  ${shown}`);
  }
}

/** Where a node of the demo listens. */
export interface DemoNode {
  /** Its process. */
  readonly process: TestProcess;
  /** The port for clients and for HTTP. */
  readonly port: number;
  /** The port for other nodes. */
  readonly clusterPort: number;
  /** Its node id. */
  readonly node: string;
}

/** How to start a node of the demo. */
export interface DemoNodeOptions {
  /** Its name. */
  readonly name: string;
  /** Cluster ports of other nodes. Default: none. */
  readonly peers?: readonly number[];
  /** The Redis server over which it meets the others. Default: it links with them directly. */
  readonly redis?: string;
  /** Where to run it. Default: the runtime that the test itself runs on. */
  readonly runtime?: RuntimeName;
  /** More flags. Default: none. */
  readonly args?: readonly string[];
}

/** Starts `demo/node.ts` on free ports and waits until it listens. */
export async function startDemoNode(
  start: StartProcess,
  options: DemoNodeOptions,
): Promise<DemoNode> {
  const { name, peers = [], redis, runtime = CURRENT_RUNTIME, args = [] } = options;
  const ways = redis === undefined ? ["--cluster-port", "0"] : ["--redis", redis];
  const child = start({
    script: "demo/node.ts",
    runtime,
    args: ["--json", "--name", name, "--port", "0", ...ways].concat(
      peers.flatMap((port) => ["--peer", `127.0.0.1:${port}`]),
      args,
    ),
  });
  const { port, clusterPort, node } = await child.event("listening");
  return { process: child, port: Number(port), clusterPort: Number(clusterPort), node: `${node}` };
}

function parseLine(text: string): ProcessLine {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value as ProcessLine;
  } catch {
    // A line for people, which is as good.
  }
  return { text };
}

function describeExit({ code, signal }: ProcessExit): string {
  return signal === null ? `it ended with code ${code}` : `it was ended by ${signal}`;
}
