import type { Payload } from "../../src/core/message.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Makes a payload: of a string JSON text, of bytes what is opaque. */
export function toPayload(content: string | Uint8Array): Payload {
  return typeof content === "string"
    ? { data: encoder.encode(content), isText: true }
    : { data: content, isText: false };
}

/** What {@linkcode toPayload} made a payload of. Throws where text is no UTF-8. */
export function contentOf({ data, isText }: Payload): string | Uint8Array {
  return isText ? decoder.decode(data) : data;
}
