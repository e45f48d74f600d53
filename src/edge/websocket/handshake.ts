/**
 * The opening handshake from the server's side (RFC 6455 §4.2), as pure functions.
 *
 * No extension is ever negotiated.
 *
 * @module
 */

const ACCEPT_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const VERSION = "13";
// 16 bytes are 22 characters and two of padding.
const KEY = /^[A-Za-z0-9+/]{22}==$/;

// A name or an address with its port: nothing that could be taken for a path or a password, and
// no two of them (RFC 9112 §3.2).
const HOST = /^[\w.:%[\]-]+$/;

const UPGRADE_LIST = /(?:^|,)[ \t]*websocket[ \t]*(?:,|$)/i;
const CONNECTION_LIST = /(?:^|,)[ \t]*upgrade[ \t]*(?:,|$)/i;

const encoder = new TextEncoder();

/** An HTTP request, as far as the handshake looks at it. */
export interface HandshakeRequest {
  /** The method, such as `"GET"`. */
  readonly method: string;
  /** The version of HTTP, such as `"1.1"`. */
  readonly version: string;
  /** Returns a header by its name in lower case; several of one name joined with commas. */
  header(name: string): string | undefined;
}

/** An HTTP answer that ends the matter. */
export interface Refusal {
  /** The HTTP status. */
  readonly status: number;
  /** Why, for people: the body. */
  readonly reason: string;
  /** Headers that the status asks for. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** What becomes of a request. */
export type HandshakeVerdict =
  | {
    /** It is a proper handshake. */
    readonly accepted: true;
    /** The client's key. */
    readonly key: string;
    /** The subprotocol chosen, or `undefined` if the client offers none. */
    readonly protocol: string | undefined;
  }
  | {
    /** It is none. */
    readonly accepted: false;
    /** What to answer. */
    readonly refusal: Refusal;
  };

/**
 * Judges a request by RFC 6455 §4.2.1.
 *
 * @param request The request.
 * @param protocols The subprotocols that the server speaks, best first.
 */
export function checkHandshake(
  request: HandshakeRequest,
  protocols: readonly string[],
): HandshakeVerdict {
  const refusal = findFault(request);
  if (refusal !== undefined) return { accepted: false, refusal };
  const key = request.header("sec-websocket-key")!;
  const offer = request.header("sec-websocket-protocol");
  const offered = offer === undefined ? [] : listTokens(offer);
  if (offered.length === 0) return { accepted: true, key, protocol: undefined };
  const protocol = protocols.find((spoken) => offered.includes(spoken));
  if (protocol !== undefined) return { accepted: true, key, protocol };
  const reason = `No subprotocol in common: this server speaks ${protocols.join(", ")}`;
  return { accepted: false, refusal: { status: 400, reason } };
}

/**
 * Computes the proof that the server understood the handshake (RFC 6455 §4.2.2, 5.4).
 *
 * @param key The client's key.
 * @param sha1 Computes the SHA-1 digest of ASCII text, in base64.
 * @returns The value of `Sec-WebSocket-Accept`.
 */
export function acceptKey(key: string, sha1: (text: string) => string): string {
  return sha1(key + ACCEPT_GUID);
}

/** Writes the answer that opens the connection (RFC 6455 §4.2.2). It is ASCII. */
export function encodeAcceptance(accept: string, protocol: string | undefined): string {
  const chosen = protocol === undefined ? "" : `Sec-WebSocket-Protocol: ${protocol}\r\n`;
  return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
    `Sec-WebSocket-Accept: ${accept}\r\n${chosen}\r\n`;
}

/** Writes an answer that refuses the connection, after which it is closed. */
export function encodeRefusal(refusal: Refusal): Uint8Array {
  const body = encoder.encode(`${refusal.reason}\n`);
  const headers = {
    ...refusal.headers,
    "Content-Type": "text/plain; charset=utf-8",
    "Content-Length": String(body.byteLength),
    "Connection": "close",
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const status = `HTTP/1.1 ${refusal.status} ${STATUS_TEXTS[refusal.status] ?? "Refused"}\r\n`;
  const head = encoder.encode(`${status}${lines.join("")}\r\n`);
  const answer = new Uint8Array(head.byteLength + body.byteLength);
  answer.set(head);
  answer.set(body, head.byteLength);
  return answer;
}

/** Tells whether an Upgrade header, a list, holds `websocket` in any case (RFC 9110 §5.6.1). */
export function asksForWebSocket(upgrade: string | undefined): boolean {
  return upgrade !== undefined && UPGRADE_LIST.test(upgrade);
}

/** Tells whether a Host header names one host, with or without a port (RFC 9112 §3.2). */
export function isHost(host: string | undefined): boolean {
  return host !== undefined && HOST.test(host);
}

const STATUS_TEXTS: Readonly<Record<number, string>> = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  413: "Content Too Large",
  426: "Upgrade Required",
  429: "Too Many Requests",
  500: "Internal Server Error",
  503: "Service Unavailable",
};

function findFault(request: HandshakeRequest): Refusal | undefined {
  if (request.method !== "GET") {
    return { status: 405, reason: "A WebSocket handshake is a GET", headers: { Allow: "GET" } };
  }
  if (!isHttp11(request.version)) return bad("A WebSocket handshake needs HTTP/1.1");
  if (!isHost(request.header("host"))) return bad("The Host header is missing or names no host");
  if (hasBody(request)) return bad("A WebSocket handshake has no body");
  if (!asksForWebSocket(request.header("upgrade"))) {
    const reason = 'The Upgrade header lacks "websocket"';
    return { status: 426, reason, headers: { Upgrade: "websocket" } };
  }
  if (!CONNECTION_LIST.test(request.header("connection") ?? "")) {
    return bad('The Connection header lacks "Upgrade"');
  }
  if (request.header("sec-websocket-version")?.trim() !== VERSION) {
    const reason = `The only version of WebSocket here is ${VERSION}`;
    return { status: 426, reason, headers: { "Sec-WebSocket-Version": VERSION } };
  }
  if (KEY.test(request.header("sec-websocket-key") ?? "")) return undefined;
  return bad("The Sec-WebSocket-Key header is not 16 bytes in base64");
}

// What follows the head must be frames: a body could be taken for some (RFC 9112 §6.3).
function hasBody(request: HandshakeRequest): boolean {
  const length = request.header("content-length");
  return (length !== undefined && length !== "0") ||
    request.header("transfer-encoding") !== undefined;
}

function bad(reason: string): Refusal {
  return { status: 400, reason };
}

function isHttp11(version: string): boolean {
  return version === "1.1" || /^(?:1\.[2-9]|[2-9](?:\.\d)?)$/.test(version);
}

function listTokens(header: string): string[] {
  return header.split(",").map((token) => token.trim()).filter((token) => token !== "");
}
