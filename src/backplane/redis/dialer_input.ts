/**
 * What a dialer tells the machine that it dials for. A connection is named by the number that the
 * machine chose, and nothing comes of one after `ended` or `dial_failed`.
 */
export type DialerInput =
  | { readonly kind: "opened"; readonly connection: number }
  | { readonly kind: "dial_failed"; readonly connection: number; readonly cause: unknown }
  /** Bytes came. The machine owns them. */
  | { readonly kind: "bytes"; readonly connection: number; readonly chunk: Uint8Array }
  /** So many bytes wait for the server. */
  | { readonly kind: "queued"; readonly connection: number; readonly byteLength: number }
  | { readonly kind: "ended"; readonly connection: number; readonly cause: unknown };
