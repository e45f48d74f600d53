/**
 * What is said in text frames: JSON objects, one a line.
 *
 * @module
 */

import type { Position, Positions } from "../core/node.ts";
import { encodeUtf8 } from "../core/utf8.ts";
import { channelNameFault } from "./channel_name.ts";
import { FRAME_MESSAGES_MAX, POSITION_NODES_MAX, TOKEN_CHARACTERS_MAX } from "./limits.ts";
import type {
  BrokenFrame,
  DecodedMessage,
  ErrorCode,
  Follow,
  MessageFault,
  Qos,
  ServerMessage,
} from "./message.ts";

export { channelNameFault };

type Fields = Readonly<Record<string, unknown>>;

const SHOWN_CHARACTERS_MAX = 40;
const BROKEN: BrokenFrame = { type: "broken", reason: "Cannot read JSON: a line is no JSON text" };

/**
 * Reads one line of a text frame: one JSON object. Never throws.
 *
 * Fields that it does not know are passed over, so that newer clients are understood.
 */
export function decodeMessage(line: string): DecodedMessage {
  const fields = parse(line);
  if (fields === undefined) return BROKEN;
  if (!isObject(fields)) return badRequest(undefined, `Expected an object, ${received(fields)}`);
  switch (fields.type) {
    case "publish":
      return decodePublish(fields, line);
    case "subscribe":
      return decodeSubscribe(fields);
    case "unsubscribe":
    case "leave":
      return decodeChannelRequest(fields, fields.type);
    case "join":
      return decodeJoin(fields, line);
    case "update":
      return decodeUpdate(fields, line);
    case "members":
      return decodeMembers(fields);
    case "broadcast":
      return decodeBroadcast(fields, line);
    case "ping":
      return isId(fields.id) ? { type: "ping", id: fields.id } : badId(fields);
    case "hello":
      return decodeHello(fields);
    default:
      return typeof fields.type === "string"
        ? fault(fields, "unknown_type", `No message has the "type" ${shown(fields.type)}`)
        : badField(fields, "type", "a string");
  }
}

/** Whether a text frame of a client holds more messages than `FRAME_MESSAGES_MAX`. */
export function hasTooManyMessages(frame: string): boolean {
  // Few frames have room for so many.
  if (frame.length < FRAME_MESSAGES_MAX) return false;
  let count = 1;
  let newline = frame.indexOf("\n");
  for (; newline >= 0 && newline < frame.length - 1; newline = frame.indexOf("\n", newline + 1)) {
    if (++count > FRAME_MESSAGES_MAX) return true;
  }
  return false;
}

/** Writes what the server says, but for messages and broadcasts. */
export function encodeServerMessage(message: ServerMessage): string {
  return message.type === "published"
    ? encodePublished(message.id, message.position)
    : JSON.stringify(message);
}

function encodePublished(id: number, position: Position): string {
  return `{"type":"published","id":${id},"position":{"node":${
    quote(position.node)
  },"seq":${position.seq}}}`;
}

function decodePublish(fields: Fields, line: string): DecodedMessage {
  const { id, channel, qos = 0, exclude = false } = fields;
  if (id !== undefined && !isId(id)) return badId(fields);
  if (typeof channel !== "string") return badField(fields, "channel", "a string");
  const nameFault = channelNameFault(channel);
  if (nameFault !== undefined) return badChannel(fields, nameFault);
  if (!isQos(qos)) return badField(fields, "qos", "0, 1 or 2");
  if (qos > 0 && id === undefined) return badRequest(undefined, `"qos" ${qos} needs an "id"`);
  if (typeof exclude !== "boolean") return badField(fields, "exclude", "true or false");
  const json = jsonOf(fields.data, line);
  if (json === undefined) return badData(fields);
  return { type: "publish", id, channel, data: encodeUtf8(json), isText: true, qos, exclude };
}

function decodeBroadcast(fields: Fields, line: string): DecodedMessage {
  const { id } = fields;
  if (id !== undefined && !isId(id)) return badId(fields);
  const json = jsonOf(fields.data, line);
  if (json === undefined) return badData(fields);
  return { type: "broadcast", id, data: encodeUtf8(json), isText: true };
}

function decodeSubscribe(fields: Fields): DecodedMessage {
  const request = decodeChannelRequest(fields, "subscribe");
  if (request.type !== "subscribe") return request;
  const { position, history } = fields;
  if (position !== undefined && !isPositions(position)) {
    return badField(fields, "position", `an object of at most ${POSITION_NODES_MAX} integers`);
  }
  if (history !== undefined && !isId(history)) {
    return badField(fields, "history", "an integer from 0 to 2^53 - 1");
  }
  return { ...request, position, history };
}

function decodeJoin(fields: Fields, line: string): DecodedMessage {
  const request = decodeUpdate(fields, line);
  if (request.type !== "update") return request;
  const { member } = fields;
  if (!isFollow(fields.follow)) return badField(fields, "follow", FOLLOW);
  if (member !== undefined && typeof member !== "string") {
    return badField(fields, "member", "a string");
  }
  const nameFault = member === undefined ? undefined : channelNameFault(member);
  if (nameFault !== undefined) {
    const reason = nameFault.replace("channel", "member");
    return badRequest(request.id, `Cannot use "member": ${reason}`);
  }
  return { ...request, type: "join", member, follow: followOf(fields) ?? "changes" };
}

function decodeUpdate(fields: Fields, line: string): DecodedMessage {
  const request = decodeChannelRequest(fields, "leave");
  if (request.type !== "leave") return request;
  const meta = fields.meta === undefined ? "" : jsonOf(fields.meta, line);
  if (meta === undefined) return fault(fields, "bad_request", '"meta" is nested too deeply');
  return { ...request, type: "update", meta };
}

function decodeMembers(fields: Fields): DecodedMessage {
  const request = decodeChannelRequest(fields, "leave");
  if (request.type !== "leave") return request;
  if (!isFollow(fields.follow)) return badField(fields, "follow", FOLLOW);
  return { ...request, type: "members", follow: followOf(fields) };
}

const FOLLOW = 'true, false or "count"';

function isFollow(follow: unknown): boolean {
  return follow === undefined || typeof follow === "boolean" || follow === "count";
}

function followOf({ follow }: Fields): Follow | undefined {
  if (follow === undefined || follow === "count") return follow;
  return follow === true ? "changes" : "nothing";
}

type ChannelRequestType = "subscribe" | "unsubscribe" | "leave";

function decodeChannelRequest(fields: Fields, type: ChannelRequestType): DecodedMessage {
  const { id, channel } = fields;
  if (!isId(id)) return badId(fields);
  if (typeof channel !== "string") return badField(fields, "channel", "a string");
  const nameFault = channelNameFault(channel);
  if (nameFault !== undefined) return badChannel(fields, nameFault);
  return type === "subscribe"
    ? { type, id, channel, position: undefined, history: undefined }
    : { type, id, channel };
}

function decodeHello(fields: Fields): DecodedMessage {
  const { client, token, resume } = fields;
  if (client !== undefined && !isShortText(client)) return badField(fields, "client", SHORT_TEXT);
  if (token !== undefined && !isShortText(token)) return badField(fields, "token", SHORT_TEXT);
  if (resume === undefined) return { type: "hello", client, token };
  return fault(fields, "unsupported", 'No "resume" here: subscribe with a "position" instead');
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    // A SyntaxError, or a RangeError for what is nested too deeply: either way no JSON for us.
    return undefined;
  }
}

/** The JSON text of a field's value, or `undefined` if there is none. */
function jsonOf(value: unknown, line: string): string | undefined {
  // Where nothing in the line is escaped, no string in it needs to be: it was one piece of it.
  if (typeof value === "string" && !line.includes("\\")) return `"${value}"`;
  try {
    return JSON.stringify(value);
  } catch {
    // The only thing that parsed JSON can do wrong is to be nested deeper than the stack is high.
    return undefined;
  }
}

/** Writes text as a JSON string. Names are short and rarely need escapes. */
export function quote(text: string): string {
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    const isPlain = code >= 0x20 && code !== 0x22 && code !== 0x5c && (code & 0xf800) !== 0xd800;
    if (!isPlain) return JSON.stringify(text);
  }
  return `"${text}"`;
}

function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isId(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isQos(value: unknown): value is Qos {
  return value === 0 || value === 1 || value === 2;
}

const SHORT_TEXT = `a string of at most ${TOKEN_CHARACTERS_MAX} characters`;

function isShortText(value: unknown): value is string {
  return typeof value === "string" && value.length <= TOKEN_CHARACTERS_MAX;
}

function isPositions(value: unknown): value is Positions {
  if (!isObject(value)) return false;
  const seqs = Object.values(value);
  return seqs.length <= POSITION_NODES_MAX && seqs.every(isId);
}

function badId(fields: Fields): MessageFault {
  return badField(fields, "id", "an integer from 0 to 2^53 - 1");
}

function badChannel(fields: Fields, nameFault: string): MessageFault {
  return fault(fields, "channel_invalid", `Cannot use "channel": ${nameFault}`);
}

function badData(fields: Fields): MessageFault {
  return fields.data === undefined
    ? badField(fields, "data", "a JSON value")
    : fault(fields, "bad_request", '"data" is nested too deeply');
}

function badField(fields: Fields, name: string, expected: string): MessageFault {
  return fault(fields, "bad_request", `"${name}" must be ${expected}, ${received(fields[name])}`);
}

function badRequest(id: number | undefined, message: string): MessageFault {
  return { type: "fault", id, code: "bad_request", message };
}

function fault(fields: Fields, code: ErrorCode, message: string): MessageFault {
  return { type: "fault", id: isId(fields.id) ? fields.id : undefined, code, message };
}

function received(value: unknown): string {
  return `received ${shown(value)}`;
}

function shown(value: unknown): string {
  if (value === undefined) return "nothing";
  if (Array.isArray(value)) return "an array";
  if (typeof value === "object" && value !== null) return "an object";
  if (typeof value !== "string") return String(value);
  if (value.length <= SHOWN_CHARACTERS_MAX) return JSON.stringify(value);
  return `${JSON.stringify(value.slice(0, SHOWN_CHARACTERS_MAX))}…`;
}
