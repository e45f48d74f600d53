import type { Millis } from "../../core/machine.ts";

/** How to speak to a Redis server. */
export interface ConnectionSettings {
  /** The user, or `undefined` for the default one. */
  readonly username: string | undefined;
  /** The password, or `undefined` for none. */
  readonly password: string | undefined;
  /** The number of the database. */
  readonly database: number;
  /** The name that `CLIENT LIST` shows: printable ASCII without spaces. `undefined` for none. */
  readonly clientName: string | undefined;
  /** The newest protocol to speak. A server that has only RESP2 is spoken to in that anyway. */
  readonly protocol: 2 | 3;
  /** How long the greeting may take: from the open connection to a server that takes commands. */
  readonly handshakeTimeoutMs: Millis;
  /**
   * How long a server may leave a command without an answer, while it answers no other either.
   * Past it the connection is given up: answers come in order, so all behind it would wait too.
   */
  readonly commandTimeoutMs: Millis;
  /** After how much silence a `PING` asks whether the server is there. */
  readonly pingIntervalMs: Millis;
  /** How many bytes may wait to be sent. Past it commands are refused. */
  readonly queueBytesMax: number;
  /** How many commands may wait for their answers. Past it commands are refused. */
  readonly queueCommandsMax: number;
}

/**
 * What holds unless an option says otherwise. A server that has vanished is found within the ping
 * interval and the time limit together: 3 s.
 */
export const DEFAULT_CONNECTION_SETTINGS: ConnectionSettings = Object.freeze({
  username: undefined,
  password: undefined,
  database: 0,
  clientName: undefined,
  protocol: 3,
  handshakeTimeoutMs: 3_000,
  commandTimeoutMs: 2_000,
  pingIntervalMs: 1_000,
  queueBytesMax: 64 * 1024 * 1024,
  queueCommandsMax: 262_144,
});
