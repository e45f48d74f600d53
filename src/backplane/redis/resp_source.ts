import { readText } from "./resp.ts";
import { RESP_LINE_BYTES_MAX } from "./resp_limits.ts";

const CR = 13;
const LF = 10;
const NOTHING = new Uint8Array(0);

/**
 * The bytes of a server as lines and strings, however the network chunked them.
 *
 * What lies within one chunk is a view of it. A line that is spread over chunks is kept until its
 * end comes, and a string is gathered in memory of its own, so no byte is looked at twice.
 */
export class RespSource {
  /** The chunk that is being read. */
  chunk: Uint8Array = NOTHING;
  /** Where in the chunk the next byte is. */
  offset = 0;
  /** Where the line lies that was read last, without its end: good until the next one is read. */
  line: Uint8Array = NOTHING;
  /** Its first byte that has not been used. */
  lineStart = 0;
  /** Where it ends. */
  lineEnd = 0;
  /** Why nothing more can be read: what is wrong with the line, or with the end of a string. */
  fault: string | undefined;
  #kept = new Uint8Array(64);
  #keptLength = 0;
  #string: Uint8Array | undefined;
  #stringFilled = 0;

  /** Whether the next byte begins a line. */
  get isAtLine(): boolean {
    return this.#keptLength === 0 && this.#string === undefined;
  }

  /** Whether a string has come in part. {@linkcode RespSource.gather} reads on. */
  get isGathering(): boolean {
    return this.#string !== undefined;
  }

  /** Takes a chunk, and owns it. The one before MUST have been read to its end. */
  push(chunk: Uint8Array): void {
    this.chunk = chunk;
    this.offset = 0;
  }

  /** The rest of the line as text. */
  text(): string {
    return readText(this.line, this.lineStart, this.lineEnd);
  }

  /**
   * Reads a line of at least one byte.
   *
   * @returns Whether there is one. If not, more bytes are needed, unless there is a fault.
   */
  readLine(): boolean {
    const { chunk, offset: start } = this;
    const end = chunk.byteLength;
    if (start === end) return false;
    if (this.#keptLength > 0 && this.#kept[this.#keptLength - 1] === CR) {
      if (chunk[start] !== LF) return this.#refuse();
      return this.#endKept(start + 1, 1);
    }
    let at = start;
    while (at < end && chunk[at] !== CR && chunk[at] !== LF) at++;
    const length = this.#keptLength + at - start;
    if (length > RESP_LINE_BYTES_MAX) {
      this.fault = `a line of more than ${RESP_LINE_BYTES_MAX} bytes`;
      return false;
    }
    if (at < end && (length === 0 || chunk[at] === LF)) return this.#refuse();
    if (at + 1 >= end) {
      this.#keep(start, end);
      this.offset = end;
      return false;
    }
    if (chunk[at + 1] !== LF) return this.#refuse();
    if (this.#keptLength > 0) {
      this.#keep(start, at);
      return this.#endKept(at + 2, 0);
    }
    this.line = chunk;
    this.lineStart = start;
    this.lineEnd = at;
    this.offset = at + 2;
    return true;
  }

  /**
   * Begins to read a string and the end of line behind it.
   *
   * @returns The string, or `undefined` when more bytes are needed, unless there is a fault.
   */
  readString(byteLength: number): Uint8Array | undefined {
    const { chunk, offset: start } = this;
    const end = start + byteLength;
    if (end + 2 > chunk.byteLength) {
      this.#string = new Uint8Array(byteLength + 2);
      this.#stringFilled = 0;
      return this.gather();
    }
    this.offset = end + 2;
    if (chunk[end] !== CR || chunk[end + 1] !== LF) return this.#refuseString(byteLength);
    return chunk.subarray(start, end);
  }

  /** Reads on where a string has come in part. Returns as {@linkcode RespSource.readString}. */
  gather(): Uint8Array | undefined {
    const string = this.#string!;
    const end = this.offset + string.byteLength - this.#stringFilled;
    const part = this.chunk.subarray(this.offset, end);
    string.set(part, this.#stringFilled);
    this.offset += part.byteLength;
    this.#stringFilled += part.byteLength;
    if (this.#stringFilled < string.byteLength) return undefined;
    this.#string = undefined;
    const byteLength = string.byteLength - 2;
    if (string[byteLength] !== CR || string[byteLength + 1] !== LF) {
      return this.#refuseString(byteLength);
    }
    return string.subarray(0, byteLength);
  }

  #endKept(next: number, cutBytes: number): true {
    this.line = this.#kept;
    this.lineStart = 0;
    this.lineEnd = this.#keptLength - cutBytes;
    this.#keptLength = 0;
    this.offset = next;
    return true;
  }

  #keep(start: number, end: number): void {
    const length = this.#keptLength + end - start;
    if (length > this.#kept.byteLength) {
      const kept = new Uint8Array(2 * length);
      kept.set(this.#kept.subarray(0, this.#keptLength));
      this.#kept = kept;
    }
    this.#kept.set(this.chunk.subarray(start, end), this.#keptLength);
    this.#keptLength = length;
  }

  #refuse(): false {
    const kept = readText(this.#kept, 0, Math.min(this.#keptLength, 40));
    const rest = Math.min(this.chunk.byteLength, this.offset + 40 - kept.length);
    const shown = JSON.stringify(kept + readText(this.chunk, this.offset, rest));
    this.fault = `${shown} is no line of Redis's`;
    return false;
  }

  #refuseString(byteLength: number): undefined {
    this.fault = `a string of ${byteLength} bytes has no end of line behind it`;
    return undefined;
  }
}
