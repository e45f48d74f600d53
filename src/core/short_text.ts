const CHARACTERS_MAX = 64;
const PLACES = 4_096;
const decoder = new TextDecoder();

// The text that was read last, of all that belong into the same place.
const places: string[] = Array.from({ length: PLACES }, () => "");

/**
 * Decodes short ASCII text, such as a channel's name. The same bytes mostly give the same string,
 * which is cheaper than to decode them, and for a map to look up than an equal one.
 *
 * @returns The text, or `undefined` if it is too long, or more than ASCII.
 */
export function readShortText(bytes: Uint8Array, start: number, end: number): string | undefined {
  if (end - start > CHARACTERS_MAX) return undefined;
  // FNV-1a.
  let hash = 0x811c9dc5;
  let all = 0;
  for (let index = start; index < end; index++) {
    const byte = bytes[index]!;
    all |= byte;
    hash = Math.imul(hash ^ byte, 0x01000193);
  }
  if (all > 127) return undefined;
  const place = (hash ^ (hash >>> 16)) & (PLACES - 1);
  const known = places[place]!;
  if (isSame(known, bytes, start, end)) return known;
  return places[place] = decoder.decode(bytes.subarray(start, end));
}

function isSame(text: string, bytes: Uint8Array, start: number, end: number): boolean {
  if (text.length !== end - start) return false;
  for (let index = 0; index < text.length; index++) {
    if (text.charCodeAt(index) !== bytes[start + index]) return false;
  }
  return true;
}
