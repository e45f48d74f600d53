/** Answers a plain HTTP request. `undefined` means 404; an error that it throws means 500. */
export type FetchHandler = (
  request: Request,
) => Response | undefined | Promise<Response | undefined>;

/** Where and how to listen for clients. */
export interface EdgeListenOptions {
  /** The port, or 0 for any that is free. */
  readonly port: number;
  /** The address to bind, such as `"0.0.0.0"`. */
  readonly hostname: string;
  /** Speak TLS, with a certificate chain and its private key as PEM text. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
  /** Answers what is no upgrade. Without it, that is 404. */
  readonly fetch?: FetchHandler | undefined;
}

/** A port on which clients come in. */
export interface EdgeListener {
  /** The port bound, which differs from the one asked for when that was 0. */
  readonly port: number;
  /** The address bound. */
  readonly hostname: string;
  /** Stops accepting and frees the port. Connections already open stay open. Safe to call again. */
  close(): Promise<void>;
}
