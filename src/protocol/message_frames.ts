import { Batch } from "../core/batch.ts";
import type { FrameContent } from "../core/frame_content.ts";
import { BROADCAST_CHANNEL, type Message } from "../core/message.ts";
import { decodeUtf8 } from "../core/utf8.ts";
import { BinaryMessage } from "./binary_codec.ts";
import { quote } from "./codec.ts";
import { type EncodedText, EncodedTexts } from "./encoded_texts.ts";
import { FRAME_JOIN_CHARACTERS_MAX } from "./limits.ts";

/**
 * Tells what frames messages of one channel leave in, in order: text frames of many messages where
 * they follow each other, and a binary frame for each binary payload.
 *
 * @param channel The channel, or `BROADCAST_CHANNEL` for broadcasts.
 */
export function frameContents(channel: string, messages: readonly Message[]): FrameContent[] {
  const frames = new Batch<FrameContent>();
  for (let index = 0; index < messages.length;) {
    const message = messages[index]!;
    if (message.isText) {
      const lines = new MessageLines(channel, messages, index);
      frames.push(lines);
      index = lines.end;
    } else {
      frames.push(new BinaryMessage(channel, message));
      index++;
    }
  }
  return frames.take();
}

/** What stands before the payload in a message's line, by channel. */
const HEADS = new EncodedTexts((channel) =>
  channel === BROADCAST_CHANNEL
    ? '{"type":"broadcast","data":'
    : `{"type":"message","channel":${quote(channel)},"data":`
);

/** What stands between the payload and the seq, by node. */
const TAILS = new EncodedTexts((node) => `,"node":${quote(node)},"seq":`);

const NEWLINE = 0x0a;
const CLOSING_BRACE = 0x7d;

/** Messages as JSON, one a line: head | payload | tail | seq | brace. */
class MessageLines implements FrameContent {
  readonly isText = true;
  readonly byteLength: number;
  /** The place behind the last message. */
  readonly end: number;
  readonly #head: EncodedText;
  readonly #messages: readonly Message[];
  readonly #start: number;

  /** Takes messages from a place on, as many as are text and go into a frame. */
  constructor(channel: string, messages: readonly Message[], start: number) {
    this.#head = HEADS.get(channel);
    this.#messages = messages;
    this.#start = start;
    let byteLength = this.#lineBytes(messages[start]!);
    let end = start + 1;
    // Clients have a bound of their own, often of 1 MiB.
    while (messages[end]?.isText === true && byteLength < FRAME_JOIN_CHARACTERS_MAX) {
      byteLength += 1 + this.#lineBytes(messages[end++]!);
    }
    this.byteLength = byteLength;
    this.end = end;
  }

  write(bytes: Uint8Array, at: number): void {
    const head = this.#head.bytes;
    let place = at;
    for (let index = this.#start; index < this.end; index++) {
      const { node, seq, data } = this.#messages[index]!;
      if (place > at) bytes[place++] = NEWLINE;
      bytes.set(head, place);
      bytes.set(data, place += head.length);
      const tail = TAILS.get(node).bytes;
      bytes.set(tail, place += data.length);
      place = putDigits(seq, bytes, place + tail.length);
      bytes[place++] = CLOSING_BRACE;
    }
  }

  text(): string {
    const head = this.#head.text;
    let text = "";
    for (let index = this.#start; index < this.end; index++) {
      const { node, seq, data } = this.#messages[index]!;
      if (text !== "") text += "\n";
      text += head + decodeUtf8(data) + TAILS.get(node).text + seq + "}";
    }
    return text;
  }

  #lineBytes({ node, seq, data }: Message): number {
    const tail = TAILS.get(node).bytes.length;
    return this.#head.bytes.length + data.length + tail + countDigits(seq) + 1;
  }
}

function countDigits(value: number): number {
  let count = 1;
  for (let bound = 10; value >= bound; bound *= 10) count++;
  return count;
}

/** Writes an integer, and returns where it ends. */
function putDigits(value: number, bytes: Uint8Array, at: number): number {
  const end = at + countDigits(value);
  let rest = value;
  for (let place = end - 1; place >= at; place--) {
    bytes[place] = 0x30 + rest % 10;
    rest = Math.floor(rest / 10);
  }
  return end;
}
