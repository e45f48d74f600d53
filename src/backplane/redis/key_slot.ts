/** Number of slots of a Redis Cluster. */
export const SLOT_COUNT = 16_384;

const POLYNOMIAL = 0x1021;
const BRACE_OPEN = 123;
const BRACE_CLOSE = 125;
const TABLE = createTable();
const encoder = new TextEncoder();

/**
 * The slot of a key or of a sharded channel: CRC-16/XMODEM over its bytes, or over what stands in
 * its first pair of braces, if anything does (Redis Cluster specification, "Hash tags").
 */
export function keySlot(key: string): number {
  const bytes = encoder.encode(key);
  const open = bytes.indexOf(BRACE_OPEN);
  const close = open < 0 ? -1 : bytes.indexOf(BRACE_CLOSE, open + 1);
  const isTagged = close > open + 1;
  const [start, end] = isTagged ? [open + 1, close] : [0, bytes.byteLength];
  let crc = 0;
  for (let index = start; index < end; index++) {
    crc = ((crc << 8) ^ TABLE[((crc >> 8) ^ bytes[index]!) & 255]!) & 0xffff;
  }
  return crc % SLOT_COUNT;
}

function createTable(): Uint16Array {
  const table = new Uint16Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = (crc << 1) ^ (crc & 0x8000 ? POLYNOMIAL : 0);
    table[byte] = crc;
  }
  return table;
}
