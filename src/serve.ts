import type { FetchHandler } from "./edge/listener.ts";
import { Endpoint, type EndpointStats } from "./endpoint.ts";
import { ENDPOINT_OPTIONS, type EndpointOptions } from "./endpoint_options.ts";
import { requireHook, requireInteger, requireKnown, requireText } from "./options.ts";

/** Options of {@linkcode serve}: those of an `Endpoint`, and where to listen. */
export interface ServeOptions extends EndpointOptions {
  /**
   * The port, 0 for any that is free.
   *
   * @default {8080}
   */
  readonly port?: number;
  /**
   * The address to bind, `"0.0.0.0"` for all of IPv4.
   *
   * @default {"127.0.0.1"}
   */
  readonly hostname?: string;
  /** Speak TLS: a certificate chain and its private key, as PEM text. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /**
   * Answers requests that are no WebSocket upgrades. What it leaves `undefined` is 404.
   *
   * @default {everything is 404}
   */
  readonly fetch?: FetchHandler;
}

const KNOWN_OPTIONS: readonly (keyof ServeOptions)[] = [
  "port",
  "hostname",
  "tls",
  "fetch",
  ...ENDPOINT_OPTIONS,
];

/** A running server. */
export interface Server extends AsyncDisposable {
  /** What lets the clients in. */
  readonly endpoint: Endpoint;
  /** The port bound. */
  readonly port: number;
  /** The address bound. */
  readonly hostname: string;
  /** Where it can be reached, such as `"http://127.0.0.1:8080"`. */
  readonly url: string;
  /** A snapshot of counters and gauges. */
  stats(): EndpointStats;
  /** Tells all clients to connect elsewhere soon. */
  drain(): void;
  /** Frees the port and closes all clients with 1001. Resolves when all are gone. Idempotent. */
  stop(): Promise<void>;
}

/**
 * Serves channels to WebSocket clients: the whole server in one call, on each runtime.
 *
 * @param options See {@linkcode ServeOptions}.
 * @throws {TypeError | RangeError} If an option is unknown or out of bounds.
 * @throws {ClusterError} `listen_failed` if the port is taken or cannot be bound.
 *
 * @example
 * ```ts
 * import { Channels, serve } from "jsr:@chorus/cluster";
 *
 * const server = await serve({ port: 0, channels: new Channels() });
 * console.log(server.url);
 * await server.stop();
 * ```
 */
export async function serve(options: ServeOptions): Promise<Server> {
  requireKnown("server", options, KNOWN_OPTIONS);
  const { port = 8080, hostname = "127.0.0.1", tls, fetch, ...rest } = options;
  requireInteger("server", "port", port, { min: 0, max: 65_535 });
  requireText("server", "hostname", hostname);
  requireHook("server", "fetch", fetch);
  if (tls !== undefined) requireTls(tls);
  const endpoint = new Endpoint(rest);
  try {
    const listener = await endpoint.listen({ port, hostname, tls, fetch });
    return new RunningServer(endpoint, listener, tls !== undefined);
  } catch (error) {
    await endpoint.stop();
    throw error;
  }
}

function requireTls(tls: NonNullable<ServeOptions["tls"]>): void {
  requireText("server", "tls.cert", tls?.cert);
  requireText("server", "tls.key", tls?.key);
}

class RunningServer implements Server {
  readonly endpoint: Endpoint;
  readonly port: number;
  readonly hostname: string;
  readonly url: string;

  constructor(endpoint: Endpoint, bound: { port: number; hostname: string }, isSecure: boolean) {
    this.endpoint = endpoint;
    this.port = bound.port;
    this.hostname = bound.hostname;
    const host = bound.hostname.includes(":") ? `[${bound.hostname}]` : bound.hostname;
    this.url = `${isSecure ? "https" : "http"}://${host}:${bound.port}`;
  }

  stats(): EndpointStats {
    return this.endpoint.stats();
  }

  drain(): void {
    this.endpoint.drain();
  }

  stop(): Promise<void> {
    return this.endpoint.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}
