/**
 * Bounds of the edge that hold for every deployment, each with its reason.
 *
 * @module
 */

/** Largest head of an upgrade request, in bytes: what `node:http` allows as well. */
export const HEAD_BYTES_MAX: number = 16 * 1024;

/** Largest body of a plain request to a server of ours, in bytes. Files go elsewhere. */
export const BODY_BYTES_MAX: number = 1024 * 1024;

/** Most connections that wait for the kernel to hand them over, when many arrive at once. */
export const LISTEN_BACKLOG: number = 4096;
