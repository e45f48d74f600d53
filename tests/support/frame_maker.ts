import { deepStrictEqual, strictEqual } from "node:assert/strict";
import type { FrameContent } from "../../src/core/frame_content.ts";
import type { Message } from "../../src/core/message.ts";
import { frameContents } from "../../src/protocol/message_frames.ts";
import { contentOf } from "./payload.ts";

const MARGIN_BYTES = 3;
const UNTOUCHED = 0xff;

/** What a frame's content is: text or bytes, the same however it is asked for. */
export function readContent(content: FrameContent): string | Uint8Array {
  const { isText, byteLength } = content;
  const memory = new Uint8Array(MARGIN_BYTES + byteLength + MARGIN_BYTES).fill(UNTOUCHED);
  content.write(memory, MARGIN_BYTES);
  const data = memory.slice(MARGIN_BYTES, MARGIN_BYTES + byteLength);
  const margins = [...memory.slice(0, MARGIN_BYTES), ...memory.slice(MARGIN_BYTES + byteLength)];
  deepStrictEqual(margins, Array.from({ length: 2 * MARGIN_BYTES }, () => UNTOUCHED));
  const read = contentOf({ data, isText });
  strictEqual(content.text(), isText ? read : "");
  return read;
}

/** Messages of a channel as the server writes them: what its frames say. */
export function framesOf(channel: string, messages: readonly Message[]): (string | Uint8Array)[] {
  return frameContents(channel, messages).map(readContent);
}

/** What a frame of opaque bytes holds. */
export function opaque(bytes: Uint8Array): FrameContent {
  return {
    isText: false,
    byteLength: bytes.length,
    write: (target, at) => target.set(bytes, at),
    text: () => "",
  };
}
