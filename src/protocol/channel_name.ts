import { CHANNEL_NAME_BYTES_MAX } from "../core/limits.ts";

/**
 * Tells what keeps a text from being a channel's name, or `undefined` if it is one.
 *
 * A name is 1 to 255 bytes of UTF-8 without control characters and without half of a surrogate
 * pair, which UTF-8 cannot hold.
 */
export function channelNameFault(name: string): string | undefined {
  // A UTF-16 unit takes at least one byte, so that this also bounds the loop.
  if (name === "" || name.length > CHANNEL_NAME_BYTES_MAX) return SIZE_FAULT;
  let byteLength = name.length;
  for (let index = 0; index < name.length; index++) {
    const code = name.charCodeAt(index);
    if (code < 0x20 || (code >= 0x7f && code <= 0x9f)) return CONTROL_FAULT;
    if (code < 0x80) continue;
    byteLength += code < 0x800 ? 1 : 2;
    if ((code & 0xf800) !== 0xd800) continue;
    if (!isPair(code, name.charCodeAt(index + 1))) return SURROGATE_FAULT;
    // The pair's two units take four bytes: both are counted now.
    index++;
  }
  return byteLength > CHANNEL_NAME_BYTES_MAX ? SIZE_FAULT : undefined;
}

const SIZE_FAULT = `a channel name has 1 to ${CHANNEL_NAME_BYTES_MAX} bytes of UTF-8`;
const CONTROL_FAULT = "a channel name has no control characters";
const SURROGATE_FAULT = "a channel name has no half of a surrogate pair";

function isPair(high: number, low: number): boolean {
  return (high & 0xfc00) === 0xd800 && (low & 0xfc00) === 0xdc00;
}
