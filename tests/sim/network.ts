import { Deque } from "../../src/core/deque.ts";
import type { Millis } from "../../src/core/machine.ts";
import { joinBytes } from "../support/join_bytes.ts";
import type { Chance } from "./chance.ts";
import type { Host } from "./host.ts";
import type { Schedule } from "./schedule.ts";

/** How the network of a run behaves when nothing is broken. */
export interface NetworkOptions {
  /** Each pair of machines gets a delay between these, in ms. */
  readonly delayMinMs: Millis;
  readonly delayMaxMs: Millis;
  /** How much a chunk's delay varies, in ms. Order within a connection is kept. */
  readonly jitterMs: Millis;
  /** How often a chunk comes in pieces. */
  readonly splitChance: number;
  /** How often chunks that arrive at the same time come as one. */
  readonly joinChance: number;
  /** Bytes that the systems on both sides hold before a writer has to keep them. */
  readonly bufferBytes: number;
}

/** What one side of a connection is told. */
export interface EndHandler {
  data(chunk: Uint8Array): void;
  /** So many bytes wait in the writer's own hands. */
  queued(byteLength: number): void;
  ended(isReset: boolean): void;
}

/** What a dialler is told. */
export interface Dialler {
  opened(end: End): EndHandler;
  failed(isRefused: boolean): void;
}

type Item =
  | { readonly kind: "data"; readonly at: Millis; readonly chunk: Uint8Array }
  | { readonly kind: "end"; readonly at: Millis; readonly isReset: boolean };

interface Listener {
  readonly host: Host;
  accept(end: End): EndHandler;
}

const SYN_AGAIN_MS = 500;
const RESEND_MS = 200;
const HANDSHAKE_MS = 3_000;

/** One side of a connection, and the stream that leaves it. */
export class End {
  readonly host: Host;
  readonly address: string;
  readonly network: Network;
  readonly openedAt: Millis;
  handler: EndHandler | undefined;
  peer!: End;
  isClosed = false;
  /** What is under way to the peer. */
  readonly items: Deque<Item> = new Deque();
  lastAt: Millis = 0;
  isBusy = false;
  byteLength = 0;
  wasQueued = false;

  constructor(network: Network, host: Host, address: string, openedAt: Millis) {
    this.openedAt = openedAt;
    this.network = network;
    this.host = host;
    this.address = address;
  }

  /** The address of the other side. */
  get remote(): string {
    return this.peer.address;
  }

  /** Sends bytes, and returns how many wait in the writer's own hands. */
  write(chunk: Uint8Array): number {
    return this.network.write(this, chunk);
  }

  /** Ends it: after what was written, or at once. */
  close(isGraceful: boolean): void {
    this.network.close(this, !isGraceful);
  }
}

/** Byte streams between machines, and what becomes of them when the network breaks. */
export class Network {
  readonly #schedule: Schedule;
  readonly #chance: Chance;
  readonly #options: NetworkOptions;
  readonly #listeners = new Map<string, Listener>();
  readonly #dark = new Set<string>();
  readonly #ends = new Set<End>();
  readonly #blocked = new Map<string, number>();
  readonly #delays = new Map<string, Millis>();
  readonly #held = new Set<End>();
  #bytesCarried = 0;

  constructor(schedule: Schedule, chance: Chance, options: NetworkOptions) {
    this.#schedule = schedule;
    this.#chance = chance;
    this.#options = options;
  }

  /** Bytes that arrived. */
  get bytesCarried(): number {
    return this.#bytesCarried;
  }

  /** A process accepts connections. */
  listen(address: string, listener: Listener): void {
    this.#listeners.set(address, listener);
    this.#dark.delete(address);
  }

  /** Nobody accepts connections there any more, and who tries is refused. */
  unlisten(address: string): void {
    this.#listeners.delete(address);
  }

  /** Opens a connection, or fails. */
  dial(
    from: { readonly host: Host; readonly address: string },
    to: string,
    timeoutMs: Millis,
    dialler: Dialler,
  ): void {
    const giveUpAt = this.#schedule.now + timeoutMs;
    const attempt = (): void => {
      const isUnanswered = this.isBlocked(from.address, to) || this.isBlocked(to, from.address) ||
        this.#dark.has(to);
      if (!isUnanswered) return this.#answer(from, to, dialler);
      if (this.#schedule.now >= giveUpAt) return from.host.enter(() => dialler.failed(false));
      this.#schedule.at(Math.min(giveUpAt, this.#schedule.now + SYN_AGAIN_MS), attempt);
    };
    this.#schedule.in(this.#delay(from.address, to), attempt);
  }

  /** Sets how long it takes between two machines, both ways. */
  setDelay(left: string, right: string, delayMs: Millis): void {
    this.#delays.set(left < right ? `${left} ${right}` : `${right} ${left}`, delayMs);
  }

  /** Nothing gets from one machine to the other any more. Counts: each call needs its `unblock`. */
  block(from: string, to: string): void {
    const key = `${from}>${to}`;
    this.#blocked.set(key, (this.#blocked.get(key) ?? 0) + 1);
  }

  /** Undoes one `block`: what waited is sent again. */
  unblock(from: string, to: string): void {
    const key = `${from}>${to}`;
    const count = this.#blocked.get(key)! - 1;
    if (count > 0) this.#blocked.set(key, count);
    else this.#blocked.delete(key);
    for (const end of [...this.#held]) {
      if (end.address !== from || end.remote !== to) continue;
      this.#held.delete(end);
      this.#schedule.in(this.#chance.between(0, RESEND_MS), () => this.#carry(end));
    }
  }

  /** Whether nothing gets from one machine to the other. */
  isBlocked(from: string, to: string): boolean {
    return this.#blocked.size > 0 && this.#blocked.has(`${from}>${to}`);
  }

  /** Breaks the connections between two machines. With `halfOpen` one side does not learn of it. */
  cut(left: string, right: string, halfOpen: boolean): void {
    for (const end of [...this.#ends]) {
      if (end.address !== left || end.remote !== right || end.isClosed) continue;
      // A reset within a handshake is how a process shows that it died meanwhile.
      if (this.#schedule.now < end.openedAt + HANDSHAKE_MS) continue;
      const { peer } = end;
      this.#drop(end);
      this.#drop(peer);
      end.isClosed = true;
      this.#tell(end, true);
      if (halfOpen) continue;
      peer.isClosed = true;
      this.#tell(peer, true);
    }
  }

  /** A process is over: its system sends what was written and ends its connections. */
  hostEnded(host: Host): void {
    for (const end of [...this.#ends]) {
      if (end.host === host && !end.isClosed) this.close(end, this.#chance.happens(0.5), false);
    }
  }

  /** A machine lost its power: nobody answers there, and nobody is told. */
  darken(address: string): void {
    this.#dark.add(address);
    this.#listeners.delete(address);
    for (const end of [...this.#ends]) {
      if (end.address !== address) continue;
      this.#drop(end);
      end.isClosed = true;
    }
  }

  /** The machine runs again, and refuses what nobody listens for. */
  lighten(address: string): void {
    this.#dark.delete(address);
  }

  /** Bytes that a process keeps for the peer that takes them slowest. */
  longestQueue(host: Host): number {
    let longest = 0;
    for (const end of this.#ends) {
      if (end.host === host && !end.isClosed) longest = Math.max(longest, end.byteLength);
    }
    return Math.max(0, longest - this.#options.bufferBytes);
  }

  /** Connections of a process that it has not closed. */
  openCount(host: Host): number {
    let count = 0;
    for (const end of this.#ends) {
      // Whoever stops takes back what it dials.
      const isDialling = end.handler === undefined;
      if (end.host === host && !end.isClosed && !isDialling) count++;
    }
    return count;
  }

  write(end: End, chunk: Uint8Array): number {
    if (end.isClosed) return 0;
    end.byteLength += chunk.byteLength;
    this.#push(end, { kind: "data", at: this.#arrival(end), chunk });
    const queued = Math.max(0, end.byteLength - this.#options.bufferBytes);
    if (queued > 0) end.wasQueued = true;
    return queued;
  }

  close(end: End, isReset: boolean, dropsQueue: boolean = isReset): void {
    if (end.isClosed) return;
    end.isClosed = true;
    if (dropsQueue) this.#drop(end);
    this.#push(end, { kind: "end", at: this.#arrival(end), isReset });
  }

  #answer(
    from: { readonly host: Host; readonly address: string },
    to: string,
    dialler: Dialler,
  ): void {
    const backMs = this.#delay(to, from.address);
    const listener = this.#listeners.get(to);
    if (listener === undefined) {
      this.#schedule.in(backMs, () => from.host.enter(() => dialler.failed(true)));
      return;
    }
    const near = new End(this, from.host, from.address, this.#schedule.now);
    const far = new End(this, listener.host, to, this.#schedule.now);
    near.peer = far;
    far.peer = near;
    this.#ends.add(near).add(far);
    // The system accepts, whether or not the process looks at it yet.
    listener.host.enter(() => {
      if (!far.isClosed) far.handler = listener.accept(far);
    });
    this.#schedule.in(backMs, () => {
      if (!from.host.isAlive) return this.close(near, true);
      from.host.enter(() => {
        if (near.isClosed) dialler.failed(false);
        else near.handler = dialler.opened(near);
      });
    });
  }

  #arrival(end: End): Millis {
    const { jitterMs } = this.#options;
    const delayMs = this.#delay(end.address, end.remote) + this.#chance.between(0, jitterMs);
    end.lastAt = Math.max(end.lastAt, this.#schedule.now + delayMs);
    return end.lastAt;
  }

  #delay(from: string, to: string): Millis {
    const key = from < to ? `${from} ${to}` : `${to} ${from}`;
    let delayMs = this.#delays.get(key);
    if (delayMs === undefined) {
      delayMs = this.#chance.between(this.#options.delayMinMs, this.#options.delayMaxMs);
      this.#delays.set(key, delayMs);
    }
    return delayMs;
  }

  #push(end: End, item: Item): void {
    end.items.push(item);
    if (end.isBusy) return;
    end.isBusy = true;
    this.#schedule.at(item.at, () => this.#carry(end));
  }

  #drop(end: End): void {
    while (end.items.shift() !== undefined);
  }

  // Hands over what is due, and comes back for the rest.
  #carry(end: End): void {
    for (let item = end.items.first; item !== undefined; item = end.items.first) {
      if (this.isBlocked(end.address, end.remote)) {
        this.#held.add(end);
        return;
      }
      if (item.at > this.#schedule.now) {
        this.#schedule.at(item.at, () => this.#carry(end));
        return;
      }
      end.items.shift();
      if (item.kind === "data") this.#arrive(end, this.#join(end, item.chunk));
      else this.#finish(end, item.isReset);
    }
    end.isBusy = false;
  }

  // What is due together may be read together, as streams know no borders.
  #join(end: End, first: Uint8Array): Uint8Array {
    const { joinChance } = this.#options;
    const chunks = [first];
    for (let next = end.items.first; joinChance > 0; next = end.items.first) {
      if (next?.kind !== "data" || next.at > this.#schedule.now) break;
      if (!this.#chance.happens(joinChance)) break;
      chunks.push(next.chunk);
      end.items.shift();
    }
    return chunks.length === 1 ? first : joinBytes(chunks);
  }

  #arrive(from: End, chunk: Uint8Array): void {
    const to = from.peer;
    this.#bytesCarried += chunk.byteLength;
    if (to.isClosed) return this.#refuse(from);
    to.host.enter(() => {
      this.#taken(from, chunk.byteLength);
      if (to.isClosed) return this.#refuse(from);
      const { splitChance } = this.#options;
      if (splitChance > 0 && chunk.byteLength > 1 && this.#chance.happens(splitChance)) {
        // Most of what can go wrong is in the first bytes.
        const last = chunk.byteLength - 1;
        const middle = this.#chance.integer(
          1,
          this.#chance.happens(0.7) ? Math.min(last, 8) : last,
        );
        to.handler!.data(chunk.subarray(0, middle));
        if (!to.isClosed) to.handler!.data(chunk.subarray(middle));
      } else to.handler!.data(chunk);
    });
  }

  #taken(from: End, byteLength: number): void {
    from.byteLength -= byteLength;
    if (!from.wasQueued || from.byteLength > this.#options.bufferBytes) return;
    from.wasQueued = false;
    from.host.enter(() => {
      if (!from.isClosed) from.handler?.queued(0);
    });
  }

  // Bytes for a connection that is over there are answered with a reset, if the machine runs. It
  // comes behind what was said there before, as everything of a stream does.
  #refuse(from: End): void {
    this.#retire(from);
    if (from.isClosed || this.#dark.has(from.remote)) return;
    const resetAt = this.#schedule.now + this.#delay(from.remote, from.address);
    this.#schedule.at(Math.max(resetAt, from.peer.lastAt), () => {
      if (from.isClosed || this.isBlocked(from.remote, from.address)) return;
      from.isClosed = true;
      this.#drop(from);
      this.#tell(from, true);
    });
  }

  #finish(from: End, isReset: boolean): void {
    const to = from.peer;
    this.#retire(from);
    if (to.isClosed) return;
    to.isClosed = true;
    this.#drop(to);
    this.#tell(to, isReset);
  }

  #tell(end: End, isReset: boolean): void {
    this.#retire(end);
    end.host.enter(() => end.handler?.ended(isReset));
  }

  #retire(end: End): void {
    if (!end.isClosed || !end.peer.isClosed) return;
    this.#ends.delete(end);
    this.#ends.delete(end.peer);
  }
}
