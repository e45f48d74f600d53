import { createHash, createHmac, randomBytes, timingSafeEqual } from "node:crypto";

/** Digests, as the cores see them: synchronous, so that a core needs no promise. */
export interface Digests {
  /** SHA-1, for the WebSocket handshake only (RFC 6455 §4.2.2). */
  sha1(bytes: Uint8Array): Uint8Array;
  /** HMAC-SHA-256 (RFC 2104) over the parts, one behind the other. */
  hmacSha256(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array;
  /** Whether two digests are the same, in a time that does not tell where they differ. */
  equal(left: Uint8Array, right: Uint8Array): boolean;
}

/** The platform's digests. */
export const systemDigests: Digests = {
  sha1: (bytes) => new Uint8Array(createHash("sha1").update(bytes).digest()),
  hmacSha256(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
    const hmac = createHmac("sha256", key);
    for (const part of parts) hmac.update(part);
    return new Uint8Array(hmac.digest());
  },
  equal: (left, right) => left.byteLength === right.byteLength && timingSafeEqual(left, right),
};

/** Makes random bytes that nobody can guess. */
export function systemRandomBytes(count: number): Uint8Array {
  return new Uint8Array(randomBytes(count));
}

/** Draws a seed for a generator, so that no two processes take the same turns. */
export function systemSeed(): number {
  const [a, b, c, d] = systemRandomBytes(4);
  return ((a! << 24) | (b! << 16) | (c! << 8) | d!) >>> 0;
}
