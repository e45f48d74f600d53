import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { BODY_BYTES_MAX } from "./limits.ts";
import type { FetchHandler } from "./listener.ts";
import { isHost } from "./websocket/handshake.ts";

/** Returns the absolute address that a request asks for, or `undefined` if it is none. */
export function toUrl(socket: Socket, host: string, target: string): string | undefined {
  const { encrypted } = socket as Socket & { readonly encrypted?: boolean };
  const scheme = encrypted === true ? "https" : "http";
  // RFC 9112 §3.2: a path, or an address with its scheme. The others ask for no resource.
  const isPath = target.startsWith("/");
  if (isPath && !isHost(host)) return undefined;
  const url = isPath ? `${scheme}://${host}${target}` : target;
  return /^https?:\/\//i.test(url) && URL.canParse(url) ? url : undefined;
}

/** Makes headers of names and values, which come in turns. */
export function toHeaders(raw: readonly string[]): Headers {
  const headers = new Headers();
  for (let index = 0; index + 1 < raw.length; index += 2) {
    headers.append(raw[index]!, raw[index + 1]!);
  }
  return headers;
}

/**
 * Returns a header of names and values, which come in turns, by its name in lower case; several of
 * one name joined with commas. `node:http` keeps the first of two hosts, and tells nobody.
 */
export function joinHeader(raw: readonly string[], name: string): string | undefined {
  let joined: string | undefined;
  for (let index = 0; index + 1 < raw.length; index += 2) {
    if (raw[index]!.toLowerCase() !== name) continue;
    joined = joined === undefined ? raw[index + 1]! : `${joined}, ${raw[index + 1]}`;
  }
  return joined;
}

/**
 * Answers one plain request with the application's handler.
 *
 * @param fetch The application's handler.
 * @param read Called when the request has come in whole.
 * @returns Whether the handler did not fail.
 */
export async function answerPlain(
  fetch: FetchHandler | undefined,
  request: IncomingMessage,
  response: ServerResponse,
  read: () => void,
): Promise<boolean> {
  const url = toUrl(request.socket, request.headers.host ?? "", request.url ?? "");
  if (url === undefined) return refuse(response, 400);
  const { method = "GET" } = request;
  if (INEXPRESSIBLE.test(method)) return refuse(response, 501);
  const body = await readBody(request);
  if (body === "gone") return true;
  if (body === "too large") return refuse(response, 413);
  read();
  try {
    const answer = await fetch?.(toRequest(request, url, body));
    if (answer === undefined) return refuse(response, 404);
    await write(response, answer);
    return true;
  } catch {
    // The client learns no more than that; the caller counts it.
    if (response.headersSent) response.destroy();
    else refuse(response, 500);
    return false;
  }
}

function refuse(response: ServerResponse, status: number): true {
  if (response.destroyed) return true;
  response.writeHead(status, { "Content-Type": "text/plain; charset=utf-8" });
  response.end(`${REASONS[status]}\n`);
  return true;
}

const REASONS: Readonly<Record<number, string>> = {
  400: "Bad request",
  404: "Not found",
  413: "Content too large",
  500: "Internal server error",
  501: "Not implemented",
};

// The methods that a `Request` cannot have.
const INEXPRESSIBLE = /^(?:CONNECT|TRACE|TRACK)$/;

function toRequest(
  request: IncomingMessage,
  url: string,
  body: Uint8Array<ArrayBuffer>,
): Request {
  const { method = "GET" } = request;
  const hasBody = method !== "GET" && method !== "HEAD";
  return new Request(url, {
    method,
    headers: toHeaders(request.rawHeaders),
    body: hasBody ? body : null,
  });
}

// Bounded, so that nobody fills the memory; larger things are no business of this server.
async function readBody(
  request: IncomingMessage,
): Promise<Uint8Array<ArrayBuffer> | "gone" | "too large"> {
  if (Number(request.headers["content-length"] ?? 0) > BODY_BYTES_MAX) return "too large";
  const chunks: Uint8Array[] = [];
  let byteLength = 0;
  try {
    for await (const chunk of request as AsyncIterable<Uint8Array>) {
      byteLength += chunk.byteLength;
      if (byteLength > BODY_BYTES_MAX) return "too large";
      chunks.push(chunk);
    }
  } catch {
    // The client went away in the middle of its request.
    return "gone";
  }
  const body = new Uint8Array(byteLength);
  let offset = 0;
  for (const chunk of chunks) {
    body.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return body;
}

async function write(response: ServerResponse, answer: Response): Promise<void> {
  for (const [name, value] of answer.headers) {
    if (name !== "set-cookie") response.setHeader(name, value);
  }
  const cookies = answer.headers.getSetCookie();
  if (cookies.length > 0) response.setHeader("set-cookie", cookies);
  response.writeHead(answer.status);
  if (answer.body === null) return void response.end();
  const reader = answer.body.getReader();
  const cancel = () => void reader.cancel().catch(ignore);
  response.once("close", cancel);
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    if (!response.write(part.value)) await drained(response);
  }
  response.end();
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      response.removeListener("drain", done);
      response.removeListener("close", done);
      resolve();
    };
    response.on("drain", done);
    response.on("close", done);
  });
}

function ignore(): void {}
