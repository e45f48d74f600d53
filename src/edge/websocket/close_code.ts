/** Why a connection ends, in the numbers of RFC 6455 §7.4.1 and the registry that extends it. */
export const CLOSE_CODE = {
  /** The purpose of the connection is fulfilled. */
  normal: 1000,
  /** The server goes down, or the page was left. */
  goingAway: 1001,
  /** The peer broke the protocol. */
  protocolError: 1002,
  /** The peer sent a kind of message that is not understood. */
  unsupportedData: 1003,
  /** A close frame without a code. Never on the wire. */
  noStatus: 1005,
  /** The connection ended without a close frame. Never on the wire. */
  abnormal: 1006,
  /** A text message, or a close reason, is not UTF-8. */
  invalidPayload: 1007,
  /** The peer broke a rule of the application. */
  policyViolation: 1008,
  /** A message is larger than the limit. */
  messageTooBig: 1009,
  /** The server met something that it did not expect. */
  internalError: 1011,
  /** The server is overloaded, or the peer does not read: try again later. */
  tryAgainLater: 1013,
} as const;

/** Most bytes of UTF-8 in the reason of a close frame (RFC 6455 §5.5: 125, less the code). */
export const CLOSE_REASON_BYTES_MAX = 123;

const encoder = new TextEncoder();

/**
 * Tells whether a peer may put a code into a close frame (RFC 6455 §7.4).
 *
 * 1004 is reserved; 1005, 1006 and 1015 only ever describe what was seen locally; 1016 to 2999
 * wait for a future version of the protocol.
 */
export function isCloseCodeOnWire(code: number): boolean {
  if (code >= 3000) return code <= 4999;
  return code >= 1000 && code <= 1014 && code !== 1004 && code !== 1005 && code !== 1006;
}

/**
 * Writes the payload of a close frame.
 *
 * @param code The code, or 1005 for a close frame without one.
 * @param reason Cut at a whole character if it is longer than 123 bytes.
 */
export function encodeClosePayload(code: number, reason: string): Uint8Array {
  if (code === CLOSE_CODE.noStatus) return new Uint8Array(0);
  const bytes = new Uint8Array(2 + CLOSE_REASON_BYTES_MAX);
  bytes[0] = code >>> 8;
  bytes[1] = code;
  const { written } = encoder.encodeInto(reason, bytes.subarray(2));
  return bytes.subarray(0, 2 + written);
}

/** Cuts a reason at a whole character so that it fits into a close frame. */
export function cutReason(reason: string): string {
  // A UTF-16 unit takes at most three bytes of UTF-8.
  if (reason.length * 3 <= CLOSE_REASON_BYTES_MAX) return reason;
  const { read } = encoder.encodeInto(reason, new Uint8Array(CLOSE_REASON_BYTES_MAX));
  return reason.slice(0, read);
}
