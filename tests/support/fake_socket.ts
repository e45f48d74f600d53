import type { WebSocketLike, WebSocketLikeEvent } from "../../src/edge/accept.ts";

/** A Web-standard socket in memory, played by the test. */
export class FakeSocket implements WebSocketLike {
  binaryType = "blob";
  readyState = 1;
  bufferedAmount = 0;
  /** Whether it refuses to send the codes of the protocol, as a browser's does. */
  isStrict = false;
  /** Whether it throws when it is to send. */
  isBroken = false;
  readonly log: string[] = [];
  readonly #listeners = new Map<string, (event: WebSocketLikeEvent) => void>();

  send(data: string | Uint8Array): void {
    if (this.isBroken) throw new DOMException("InvalidStateError");
    this.log.push(typeof data === "string" ? `send ${data}` : `send ${data.byteLength} bytes`);
  }

  close(code?: number, reason?: string): void {
    if (this.isStrict && code !== undefined && code !== 1000 && code < 3000) {
      throw new DOMException("InvalidAccessError");
    }
    this.readyState = 2;
    this.log.push(`close ${code} ${reason}`);
  }

  addEventListener(type: string, listener: (event: WebSocketLikeEvent) => void): void {
    this.#listeners.set(type, listener);
  }

  fires(type: string, event: WebSocketLikeEvent = {}): void {
    this.#listeners.get(type)?.(event);
  }
}
