/** Reads bytes that are written as pairs of hexadecimal digits, with spaces anywhere. */
export function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(hex.replaceAll(" ", "").match(/../g) ?? [], (pair) => parseInt(pair, 16));
}
