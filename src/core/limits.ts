/**
 * Bounds that hold for every deployment, each with its reason. What an operator may want to
 * change is an option with a default instead.
 *
 * @module
 */

/** Largest channel name, in bytes of UTF-8. Long enough for a path, short enough for a log line. */
export const CHANNEL_NAME_BYTES_MAX = 255;

/** Largest node name, in bytes of UTF-8. It travels with every message. */
export const NODE_NAME_BYTES_MAX = 64;

/** Largest frame between two nodes, in bytes: a full-size message and its envelope fit 15 times. */
export const MESH_FRAME_BYTES_MAX = 16_777_216;

/** Most addresses of nodes that one node remembers: three times the largest mesh that is sensible. */
export const MESH_ADDRESSES_MAX = 1_000;

/**
 * Most addresses, known from gossip alone, that a node dials at once: a list of lies must not use
 * up its file descriptors.
 */
export const MESH_DIALS_MAX = 64;

/** Most connections of peers that have not proved the secret yet. Past it the oldest is closed. */
export const MESH_STRANGERS_MAX = 256;
