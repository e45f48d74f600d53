import type { Millis } from "../../core/machine.ts";
import { loadTcp } from "../../runtime/load_tcp.ts";
import type { TcpAddress, TcpConnection, TcpHandler, TcpTls } from "../../runtime/tcp.ts";
import type { DialerInput } from "./dialer_input.ts";

/** Whom to dial. */
export interface DialTarget {
  /** Where the server is. */
  readonly address: TcpAddress;
  /** Certificates, if TLS is spoken. */
  readonly tls: TcpTls | undefined;
  /** Time limit for the connection and its TLS handshake, in ms. */
  readonly timeoutMs: Millis;
}

/** The connections of one machine: opens them, writes to them, and reports what happens. */
export class RedisDialer {
  readonly #connections = new Map<number, TcpConnection>();
  readonly #feed: (input: DialerInput) => void;
  #emptied: (() => void) | undefined;
  /** Takes back what is dialled when it ends. */
  readonly #ending = new AbortController();
  #isEnded = false;

  /** Starts without connections. `feed` takes what happens, and MUST NOT throw. */
  constructor(feed: (input: DialerInput) => void) {
    this.#feed = feed;
  }

  /** Opens a connection under a number that is not in use. Answered by `opened` or `dial_failed`. */
  async dial(connection: number, target: DialTarget): Promise<void> {
    const { address, tls, timeoutMs } = target;
    try {
      const tcp = await loadTcp();
      const { signal } = this.#ending;
      await tcp.connect(address, { timeoutMs, tls, signal }, (opened) => {
        return this.#open(connection, opened);
      });
    } catch (cause) {
      if (!this.#isEnded) this.#feed({ kind: "dial_failed", connection, cause });
    }
  }

  /** Writes to a connection. Ignored once that has ended. */
  write(connection: number, parts: readonly Uint8Array[]): void {
    const opened = this.#connections.get(connection);
    if (opened === undefined) return;
    let isTaken = true;
    for (const part of parts) isTaken = opened.write(part);
    if (!isTaken) this.#feed({ kind: "queued", connection, byteLength: opened.queuedBytes });
  }

  /** Ends a connection: after what was written, or now. */
  hangup(connection: number, isGraceful: boolean): void {
    const opened = this.#connections.get(connection);
    if (isGraceful) opened?.close();
    else opened?.destroy();
  }

  /**
   * Dials no more, and resolves when all connections have ended: by themselves, as they should
   * after a hang-up, or by force when the time is over.
   */
  async end(limitMs: Millis): Promise<void> {
    this.#isEnded = true;
    this.#ending.abort();
    if (this.#connections.size === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        for (const connection of this.#connections.values()) connection.destroy();
      }, limitMs);
      this.#emptied = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #open(connection: number, opened: TcpConnection): TcpHandler {
    this.#connections.set(connection, opened);
    if (this.#isEnded) opened.destroy();
    else this.#feed({ kind: "opened", connection });
    return {
      data: (chunk) => this.#feed({ kind: "bytes", connection, chunk }),
      drain: () => this.#feed({ kind: "queued", connection, byteLength: 0 }),
      end: (cause) => {
        this.#connections.delete(connection);
        if (!this.#isEnded) this.#feed({ kind: "ended", connection, cause });
        else if (this.#connections.size === 0) this.#emptied?.();
      },
    };
  }
}
