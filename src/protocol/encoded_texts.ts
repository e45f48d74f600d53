import { encodeUtf8 } from "../core/utf8.ts";

// A node has some names that it writes all the time, and no end of others.
const GENERATION_TEXTS_MAX = 4_096;

/** A text, and the same as UTF-8. */
export interface EncodedText {
  /** The text. */
  readonly text: string;
  /** Its bytes. */
  readonly bytes: Uint8Array;
}

/**
 * Texts that go with a name, such as what stands around it in a frame: encoded once, while in use.
 *
 * There are two generations. When the young one is full, it becomes the old one, and the old one
 * goes; what is read of that is young again.
 */
export class EncodedTexts {
  readonly #write: (name: string) => string;
  #young = new Map<string, EncodedText>();
  #old = new Map<string, EncodedText>();

  /** Starts with none. `write` gives the text that goes with a name. */
  constructor(write: (name: string) => string) {
    this.#write = write;
  }

  /** The text for a name. */
  get(name: string): EncodedText {
    return this.#young.get(name) ?? this.#add(name);
  }

  #add(name: string): EncodedText {
    const encoded = this.#old.get(name) ?? this.#encode(name);
    if (this.#young.size === GENERATION_TEXTS_MAX) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(name, encoded);
    return encoded;
  }

  #encode(name: string): EncodedText {
    const text = this.#write(name);
    return { text, bytes: new Uint8Array(encodeUtf8(text)) };
  }
}
