/**
 * Bounds on how long a connection may take to come and to go, the same on every runtime.
 *
 * @module
 */

/**
 * Longest that a closed connection sends what is queued, in ms. Long enough for 4 MiB over a
 * mobile link of 1 Mbit/s, short enough that a peer that stopped reading does not hold its queue.
 */
export const CLOSE_FLUSH_MS = 30_000;

/**
 * Longest that a closed connection waits for the peer to close too, in ms, after its own FIN. A
 * few round trips and a lost packet or two; a peer that is silent for longer will not answer.
 */
export const CLOSE_WAIT_MS = 5_000;

/**
 * Longest that a listener waits for a client's TLS handshake, in ms: about ten round trips over
 * the slowest path, and an attacker's silent connection is gone soon.
 */
export const TLS_HANDSHAKE_MS = 10_000;

/** Silence after which the system probes the peer, in ms: below the 60 s at which NATs forget. */
export const KEEP_ALIVE_MS = 30_000;
