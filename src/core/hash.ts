/**
 * Hashes text to 32 bits (FNV-1a over UTF-16 units). For digests that are compared, not for secrets.
 *
 * @param text Any text.
 */
export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  return hash >>> 0;
}
