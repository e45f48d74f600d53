import { Deque } from "../core/deque.ts";

/** What a client sent while an earlier request of it was not decided yet, oldest first. */
export class WaitingFrames {
  readonly #frames = new Deque<string | Uint8Array>();
  #size = 0;

  /** How far the first frame has been read: its lines before that are done. */
  offset = 0;

  /** Frames that wait. */
  get count(): number {
    return this.#frames.length;
  }

  /** Characters and bytes that wait. */
  get size(): number {
    return this.#size;
  }

  /** The oldest frame, which stays. */
  get first(): string | Uint8Array | undefined {
    return this.#frames.first;
  }

  /** Appends a frame. Bytes are copied: they may be a view of a far larger read buffer. */
  push(frame: string | Uint8Array): void {
    this.#frames.push(typeof frame === "string" ? frame : new Uint8Array(frame));
    this.#size += frame.length;
  }

  /** Removes the oldest frame. */
  shift(): void {
    this.#size -= this.#frames.shift()?.length ?? 0;
    this.offset = 0;
  }
}
