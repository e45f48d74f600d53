// What is no UTF-8 becomes U+FFFD. On Deno this costs a third of asking for an error instead.
const lenient = new TextDecoder("utf-8", { ignoreBOM: true });
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const REPLACEMENT = "\ufffd";

/**
 * Decodes text. A byte order mark is a character like any other.
 *
 * @returns The text, or `undefined` if the bytes are not UTF-8.
 */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  const text = lenient.decode(bytes);
  // The character itself is no fault, but rare enough to look twice.
  return text.includes(REPLACEMENT) ? decodeStrictly(bytes) : text;
}

function decodeStrictly(bytes: Uint8Array): string | undefined {
  try {
    return strict.decode(bytes);
  } catch {
    // The decoder's way to say that it is not UTF-8.
    return undefined;
  }
}
