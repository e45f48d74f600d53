/**
 * Bounds of the client protocol that hold for every server, each with its reason.
 *
 * @module
 */

/**
 * Text messages of one channel and tick are joined into one frame until it has this many
 * bytes or characters: enough that frames cost nothing, and far below what clients take.
 */
export const FRAME_JOIN_CHARACTERS_MAX = 65_536;

/** Nodes in the `position` of a subscribe: as many as a node remembers addresses. */
export const POSITION_NODES_MAX = 1_000;

/** Characters of the texts in `hello`. A signed token takes one or two thousand. */
export const TOKEN_CHARACTERS_MAX = 16_384;

/** Repeats of a subscribe that may wait for the same confirmation. More is a client run wild. */
export const SUBSCRIBE_REPEATS_MAX = 64;

/**
 * Messages in one text frame of a client: what can be handled without keeping the others waiting.
 * Without it the shortest lines would fill a frame with 350,000.
 */
export const FRAME_MESSAGES_MAX = 10_000;
