import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { PAGE_FOLDER } from "./page_file.ts";

const SCRIPT = fileURLToPath(new URL("./node.ts", import.meta.url));
/** A node says goodbye within 2 s; then it is ended. */
const STOP_TIME_LIMIT_MS = 1_800;

/** Where a member's process stands. */
export type MemberState = "down" | "starting" | "up";

/** How to start a member. */
export interface MemberOptions {
  /** The node's name. */
  readonly name: string;
  /** Its port for clients. */
  readonly port: number;
  /** Its port for the other nodes. */
  readonly clusterPort: number;
  /** The cluster ports of the others. */
  readonly peerPorts: readonly number[];
  /** The Redis server over which the nodes meet, if they do not do so directly. */
  readonly redis: string | undefined;
}

/** What a member's process reports. */
export interface MemberHandler {
  /** A line of its standard output, as an object. */
  line(member: Member, fields: Readonly<Record<string, unknown>>): void;
  /** Its process has ended; `complaint` is what it said on standard error. */
  ended(member: Member, complaint: string): void;
}

/** One node of the demo: a process that can be killed and started again on the same ports. */
export class Member {
  /** The node's name. */
  readonly name: string;
  /** Where its clients connect. */
  readonly url: string;
  readonly #options: MemberOptions;
  readonly #handler: MemberHandler;
  #state: MemberState = "down";
  #child: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();

  /** Takes the options; nothing runs yet. */
  constructor(options: MemberOptions, handler: MemberHandler) {
    this.name = options.name;
    this.url = `http://127.0.0.1:${options.port}`;
    this.#options = options;
    this.#handler = handler;
  }

  /** Where its process stands. */
  get state(): MemberState {
    return this.#state;
  }

  /** Its process id, while it runs. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Starts the process. Does nothing while one runs. */
  start(): void {
    if (this.#child !== undefined) return;
    const [binary, ...before] = commandOfThisRuntime();
    const child = spawn(binary, [...before, SCRIPT, ...this.#flags()], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    this.#state = "starting";
    let complaint = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => complaint += text);
    createInterface(child.stdout).on("line", (line) => this.#hear(line));
    this.#ended = new Promise((resolve) => {
      child.once("close", () => {
        this.#child = undefined;
        this.#state = "down";
        this.#handler.ended(this, complaint.trim());
        resolve();
      });
    });
  }

  /** Ends the process at once, without a goodbye. Resolves when it is gone. */
  kill(): Promise<void> {
    this.#child?.kill("SIGKILL");
    return this.#ended;
  }

  /** Asks the process to end cleanly, and ends it if it does not. Resolves when it is gone. */
  async stop(): Promise<void> {
    this.#child?.kill("SIGTERM");
    const timer = setTimeout(() => this.#child?.kill("SIGKILL"), STOP_TIME_LIMIT_MS);
    await this.#ended;
    clearTimeout(timer);
  }

  #flags(): string[] {
    const { name, port, clusterPort, peerPorts, redis } = this.#options;
    const common = ["--json", "--name", name, "--port", `${port}`, "--page", PAGE_FOLDER];
    if (redis !== undefined) return [...common, "--redis", redis];
    const peers = peerPorts.flatMap((peerPort) => ["--peer", `127.0.0.1:${peerPort}`]);
    return [...common, "--cluster-port", `${clusterPort}`, ...peers];
  }

  #hear(line: string): void {
    // A runtime may have words of its own to say on the same stream.
    if (!line.startsWith("{")) return;
    const fields = JSON.parse(line) as Readonly<Record<string, unknown>>;
    if (fields["event"] === "listening") this.#state = "up";
    this.#handler.line(this, fields);
  }
}

// The same runtime, started the same way: on Node 20 that includes the loader for TypeScript.
function commandOfThisRuntime(): [string, ...string[]] {
  return "deno" in process.versions
    ? [process.execPath, "run", "--allow-all"]
    : [process.execPath, ...process.execArgv];
}
