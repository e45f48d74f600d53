/** A command: its name and its arguments. Text is sent as UTF-8, bytes as they are. */
export type RedisCommand = readonly (string | Uint8Array)[];

const SLAB_BYTES = 64 * 1024;
// An argument from here on is sent as it is: to copy it costs more than one more write.
const OWN_PART_BYTES = 16 * 1024;
// `$` or `*`, ten digits, and two ends of line: what stands around an argument.
const FRAME_BYTES_MAX = 15;
// Up to here a loop beats the call into the encoder.
const LOOP_CHARACTERS_MAX = 48;
const CR = 13;
const LF = 10;
const ZERO = 48;
const DOLLAR = 36;
const ASTERISK = 42;
const encoder = new TextEncoder();
const NOTHING = new Uint8Array(0);

/**
 * Joins commands into few parts to write, each as an array of bulk strings, which every version of
 * the protocol takes: short arguments are copied behind each other, long ones shared as they are.
 */
export class CommandWriter {
  #slab: Uint8Array = NOTHING;
  #start = 0;
  #end = 0;
  #parts: Uint8Array[] = [];
  #byteLength = 0;

  /** Bytes that wait to be taken. */
  get byteLength(): number {
    return this.#byteLength + this.#end - this.#start;
  }

  /** Appends a command. Its bytes MUST NOT change from now on. */
  append(command: RedisCommand): void {
    this.#reserve(FRAME_BYTES_MAX);
    this.#head(ASTERISK, command.length);
    for (const argument of command) {
      if (typeof argument === "string") this.#text(argument);
      else this.#bytes(argument);
    }
  }

  /** Removes and returns the parts to write, in order. */
  take(): Uint8Array[] {
    this.#cut();
    const parts = this.#parts;
    this.#parts = [];
    this.#byteLength = 0;
    return parts;
  }

  #text(value: string): void {
    const length = value.length;
    // A unit of UTF-16 takes at most three bytes of UTF-8.
    this.#reserve(FRAME_BYTES_MAX + 3 * length);
    const start = this.#end;
    // Most text is ASCII, and then its length is known before it is written.
    this.#head(DOLLAR, length);
    if (!this.#ascii(value)) this.#utf8(value, start);
    this.#endOfLine();
  }

  #ascii(value: string): boolean {
    if (value.length > LOOP_CHARACTERS_MAX) return false;
    const slab = this.#slab;
    let end = this.#end;
    for (let index = 0; index < value.length; index++) {
      const code = value.charCodeAt(index);
      if (code > 127) return false;
      slab[end++] = code;
    }
    this.#end = end;
    return true;
  }

  #utf8(value: string, start: number): void {
    const slab = this.#slab;
    const text = this.#end;
    const { written } = encoder.encodeInto(value, slab.subarray(text));
    if (written !== value.length) {
      // The length may take a digit more than it was thought to.
      const shift = digitCount(written) - digitCount(value.length);
      if (shift > 0) slab.copyWithin(text + shift, text, text + written);
      this.#end = start;
      this.#head(DOLLAR, written);
    }
    this.#end += written;
  }

  #bytes(value: Uint8Array): void {
    const length = value.byteLength;
    const isOwnPart = length >= OWN_PART_BYTES;
    this.#reserve(isOwnPart ? FRAME_BYTES_MAX : FRAME_BYTES_MAX + length);
    this.#head(DOLLAR, length);
    if (isOwnPart) {
      this.#cut();
      this.#parts.push(value);
      this.#byteLength += length;
    } else {
      this.#slab.set(value, this.#end);
      this.#end += length;
    }
    this.#endOfLine();
  }

  #head(type: number, count: number): void {
    const slab = this.#slab;
    slab[this.#end++] = type;
    const digits = digitCount(count);
    let rest = count;
    for (let at = this.#end + digits - 1; at >= this.#end; at--) {
      const tenth = Math.floor(rest / 10);
      slab[at] = ZERO + rest - tenth * 10;
      rest = tenth;
    }
    this.#end += digits;
    this.#endOfLine();
  }

  #endOfLine(): void {
    this.#slab[this.#end++] = CR;
    this.#slab[this.#end++] = LF;
  }

  #cut(): void {
    if (this.#end === this.#start) return;
    this.#parts.push(this.#slab.subarray(this.#start, this.#end));
    this.#byteLength += this.#end - this.#start;
    this.#start = this.#end;
  }

  #reserve(byteLength: number): void {
    if (this.#end + byteLength <= this.#slab.byteLength) return;
    this.#cut();
    this.#slab = new Uint8Array(Math.max(SLAB_BYTES, byteLength));
    this.#start = 0;
    this.#end = 0;
  }
}

function digitCount(value: number): number {
  let count = 1;
  for (let limit = 10; value >= limit; limit *= 10) count++;
  return count;
}
