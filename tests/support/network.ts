import { execFileSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import process from "node:process";

/** One host of a {@linkcode Network}. */
export interface NetworkHost {
  /** The address at which this machine reaches it, whatever is done to the network. */
  readonly hostname: string;
  /** The address at which the other hosts reach it. */
  readonly innerHostname: string;
  /** The command that runs a process there. */
  readonly within: readonly string[];
}

/** What a network does to packets. */
export interface Impairment {
  /** How long each packet is held up, in ms. */
  readonly delayMs: number;
  /** By how much that varies, in ms. */
  readonly jitterMs: number;
  /** Packets lost, of 100. */
  readonly lossPercent: number;
}

/** How little a network carries. */
export interface Narrowness {
  /** Bits that go through, in thousands a second. */
  readonly kilobitsPerSecond: number;
  /** Bytes that may wait. What does not fit is lost. */
  readonly queueBytes: number;
}

/** What it takes beside a network itself, as `tc` calls it. */
export type NetworkDiscipline = "netem" | "tbf";

const PREFIX = "chorus-";
const NAMESPACES = "/run/netns";
const TIME_LIMIT_MS = 10_000;
/** What a narrow cable lets through at once: two packets and a bit. */
const BURST_BYTES = 4_000;

/**
 * A network of its own: each host is a network namespace with one cable to a router, which can
 * drop what goes from one host to another, and one to this machine, which nothing disturbs.
 *
 *     this machine ── host a ──┐
 *          ├───────── host b ──┼── router
 *          └───────── host c ──┘
 *
 * It needs Linux, root and iproute2. Addresses are from 198.18.0.0/15, which is for tests of
 * networks. `close` takes everything away, the exit of the process does, and what a killed process
 * left behind goes when the next network is made.
 */
export class Network {
  /** Its hosts. */
  readonly hosts: readonly NetworkHost[];
  readonly #names: readonly string[];
  readonly #router: string;
  readonly #rules: string[] = [];
  readonly #disciplined: string[] = [];
  readonly #onExit = (): void => this.close();

  /** Makes a network. @throws {Error} Where it cannot: see {@linkcode whyNoNetwork}. */
  constructor(count: number) {
    sweep();
    this.#router = `${PREFIX}${process.pid}-r`;
    this.#names = Array.from({ length: count }, (_, index) => `${PREFIX}${process.pid}-${index}`);
    this.hosts = this.#names.map((name, index) => ({
      hostname: outerAddress(index, 2),
      innerHostname: innerAddress(index, 2),
      within: ["ip", "netns", "exec", name],
    }));
    process.once("exit", this.#onExit);
    try {
      this.#build();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Drops whatever goes from one host to another, in this direction only. */
  block(from: number, to: number): void {
    const rule = `from ${innerAddress(from, 2)} to ${innerAddress(to, 2)} blackhole`;
    this.#rules.push(rule);
    run("ip", "-n", this.#router, "rule", "add", ...rule.split(" "));
  }

  /** Lets everything through again. */
  unblock(): void {
    for (const rule of this.#rules.splice(0)) {
      run("ip", "-n", this.#router, "rule", "del", ...rule.split(" "));
    }
  }

  /** Holds up and loses packets on their way to a host. */
  impair(to: number, { delayMs, jitterMs, lossPercent }: Impairment): void {
    const loss = ["loss", `${lossPercent}%`];
    this.#discipline(to, "netem", "delay", `${delayMs}ms`, `${jitterMs}ms`, ...loss);
  }

  /** Lets only so much through to a host. */
  narrow(to: number, { kilobitsPerSecond, queueBytes }: Narrowness): void {
    const rate = ["rate", `${kilobitsPerSecond}kbit`, "burst", `${BURST_BYTES}`];
    this.#discipline(to, "tbf", ...rate, "limit", `${queueBytes}`);
  }

  /** Ends what {@linkcode Network.impair} and {@linkcode Network.narrow} began. */
  repair(): void {
    for (const device of this.#disciplined.splice(0)) {
      run("tc", "-n", this.#router, "qdisc", "del", "dev", device, "root");
    }
  }

  /** Takes it all away. Processes there must have ended. Idempotent. */
  close(): void {
    process.off("exit", this.#onExit);
    for (const index of this.#names.keys()) deleteDevice(outerDevice(index));
    for (const name of [...this.#names, this.#router]) deleteNamespace(name);
  }

  #discipline(to: number, name: NetworkDiscipline, ...args: readonly string[]): void {
    const device = `h${to}`;
    run("tc", "-n", this.#router, "qdisc", "add", "dev", device, "root", name, ...args);
    this.#disciplined.push(device);
  }

  #build(): void {
    run("ip", "netns", "add", this.#router);
    const forward = "echo 1 > /proc/sys/net/ipv4/ip_forward";
    run("ip", "netns", "exec", this.#router, "sh", "-c", forward);
    for (const [index, name] of this.#names.entries()) {
      run("ip", "netns", "add", name);
      this.#lay({ device: outerDevice(index), address: outerAddress(index, 1) }, {
        namespace: name,
        device: "outer",
        address: outerAddress(index, 2),
      });
      this.#lay({ namespace: this.#router, device: `h${index}`, address: innerAddress(index, 1) }, {
        namespace: name,
        device: "inner",
        address: innerAddress(index, 2),
      });
      run("ip", "-n", name, "link", "set", "lo", "up");
      run("ip", "-n", name, "route", "add", "198.18.0.0/16", "via", innerAddress(index, 1));
    }
  }

  // A cable is a pair of devices: what goes into one comes out of the other.
  #lay(...ends: readonly [CableEnd, CableEnd]): void {
    const [one, other] = ends.map(({ namespace, device }) => {
      return { device, place: namespace === undefined ? [] : ["netns", namespace] };
    }) as [{ device: string; place: string[] }, { device: string; place: string[] }];
    const peer = ["peer", "name", other.device, ...other.place];
    run("ip", "link", "add", one.device, ...one.place, "type", "veth", ...peer);
    for (const { namespace, device, address } of ends) {
      const place = namespace === undefined ? [] : ["-n", namespace];
      run("ip", ...place, "address", "add", `${address}/30`, "dev", device);
      run("ip", ...place, "link", "set", device, "up");
    }
  }
}

interface CableEnd {
  /** Default: this machine's own. */
  readonly namespace?: string;
  readonly device: string;
  readonly address: string;
}

/**
 * Why there can be no {@linkcode Network} here, or `undefined` if there can.
 *
 * @param discipline What the kernel must be able to do with packets. Default: nothing special.
 */
export function whyNoNetwork(discipline?: NetworkDiscipline): string | undefined {
  if (process.platform !== "linux") return "network namespaces need Linux";
  if (process.getuid?.() !== 0) return "network namespaces need root";
  try {
    const network = new Network(1);
    try {
      const least = { delayMs: 1, jitterMs: 0, lossPercent: 0 };
      if (discipline === "netem") network.impair(0, least);
      if (discipline === "tbf") network.narrow(0, { kilobitsPerSecond: 1, queueBytes: 5_000 });
      return undefined;
    } finally {
      network.close();
    }
  } catch (error) {
    return `no ${discipline ?? "network namespaces"} here: ${firstLine(error)}`;
  }
}

// Each process has sixteen addresses of this machine; the inner ones are in namespaces of its own.
function outerAddress(index: number, end: number): string {
  const own = process.pid % 0x1000;
  return `198.19.${own >> 4}.${(own & 15) * 16 + index * 4 + end}`;
}

function innerAddress(index: number, end: number): string {
  return `198.18.0.${index * 4 + end}`;
}

function sweep(): void {
  if (!existsSync(NAMESPACES)) return;
  for (const name of readdirSync(NAMESPACES)) {
    const [, pid] = /^chorus-(\d+)-/.exec(name) ?? [];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) deleteNamespace(name);
  }
}

function outerDevice(index: number): string {
  return `chorus${process.pid}-${index}`;
}

// A namespace takes its devices with it, but in its own time.
function deleteDevice(name: string): void {
  if (existsSync(`/sys/class/net/${name}`)) run("ip", "link", "delete", name);
}

function deleteNamespace(name: string): void {
  if (existsSync(`${NAMESPACES}/${name}`)) run("ip", "netns", "delete", name);
}

function run(command: string, ...args: string[]): void {
  execFileSync(command, args, { stdio: ["ignore", "ignore", "pipe"], timeout: TIME_LIMIT_MS });
}

function firstLine(error: unknown): string {
  const said = (error as { stderr?: Uint8Array }).stderr;
  const text = said === undefined ? "" : new TextDecoder().decode(said).trim();
  return (text === "" ? String(error) : text).split("\n")[0]!;
}
