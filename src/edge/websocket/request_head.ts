import { HEAD_BYTES_MAX } from "../limits.ts";
import { asksForWebSocket, type HandshakeRequest } from "./handshake.ts";

const decoder = new TextDecoder();
const HEAD = /^GET (\/[!-~]*) HTTP\/1\.1\r\n(?:[!#$%&'*+\-.^_`|~\w]+:[\t -~]*\r\n)*$/;
const CARRIAGE_RETURN = 13;
const LINE_FEED = 10;
const SPACE = 32;
const TAB = 9;

// Where the headers of every handshake begin, ready to be looked for.
const LINE_STARTS: Readonly<Record<string, string>> = Object.fromEntries(
  [
    "connection",
    "content-length",
    "host",
    "sec-websocket-key",
    "sec-websocket-protocol",
    "sec-websocket-version",
    "transfer-encoding",
    "upgrade",
  ].map((name) => [name, `\r\n${name}:`]),
);

/** The head of a request that wants to become a WebSocket. */
export class RequestHead implements HandshakeRequest {
  /** Always `"GET"`. */
  readonly method: string = "GET";
  /** Always `"1.1"`. */
  readonly version: string = "1.1";
  /** What is asked for, such as `"/path?query"`. */
  readonly target: string;
  /** Length of the head with the empty line at its end, in bytes. */
  readonly byteLength: number;
  readonly #text: string;
  readonly #lowerText: string;

  /** Takes a head that was checked by {@linkcode readUpgradeHead}, without its empty line. */
  constructor(text: string, target: string, byteLength: number) {
    this.#text = text;
    this.#lowerText = text.toLowerCase();
    this.target = target;
    this.byteLength = byteLength;
  }

  /** Returns a header by its name in lower case; several of one name joined with commas. */
  header(name: string): string | undefined {
    const start = LINE_STARTS[name] ?? `\r\n${name}:`;
    let joined: string | undefined;
    let at = this.#lowerText.indexOf(start);
    for (; at >= 0; at = this.#lowerText.indexOf(start, at + 2)) {
      const value = this.#valueAt(at + start.length);
      joined = joined === undefined ? value : `${joined}, ${value}`;
    }
    return joined;
  }

  // The value that begins at `start`, without the white space around it.
  #valueAt(start: number): string {
    const text = this.#text;
    let from = start;
    let to = text.indexOf("\r", start);
    while (from < to && isBlank(text, from)) from++;
    while (from < to && isBlank(text, to - 1)) to--;
    return text.slice(from, to);
  }

  /** Returns all headers. */
  headers(): Headers {
    const headers = new Headers();
    for (const line of this.#text.split("\r\n").slice(1, -1)) {
      const colon = line.indexOf(":");
      headers.append(line.slice(0, colon), line.slice(colon + 1).trim());
    }
    return headers;
  }
}

/**
 * Reads the head of an upgrade request that is whole and plain.
 *
 * Everything else is for a whole HTTP server to judge: a head that comes in parts, folded lines,
 * bytes beyond ASCII, and whatever asks for no upgrade.
 *
 * @param chunk The first bytes of the connection.
 * @returns The head, or `undefined` if it is not that simple.
 */
export function readUpgradeHead(chunk: Uint8Array): RequestHead | undefined {
  const byteLength = findEnd(chunk);
  if (byteLength === undefined || byteLength > HEAD_BYTES_MAX) return undefined;
  const text = decoder.decode(chunk.subarray(0, byteLength - 2));
  const target = HEAD.exec(text)?.[1];
  if (target === undefined) return undefined;
  const head = new RequestHead(text, target, byteLength);
  return asksForWebSocket(head.header("upgrade")) ? head : undefined;
}

function isBlank(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return code === SPACE || code === TAB;
}

// Where the empty line ends, in bytes from the start.
function findEnd(chunk: Uint8Array): number | undefined {
  let at = chunk.indexOf(CARRIAGE_RETURN);
  for (; at >= 0; at = chunk.indexOf(CARRIAGE_RETURN, at + 1)) {
    if (
      chunk[at + 1] === LINE_FEED && chunk[at + 2] === CARRIAGE_RETURN &&
      chunk[at + 3] === LINE_FEED
    ) {
      return at + 4;
    }
  }
  return undefined;
}
