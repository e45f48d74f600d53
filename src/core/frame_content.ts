/**
 * What a frame for clients holds: written as bytes or as a string, whichever a socket takes, and
 * not before one does. What it is made of must not change until then.
 */
export interface FrameContent {
  /** Whether it is text. */
  readonly isText: boolean;
  /** Number of bytes: of text as UTF-8. */
  readonly byteLength: number;
  /** Writes the bytes, from a place on where there is room for them. */
  write(bytes: Uint8Array, at: number): void;
  /** The text. Empty for what is none. */
  text(): string;
}
