/**
 * Returns bytes that may be kept: a copy, where they are but a small part of the memory that they
 * are a view of.
 */
export function ownBytes(bytes: Uint8Array): Uint8Array {
  return bytes.length * 2 < bytes.buffer.byteLength ? new Uint8Array(bytes) : bytes;
}
