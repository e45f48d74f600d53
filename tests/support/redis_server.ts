/**
 * Real Redis servers for tests: each a process of its own on a free port of 127.0.0.1, without
 * persistence, in a folder of its own that goes away with it.
 *
 * @module
 */

import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { SERVER_CERT, SERVER_KEY } from "./certificate.ts";

const START_TIME_LIMIT_MS = 10_000;
const STOP_TIME_LIMIT_MS = 3_000;
/** Between the look for a free port and Redis's own bind somebody else may take it. */
const START_ATTEMPTS_MAX = 5;
const OUTPUT_LINES_SHOWN = 20;
const PAUSE_MS = 20;

/** Why tests that need a Redis server are skipped here; `false` where they run. CI must have one. */
export const skipWithoutRedis: string | false = hasRedis() || process.env["CI"] !== undefined
  ? false
  : "redis-server is not installed (apt-get install redis-server)";

/** How to start a server. */
export interface RedisServerOptions {
  /** More flags for `redis-server`, such as `["--maxclients", "10"]`. Default: none. */
  readonly flags?: readonly string[];
  /** The address that it listens on. Default: 127.0.0.1. */
  readonly hostname?: string;
  /** A command that becomes this one, such as `ip netns exec NAME`. Default: none. */
  readonly within?: readonly string[];
  /** The port. Default: a free one. */
  readonly port?: number;
  /** The default user's password. Default: none. */
  readonly password?: string;
  /** Speaks TLS at the port, with the certificate of the tests, and nothing else. Default: no. */
  readonly isTls?: boolean;
  /** Makes it a Sentinel, with these lines of configuration. Default: a server. */
  readonly sentinel?: readonly string[];
}

/** Starts a server and waits until it takes connections. The caller stops it. */
export async function startRedis(options: RedisServerOptions = {}): Promise<RedisServer> {
  const server = new RedisServer(options);
  try {
    await server.start();
  } catch (error) {
    await server.stop();
    throw error;
  }
  return server;
}

/** Runs a test's body with a server, and stops the server whatever happens. */
export async function withRedis(
  options: RedisServerOptions,
  body: (server: RedisServer) => Promise<void>,
): Promise<void> {
  const server = await startRedis(options);
  try {
    await body(server);
  } finally {
    await server.stop();
  }
}

/** One `redis-server`. Made by {@linkcode startRedis}. */
export class RedisServer {
  /** The folder that it runs in. */
  readonly folder: string = mkdtempSync(join(tmpdir(), "chorus-redis-"));
  /** The path of its Unix socket. */
  readonly path: string = join(this.folder, "redis.sock");
  readonly #options: RedisServerOptions;
  readonly #killAtExit = (): void => this.signal("SIGKILL");
  #port: number;
  #child: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();
  #output: string[] = [];

  /** Prepares it; prefer {@linkcode startRedis}. */
  constructor(options: RedisServerOptions) {
    this.#options = options;
    this.#port = options.port ?? 0;
    process.once("exit", this.#killAtExit);
  }

  /** The port. */
  get port(): number {
    return this.#port;
  }

  /** The process id. */
  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** The URL, without a password. */
  get url(): string {
    return `redis://${this.#options.hostname ?? "127.0.0.1"}:${this.#port}`;
  }

  /** Everything that it printed so far, for messages. */
  get output(): string {
    return this.#output.join("\n");
  }

  /** Starts it, or starts it again at the same port after `kill`. Resolves when it is ready. */
  async start(): Promise<void> {
    const isPortFree = this.#port === 0;
    for (let attempt = 1;; attempt++) {
      if (isPortFree) this.#port = await freePort();
      try {
        return await this.#launch();
      } catch (error) {
        await this.kill();
        const isTaken = this.output.includes("Address already in use");
        if (!isPortFree || !isTaken || attempt === START_ATTEMPTS_MAX) throw error;
      }
    }
  }

  /** Ends it at once, as a crash does (SIGKILL). Resolves when it is gone. */
  async kill(): Promise<void> {
    this.signal("SIGKILL");
    await this.#exited;
  }

  /** Kills it and starts it again at the same port, without its data. */
  async restart(): Promise<void> {
    await this.kill();
    await this.start();
  }

  /** Sends a signal: SIGSTOP freezes it, SIGCONT thaws it. Does nothing once it has ended. */
  signal(name: "SIGKILL" | "SIGTERM" | "SIGSTOP" | "SIGCONT"): void {
    if (this.#child?.pid === undefined) return;
    try {
      process.kill(this.#child.pid, name);
    } catch {
      // It ended a moment ago.
    }
  }

  /** Shuts it down and removes its folder. Safe to call again. */
  async stop(): Promise<void> {
    this.signal("SIGCONT");
    this.signal("SIGTERM");
    const timer = setTimeout(() => this.signal("SIGKILL"), STOP_TIME_LIMIT_MS);
    await this.#exited;
    clearTimeout(timer);
    process.off("exit", this.#killAtExit);
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Resolves when it has printed a text. */
  async prints(text: string): Promise<void> {
    const end = performance.now() + START_TIME_LIMIT_MS;
    while (!this.output.includes(text)) {
      if (performance.now() > end) throw new Error(`redis-server has not printed "${text}"`);
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }

  /** Runs one command with `redis-cli`, over the Unix socket, and returns what it prints. */
  async cli(...command: readonly string[]): Promise<string> {
    const { password } = this.#options;
    const env = password === undefined ? {} : { REDISCLI_AUTH: password };
    const args = ["-s", this.path, "-e", ...command];
    const { stdout } = await promisify(execFile)("redis-cli", args, {
      env: { ...process.env, ...env },
    });
    return stdout.trimEnd();
  }

  // A Sentinel keeps what it learns in its file, and does not start without one.
  #configure(lines: readonly string[]): string {
    const path = join(this.folder, "sentinel.conf");
    writeFileSync(path, `${lines.join("\n")}\n`);
    return path;
  }

  #launch(): Promise<void> {
    const { flags = [], password, sentinel, isTls = false } = this.#options;
    const { hostname = "127.0.0.1", within = [] } = this.#options;
    const [command = "", ...before] = [...within, "redis-server"];
    const child = spawn(command, [
      ...before,
      ...(sentinel === undefined ? [] : [this.#configure(sentinel), "--sentinel"]),
      ...(isTls ? this.#tlsFlags() : ["--port", `${this.#port}`]),
      ...["--bind", hostname, "--dir", this.folder],
      ...["--unixsocket", this.path, "--save", "", "--appendonly", "no"],
      ...(password === undefined ? [] : ["--requirepass", password]),
      ...flags,
    ], { stdio: ["ignore", "pipe", "pipe"] });
    this.#output = [];
    this.#child = child;
    return this.#untilReady(child);
  }

  #tlsFlags(): string[] {
    const cert = join(this.folder, "cert.pem");
    const key = join(this.folder, "key.pem");
    writeFileSync(cert, SERVER_CERT);
    writeFileSync(key, SERVER_KEY);
    return [
      ...["--port", "0", "--tls-port", `${this.#port}`, "--tls-auth-clients", "no"],
      ...["--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert],
    ];
  }

  #untilReady(child: ChildProcess): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      const fail = (reason: string): void => {
        clearTimeout(timer);
        const shown = this.#output.slice(-OUTPUT_LINES_SHOWN).join("\n  ");
        reject(new Error(`Cannot start redis-server: ${reason}; it printed\n  ${shown}`));
      };
      const timer = setTimeout(() => fail("not ready in time"), START_TIME_LIMIT_MS);
      this.#exited = new Promise((exited) => {
        child.once("close", () => {
          this.#child = undefined;
          exited();
          fail("it ended");
        });
        child.once("error", (error) => {
          exited();
          fail(error.message);
        });
      });
      createInterface(child.stderr!).on("line", (line) => this.#output.push(line));
      createInterface(child.stdout!).on("line", (line) => {
        this.#output.push(line);
        if (!/Ready to accept connections|server is now ready|[+]monitor master/.test(line)) return;
        clearTimeout(timer);
        resolve();
      });
    });
  }
}

function hasRedis(): boolean {
  try {
    execFileSync("redis-server", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

function freePort(): Promise<number> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" ? address?.port ?? 0 : 0));
    });
  });
}
