/** Writes a bulk string. */
export function bulk(text: string): string {
  return `$${new TextEncoder().encode(text).byteLength}\r\n${text}\r\n`;
}

/** Writes an array of bulk strings: a command, or a push of RESP2. */
export function bulks(...texts: readonly string[]): string {
  return `*${texts.length}\r\n${texts.map(bulk).join("")}`;
}

/** Writes a confirmation of a subscription: as a push, or as the array that it is in RESP2. */
export function confirmation(kind: string, channel: string, count: number, type = ">"): string {
  return `${type}3\r\n${bulk(kind)}${bulk(channel)}:${count}\r\n`;
}

/** What a Redis 7 answers to `HELLO 3`. */
export const HELLO_REPLY: string = "%4\r\n$6\r\nserver\r\n$5\r\nredis\r\n" +
  "$7\r\nversion\r\n$6\r\n7.0.15\r\n$5\r\nproto\r\n:3\r\n$4\r\nrole\r\n$6\r\nmaster\r\n";

/** Reads commands: each a list of its name and its arguments, which must be text without CRLF. */
export function commandsOf(wire: string): string[][] {
  return wire.split(/\*\d+\r\n/).slice(1).map((command) => {
    return command.split("\r\n").filter((_, index) => index % 2 === 1);
  });
}
