const BYTES_MIN = 256;

/** The fragments of one message so far (RFC 6455 §5.4). */
export class Fragments {
  /** Whether it is a text message. */
  readonly isText: boolean;
  readonly #validator: TextDecoder | undefined;
  #room = new Uint8Array(0);
  #byteLength = 0;

  /** Starts a message. */
  constructor(isText: boolean) {
    this.isText = isText;
    this.#validator = isText ? new TextDecoder("utf-8", { fatal: true }) : undefined;
  }

  /** Number of bytes so far. */
  get byteLength(): number {
    return this.#byteLength;
  }

  /** The bytes so far. */
  get bytes(): Uint8Array {
    return this.#room.subarray(0, this.#byteLength);
  }

  /**
   * Adds a copy of a fragment.
   *
   * @returns Whether the message can still be UTF-8, if it is text. A character may be cut
   *     between two fragments, so half a one at the end is for the caller to find.
   */
  add(payload: Uint8Array): boolean {
    this.#append(payload);
    try {
      this.#validator?.decode(payload, { stream: true });
      return true;
    } catch {
      // The decoder's way to say that it is not UTF-8.
      return false;
    }
  }

  // One piece of memory that doubles: a list of many small fragments would cost far more.
  #append(payload: Uint8Array): void {
    const byteLength = this.#byteLength + payload.byteLength;
    if (byteLength > this.#room.byteLength) {
      const room = new Uint8Array(Math.max(byteLength, 2 * this.#byteLength, BYTES_MIN));
      room.set(this.bytes);
      this.#room = room;
    }
    this.#room.set(payload, this.#byteLength);
    this.#byteLength = byteLength;
  }
}
