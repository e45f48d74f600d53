/** What a frame is. The numbers are the wire's and never change their meaning. */
export const FRAME_TYPE = {
  /** Handshake: magic, versions, nonce. */
  hello: 1,
  /** Handshake: a keyed hash over all handshake frames before it. */
  proof: 2,
  /** Handshake: cluster, node and address, told to a peer that has proved the secret. */
  identity: 3,
  /** Handshake: why the sender hangs up. */
  refuse: 4,
  /** A payload of the layer above. */
  payload: 5,
  /** Gossip: nodes and their addresses. */
  peers: 6,
  /** Says only that the sender is there. */
  ping: 7,
  /** The sender leaves the cluster. */
  goodbye: 8,
  /** The sender sends no more over this connection, as another one of the pair is kept. */
  retire: 9,
} as const;

/** One unit on the wire: `u32 length of the rest | u8 type | body`. */
export interface RawFrame {
  /** One of {@linkcode FRAME_TYPE}, or something newer. */
  readonly type: number;
  /** A view of the chunk that was received, where the frame lay in one. */
  readonly body: Uint8Array;
}

/** Why a byte stream cannot be read on. */
export interface FrameFault {
  /** Which fault, by its stable name. */
  readonly code: "frame_too_large" | "frame_invalid";
  /** The values that explain it. */
  readonly detail: string;
}

/** Bytes of a frame beside its body. */
export const FRAME_OVERHEAD_BYTES = 5;

const LENGTH_BYTES = 4;
const NOTHING = new Uint8Array(0);

/** Writes one frame as bytes of its own. */
export function encodeFrame(type: number, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(FRAME_OVERHEAD_BYTES + body.length);
  putHeader(bytes, 0, type, body.length);
  bytes.set(body, FRAME_OVERHEAD_BYTES);
  return bytes;
}

/**
 * Cuts the byte stream of one peer into frames, however the network chunked it.
 *
 * A frame that lies within one chunk is not copied. After a fault nothing more is read, because
 * there is no way to find the next frame.
 */
export class FrameReader {
  /** Largest length to accept: type and body. It counts from the next frame on. */
  lengthMax: number;
  readonly #header = new Uint8Array(LENGTH_BYTES);
  #headerFilled = 0;
  #chunk: Uint8Array = NOTHING;
  #offset = 0;
  #frame: Uint8Array | undefined;
  #frameFilled = 0;
  #fault: FrameFault | undefined;

  /** Starts at the border between two frames. */
  constructor(lengthMax: number) {
    this.lengthMax = lengthMax;
  }

  /** Set from the first bad frame on. */
  get fault(): FrameFault | undefined {
    return this.#fault;
  }

  /** Takes a chunk, which it owns from now on. The one before MUST have been read to its end. */
  push(chunk: Uint8Array): void {
    this.#chunk = chunk;
    this.#offset = 0;
  }

  /** Reads the next whole frame, or `undefined` when there is none (yet). */
  next(): RawFrame | undefined {
    if (this.#fault !== undefined) return undefined;
    if (this.#frame !== undefined) return this.#collect(this.#frame);
    const chunk = this.#chunk;
    const start = this.#offset;
    if (this.#headerFilled > 0 || chunk.length - start < LENGTH_BYTES) return this.#begin();
    const length = readU32(chunk, start);
    if (!this.#allows(length)) return undefined;
    const end = start + LENGTH_BYTES + length;
    this.#offset = start + LENGTH_BYTES;
    if (end > chunk.length) return this.#collect(this.#frame = new Uint8Array(length));
    this.#offset = end;
    return {
      type: chunk[start + LENGTH_BYTES]!,
      body: chunk.subarray(start + FRAME_OVERHEAD_BYTES, end),
    };
  }

  // The length itself is spread over chunks.
  #begin(): RawFrame | undefined {
    const chunk = this.#chunk;
    while (this.#headerFilled < LENGTH_BYTES) {
      if (this.#offset === chunk.length) return this.#rest();
      this.#header[this.#headerFilled++] = chunk[this.#offset++]!;
    }
    this.#headerFilled = 0;
    const length = readU32(this.#header, 0);
    if (!this.#allows(length)) return undefined;
    return this.#collect(this.#frame = new Uint8Array(length));
  }

  // What was read to its end is not kept until the next chunk comes.
  #rest(): undefined {
    this.#chunk = NOTHING;
    this.#offset = 0;
  }

  // The frame is spread over chunks: its bytes are gathered in memory of its own.
  #collect(frame: Uint8Array): RawFrame | undefined {
    const end = this.#offset + frame.length - this.#frameFilled;
    const part = this.#chunk.subarray(this.#offset, end);
    frame.set(part, this.#frameFilled);
    this.#offset += part.length;
    this.#frameFilled += part.length;
    if (this.#frameFilled < frame.length) return undefined;
    this.#frame = undefined;
    this.#frameFilled = 0;
    return { type: frame[0]!, body: frame.subarray(1) };
  }

  // Checked on the header alone: a peer must not make us keep what we will refuse.
  #allows(length: number): boolean {
    if (length > this.lengthMax) {
      const detail = `${length} bytes, at most ${this.lengthMax}`;
      this.#fault = { code: "frame_too_large", detail };
      return false;
    }
    if (length === 0) this.#fault = { code: "frame_invalid", detail: "no type" };
    return length > 0;
  }
}

const SLAB_BYTES_MAX = 64 * 1024;
// An idle node has a writer for each other one, and the memory of it should not count.
const SLAB_BYTES_MIN = 2 * 1024;
// A slab is for so many ticks like the one in which it is begun.
const SLAB_TICKS = 16;
// One that would do for more than so many ticks like the last one is let go.
const SLAB_TICKS_MAX = 128;
// A body from here on is sent as it is: to copy it costs more than one more write.
const OWN_PART_BYTES = 16 * 1024;
// What was begun in a full slab is moved to the next one if it is short, so that it stays one write.
const MOVE_BYTES_MAX = 16 * 1024;

/**
 * Joins frames into few parts to write: short bodies are copied behind each other, long ones
 * are shared as they are.
 */
export class FrameWriter {
  #slab: Uint8Array = NOTHING;
  #start = 0;
  #end = 0;
  #parts: Uint8Array[] = [];
  #byteLength = 0;

  /** Bytes that wait to be taken. */
  get byteLength(): number {
    return this.#byteLength;
  }

  /** Appends a frame. The writer owns `body` from now on, and never changes it. */
  append(type: number, body: Uint8Array): void {
    const length = body.length;
    const isOwnPart = length >= OWN_PART_BYTES;
    const count = isOwnPart ? FRAME_OVERHEAD_BYTES : FRAME_OVERHEAD_BYTES + length;
    if (this.#end + count > this.#slab.length) this.#nextSlab(count);
    putHeader(this.#slab, this.#end, type, length);
    if (!isOwnPart) this.#slab.set(body, this.#end + FRAME_OVERHEAD_BYTES);
    this.#end += count;
    this.#byteLength += FRAME_OVERHEAD_BYTES + length;
    if (!isOwnPart) return;
    this.#cut();
    this.#parts.push(body);
  }

  /** Removes and returns parts to write, in order: all, or enough to reach `bytesWanted`. */
  take(bytesWanted: number): Uint8Array[] {
    this.#cut();
    let parts = this.#parts;
    if (this.#byteLength <= bytesWanted) {
      this.#parts = [];
      if (this.#isWasteful()) this.#letGo();
      this.#byteLength = 0;
      return parts;
    }
    let count = 0;
    for (let bytes = 0; bytes < bytesWanted; count++) bytes += parts[count]!.length;
    parts = parts.splice(0, count);
    for (const part of parts) this.#byteLength -= part.length;
    return parts;
  }

  // After much, such as a long list, a little more may be all there is to say for hours.
  #isWasteful(): boolean {
    const { length } = this.#slab;
    return length > SLAB_BYTES_MIN && length > SLAB_TICKS_MAX * this.#byteLength;
  }

  #letGo(): void {
    this.#slab = NOTHING;
    this.#start = 0;
    this.#end = 0;
  }

  #cut(): void {
    if (this.#end === this.#start) return;
    this.#parts.push(this.#slab.subarray(this.#start, this.#end));
    this.#start = this.#end;
  }

  #nextSlab(count: number): void {
    const wanted = SLAB_TICKS * (this.#byteLength + count);
    const slab = new Uint8Array(Math.max(SLAB_BYTES_MIN, Math.min(wanted, SLAB_BYTES_MAX)));
    let moved = 0;
    if (this.#end - this.#start <= MOVE_BYTES_MAX) {
      slab.set(this.#slab.subarray(this.#start, this.#end));
      moved = this.#end - this.#start;
    } else this.#cut();
    this.#slab = slab;
    this.#start = 0;
    this.#end = moved;
  }
}

function putHeader(target: Uint8Array, offset: number, type: number, bodyLength: number): void {
  const length = bodyLength + 1;
  target[offset] = length >>> 24;
  target[offset + 1] = length >>> 16;
  target[offset + 2] = length >>> 8;
  target[offset + 3] = length;
  target[offset + 4] = type;
}

function readU32(bytes: Uint8Array, offset: number): number {
  return ((bytes[offset]! << 24) | (bytes[offset + 1]! << 16) | (bytes[offset + 2]! << 8) |
    bytes[offset + 3]!) >>> 0;
}
