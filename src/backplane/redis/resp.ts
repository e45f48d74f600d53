/**
 * What a Redis server says, as values: RESP2 and RESP3 in one form.
 *
 * Where the two protocols say the same thing in different ways, there is one value for it: the
 * three forms of null are `null`, an error is a {@linkcode RespError} whether it came in a line or
 * in bulk, text that comes with its format (verbatim) is bytes like any other, and
 * {@linkcode respFields} reads a map and the flat array that stands for one in RESP2 alike.
 * Attributes, which describe the value behind them and change nothing, are read over.
 *
 * @module
 */

/** One value of a reply. An integer past 2^53 is a `bigint`. Bytes may be a view of a chunk. */
export type RespValue =
  | string
  | number
  | bigint
  | boolean
  | null
  | Uint8Array
  | RespError
  | RespMap
  | RespSet
  | readonly RespValue[];

/** An error that the server answered with. A value, since it may stand inside an array. */
export class RespError {
  /** The first word, such as `"WRONGPASS"`; `"ERR"` where the server gave none. */
  readonly code: string;
  /** All of it, the first word included. */
  readonly message: string;

  /** Takes the text of the reply, without its type and its end. */
  constructor(message: string) {
    this.message = message;
    this.code = /^[A-Z][A-Z0-9_]*(?= |$)/.exec(message)?.[0] ?? "ERR";
  }
}

/** A map of RESP3. */
export class RespMap {
  /** Keys and values in turn, in the order of the wire. */
  readonly items: readonly RespValue[];

  /** Takes keys and values in turn. */
  constructor(items: readonly RespValue[]) {
    this.items = items;
  }
}

/** A set of RESP3. */
export class RespSet {
  /** The members, in the order of the wire. */
  readonly items: readonly RespValue[];

  /** Takes the members. */
  constructor(items: readonly RespValue[]) {
    this.items = items;
  }
}

/** What the server sent unasked: confirmations of subscriptions, mostly. Never inside a value. */
export class RespPush {
  /** The kind of push, then what belongs to it. */
  readonly items: readonly RespValue[];

  /** Takes the items. */
  constructor(items: readonly RespValue[]) {
    this.items = items;
  }
}

/** A message of a channel that is subscribed to: the push that there are most of. */
export class RespMessage {
  /** Always `"message"`: it is handed on as it is. */
  readonly kind = "message";
  /** The channel. */
  readonly channel: string;
  /** What was published: a view of the chunk that it came in, where it lay in one. */
  readonly payload: Uint8Array;
  /** Whether it came by a sharded subscription (`SSUBSCRIBE`). */
  readonly isSharded: boolean;

  /** Takes the parts. */
  constructor(channel: string, payload: Uint8Array, isSharded: boolean) {
    this.channel = channel;
    this.payload = payload;
    this.isSharded = isSharded;
  }
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
// Up to here a loop beats the call into the decoder.
const LOOP_BYTES_MAX = 32;

/** Reads bytes as UTF-8. What is none becomes U+FFFD. */
export function readText(bytes: Uint8Array, start: number, end: number): string {
  if (end - start > LOOP_BYTES_MAX) return decoder.decode(bytes.subarray(start, end));
  let text = "";
  for (let at = start; at < end; at++) {
    const code = bytes[at]!;
    if (code > 127) return decoder.decode(bytes.subarray(start, end));
    text += String.fromCharCode(code);
  }
  return text;
}

/** The value as text: of a string or of bytes; `undefined` for any other. */
export function respText(value: RespValue | undefined): string | undefined {
  if (typeof value === "string") return value;
  return value instanceof Uint8Array ? readText(value, 0, value.byteLength) : undefined;
}

/** The items of an array or a set; `undefined` for any other value. */
export function respItems(value: RespValue | undefined): readonly RespValue[] | undefined {
  if (value instanceof RespSet) return value.items;
  return Array.isArray(value) ? value : undefined;
}

/**
 * The fields of a map, or of the array of names and values that stands for one in RESP2, by their
 * names; `undefined` for any other value. A field without a name in text is left out.
 */
export function respFields(
  value: RespValue | undefined,
): ReadonlyMap<string, RespValue> | undefined {
  const items = value instanceof RespMap ? value.items : respItems(value);
  if (items === undefined) return undefined;
  const fields = new Map<string, RespValue>();
  for (let index = 0; index + 1 < items.length; index += 2) {
    const name = respText(items[index]);
    if (name !== undefined) fields.set(name, items[index + 1]!);
  }
  return fields;
}
