/**
 * Bounds on what a Redis server may make this process keep. All are far above what the commands in
 * use answer; a server that goes past one is not spoken to any more.
 *
 * @module
 */

/** Longest line, in bytes: a simple string, an error or a number. Redis's own limit for a line. */
export const RESP_LINE_BYTES_MAX = 65_536;

/** Most bytes of lines and strings in one reply: four of the largest payloads that the mesh carries. */
export const RESP_REPLY_BYTES_MAX = 67_108_864;

/** Most values in one reply: the slots of a Cluster, each with four replicas, ten times over. */
export const RESP_REPLY_ITEMS_MAX = 1_048_576;

/** Deepest nesting of a reply. Redis's own replies go to about seven. */
export const RESP_DEPTH_MAX = 32;
