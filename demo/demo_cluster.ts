import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import process from "node:process";
import { findPort } from "./free_port.ts";
import { LinkBook } from "./link_book.ts";
import { Member, type MemberHandler } from "./member.ts";
import { PAGE_FOLDER, readPageFile } from "./page_file.ts";

const NAMES = ["a", "b", "c"];

/** How to start the demo. */
export interface DemoClusterOptions {
  /** Where the page is; the nodes take the ports above it. 0 for any free ones. */
  readonly port: number;
  /** Where the first node listens for the others, which take the ports above it. 0 for any. */
  readonly clusterPort: number;
  /** The Redis server over which the nodes meet; `undefined` where they do so directly. */
  readonly redis: string | undefined;
  /** Whether lines are printed as JSON objects. */
  readonly json: boolean;
}

/**
 * Three nodes as processes, and a small server beside them. It serves the page, `GET /nodes`, which
 * tells how the nodes are, and `POST /nodes/a/kill` and `POST /nodes/a/restart`.
 */
export class DemoCluster implements MemberHandler {
  readonly #options: DemoClusterOptions;
  readonly #book = new LinkBook(NAMES);
  readonly #members = new Map<string, Member>();
  readonly #server: Server = createServer((request, response) => {
    void this.#answer(request, response);
  });
  #origins: readonly string[] = [];
  #port = 0;
  #isAnnounced = false;
  #isEnding = false;

  /** Takes the options; nothing runs yet. */
  constructor(options: DemoClusterOptions) {
    this.#options = options;
  }

  /** Starts the server and the nodes. SIGINT and SIGTERM end them, and the process. */
  async start(): Promise<void> {
    const taken = new Set<number>();
    const port = await findPort(this.#options.port, taken);
    const ports = await findPorts(this.#options.port === 0 ? 0 : port + 1, taken);
    const clusterPorts = await findPorts(this.#options.clusterPort, taken);
    NAMES.forEach((name, index) => {
      const clusterPort = clusterPorts[index]!;
      const peerPorts = clusterPorts.filter((other) => other !== clusterPort);
      const { redis } = this.#options;
      const options = { name, port: ports[index]!, clusterPort, peerPorts, redis };
      this.#members.set(name, new Member(options, this));
    });
    this.#port = port;
    this.#origins = [port, ...ports].flatMap((each) => [
      `http://127.0.0.1:${each}`,
      `http://localhost:${each}`,
    ]);
    process.on("SIGINT", () => void this.#end(0));
    process.on("SIGTERM", () => void this.#end(0));
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject).listen(port, "127.0.0.1", resolve);
    });
    for (const member of this.#members.values()) this.#startMember(member);
  }

  /** Writes into the book what a node reports. */
  line(member: Member, fields: Readonly<Record<string, unknown>>): void {
    const { event, node, peer } = fields;
    const now = Date.now();
    if (event === "listening") this.#book.listening(member.name, String(node), now);
    if (event === "peerconnected") this.#book.connected(member.name, String(peer), now);
    if (event === "peerdisconnected") this.#book.disconnected(member.name, String(peer), now);
    this.#print({ ...fields, name: member.name });
    if (this.#book.links.every(({ state }) => state === "up")) this.#announce();
  }

  /** Writes into the book that a node's process has ended, and gives up if none ever came up. */
  ended(member: Member, complaint: string): void {
    this.#book.ended(member.name, Date.now());
    this.#print({ event: "ended", name: member.name });
    if (complaint === "" || this.#isEnding) return;
    process.stderr.write(`${member.name}: ${complaint}\n`);
    if (!this.#isAnnounced) void this.#end(2);
  }

  #announce(): void {
    if (this.#isAnnounced) return;
    this.#isAnnounced = true;
    const url = `http://127.0.0.1:${this.#port}`;
    this.#print({ event: "listening", url, port: this.#port }, `Three nodes are up: open ${url}`);
  }

  #startMember(member: Member): void {
    if (member.state !== "down") return;
    this.#book.started(member.name, Date.now());
    member.start();
  }

  async #end(exitCode: number): Promise<void> {
    if (this.#isEnding) return;
    this.#isEnding = true;
    process.exitCode = exitCode;
    this.#server.close();
    this.#server.closeAllConnections();
    await Promise.all([...this.#members.values()].map((member) => member.stop()));
    this.#print({ event: "stopped" }, "stopped");
    process.exit();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname } = new URL(request.url ?? "/", "http://127.0.0.1");
    const origin = request.headers.origin;
    // Another site's page may be open in the same browser: it must not end anybody's nodes.
    if (origin !== undefined && !this.#origins.includes(origin)) {
      return send(response, 403, "forbidden\n");
    }
    if (origin !== undefined) response.setHeader("access-control-allow-origin", origin);
    response.setHeader("cache-control", "no-store");
    const [, name = "", verb] = /^\/nodes(?:\/([a-z]+)\/(kill|restart))?$/.exec(pathname) ?? [];
    if (pathname === "/nodes") return sendJson(response, this.#describe());
    const member = this.#members.get(name);
    if (member === undefined) return await this.#answerFile(pathname, response);
    if (request.method !== "POST") return send(response, 405, "POST only\n");
    await this.#order(member, verb);
    sendJson(response, this.#describe());
  }

  async #answerFile(pathname: string, response: ServerResponse): Promise<void> {
    const file = await readPageFile(PAGE_FOLDER, pathname);
    if (file === undefined) return send(response, 404, "not found\n");
    response.writeHead(200, { "content-type": file.contentType });
    response.end(file.body);
  }

  async #order(member: Member, verb: string | undefined): Promise<void> {
    if (member.state !== "down") {
      this.#book.ending(member.name, Date.now(), verb === "kill" ? "killed" : "stopped");
      await (verb === "kill" ? member.kill() : member.stop());
    }
    if (verb === "restart") this.#startMember(member);
  }

  #describe(): unknown {
    const nodes = [...this.#members.values()].map(({ name, url, state, pid }) => {
      return { name, url, state, pid };
    });
    return { nodes, links: this.#book.links, notes: this.#book.notes };
  }

  #print(fields: Readonly<Record<string, unknown>>, text?: string): void {
    if (this.#options.json) write(`${JSON.stringify(fields)}\n`);
    else if (text !== undefined) write(`${text}\n`);
  }
}

function send(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { "content-type": "text/plain; charset=utf-8" });
  response.end(text);
}

function sendJson(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { "content-type": "application/json" });
  response.end(JSON.stringify(value));
}

async function findPorts(first: number, taken: Set<number>): Promise<number[]> {
  const ports: number[] = [];
  for (const index of NAMES.keys()) {
    ports.push(await findPort(first === 0 ? 0 : first + index, taken));
  }
  return ports;
}

function write(text: string): void {
  process.stdout.write(text);
}
