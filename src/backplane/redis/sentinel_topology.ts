import { type Millis, NO_OUTPUTS, type Wake } from "../../core/machine.ts";
import { RedisError } from "../../errors.ts";
import type { TcpAddress } from "../../runtime/tcp.ts";
import { formatAddress } from "../../runtime/tcp_address.ts";
import type { DialerInput } from "./dialer_input.ts";
import type { RedisTopology } from "./redis_options.ts";
import { respItems, respText, type RespValue } from "./resp.ts";
import type { Topology, TopologyOutput } from "./topology.ts";
import { Wire, type WireContext, type WireEvent } from "./wire.ts";

/** Which Sentinels there are, and what they watch. */
export type SentinelSettings = RedisTopology & { readonly kind: "sentinel" };

type Ticket = "master";

interface Sentinel {
  readonly place: string;
  readonly wire: Wire<Ticket>;
  /** The master, as it says. */
  told: TcpAddress | undefined;
  toldAt: Millis;
  /** Whether it could not be asked, or does not know. */
  hasFailed: boolean;
}

const ASK_MS = 1_000;
/** How long an answer counts. */
const TOLD_FOR_MS = 3_000;
const SWITCH_CHANNEL = "+switch-master";

/**
 * The master that the Sentinels agree on. All of them are asked, every second and whenever one
 * announces another master; the one that most of them name is followed.
 */
export class SentinelTopology implements Topology {
  readonly isSharded = false;
  readonly role = "master";
  readonly #name: string;
  readonly #sentinels: readonly Sentinel[];
  #master: TcpAddress | undefined;
  #outputs: TopologyOutput[] = [];
  #askAt: Millis;
  #isClosed = false;

  /** Starts to ask. */
  constructor(wires: WireContext, settings: SentinelSettings, now: Millis) {
    const { username, password, tls } = settings.access;
    const context = { ...wires, tls, connection: { ...wires.connection, username, password } };
    this.#name = settings.name;
    this.#sentinels = settings.nodes.map((address) => ({
      place: formatAddress(address),
      wire: new Wire<Ticket>(context, address, now),
      told: undefined,
      toldAt: -Infinity,
      hasFailed: false,
    }));
    this.#askAt = now + ASK_MS;
    this.handle(WAKE, now);
  }

  get addresses(): readonly TcpAddress[] {
    return this.#master === undefined ? [] : [this.#master];
  }

  get deadline(): Millis | undefined {
    if (this.#isClosed) return undefined;
    let deadline = this.#askAt;
    for (const { wire } of this.#sentinels) {
      deadline = Math.min(deadline, wire.deadline ?? Infinity);
    }
    return deadline;
  }

  addressOf(_channel: string): TcpAddress | undefined {
    return this.#master;
  }

  handle(input: DialerInput | Wake, now: Millis): void {
    if (this.#isClosed) return;
    if (input.kind === "wake" && now >= this.#askAt) this.look(now);
    for (const sentinel of this.#sentinels) {
      sentinel.wire.handle(input, now);
      this.#settle(sentinel, now);
    }
  }

  take(): TopologyOutput[] {
    if (this.#outputs.length === 0) return NO_OUTPUTS;
    const outputs = this.#outputs;
    this.#outputs = [];
    return outputs;
  }

  look(now: Millis): void {
    this.#askAt = now + ASK_MS;
    for (const sentinel of this.#sentinels) this.#ask(sentinel, now);
  }

  close(now: Millis): void {
    this.#isClosed = true;
    for (const sentinel of this.#sentinels) {
      sentinel.wire.close(now);
      for (const event of sentinel.wire.take()) {
        if (event.kind === "write" || event.kind === "hangup") this.#outputs.push(event);
      }
    }
  }

  // One that is being greeted is asked when that is done.
  #ask({ wire }: Sentinel, now: Millis): void {
    if (wire.server === undefined) return;
    wire.command(["SENTINEL", "GET-MASTER-ADDR-BY-NAME", this.#name], "master", now);
  }

  #settle(sentinel: Sentinel, now: Millis): void {
    for (const event of sentinel.wire.take()) this.#onEvent(sentinel, event, now);
  }

  #onEvent(sentinel: Sentinel, event: WireEvent<Ticket>, now: Millis): void {
    switch (event.kind) {
      case "dial":
      case "write":
      case "hangup":
        this.#outputs.push(event);
        return;
      case "up":
        // In RESP2 a connection that subscribes can ask nothing more.
        if (event.server.protocol === 3) {
          sentinel.wire.subscription("SUBSCRIBE", [SWITCH_CHANNEL], now);
        }
        return this.#ask(sentinel, now);
      case "reply":
        return this.#onAnswer(sentinel, event.value, now);
      case "failed":
      case "down":
        sentinel.told = undefined;
        return this.#onFailed(sentinel, event.error);
      case "message":
        // It says which master has changed, but not what the others think of it.
        return this.look(now);
      default:
        // A confirmation, which nobody waits for.
    }
  }

  #onAnswer(sentinel: Sentinel, value: RespValue, now: Millis): void {
    const [host, port] = respItems(value) ?? [];
    const hostname = respText(host);
    sentinel.wire.praise();
    if (hostname === undefined) {
      sentinel.told = undefined;
      const { place } = sentinel;
      const message = `Cannot find Redis: the Sentinel at ${place} knows no master ` +
        `${JSON.stringify(this.#name)}`;
      return this.#onFailed(sentinel, new RedisError("server_error", message, { server: place }));
    }
    sentinel.hasFailed = false;
    sentinel.told = { hostname, port: Number(respText(port)) };
    sentinel.toldAt = now;
    this.#elect(now);
  }

  // With as many votes as another, the one that is followed already stays.
  #elect(now: Millis): void {
    const votes = new Map<string, number>();
    for (const { told, toldAt } of this.#sentinels) {
      if (told === undefined || now > toldAt + TOLD_FOR_MS) continue;
      const place = formatAddress(told);
      votes.set(place, (votes.get(place) ?? 0) + 1);
    }
    const current = this.#master === undefined ? undefined : formatAddress(this.#master);
    let best = current;
    for (const [place, count] of votes) {
      if (count > (best === undefined ? 0 : votes.get(best) ?? 0)) best = place;
    }
    if (best === current) return;
    this.#master = this.#sentinels.find(({ told }) => {
      return told !== undefined && formatAddress(told) === best;
    })?.told;
    this.#outputs.push({ kind: "changed" });
  }

  #onFailed(sentinel: Sentinel, error: RedisError): void {
    sentinel.hasFailed = true;
    if (this.#master !== undefined || this.#sentinels.some(({ hasFailed }) => !hasFailed)) return;
    this.#outputs.push({ kind: "failed", error });
  }
}

const WAKE: Wake = { kind: "wake" };
