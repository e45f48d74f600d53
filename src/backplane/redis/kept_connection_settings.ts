import type { Millis } from "../../core/machine.ts";
import { type ConnectionSettings, DEFAULT_CONNECTION_SETTINGS } from "./connection_settings.ts";

/** How to speak to a server, and to get it back. */
export interface KeptConnectionSettings extends ConnectionSettings {
  /** The shortest pause before the server is dialled again. It doubles, and chance spreads it. */
  readonly reconnectMinMs: Millis;
  /** The longest pause before the server is dialled again. */
  readonly reconnectMaxMs: Millis;
  /** How long a command may wait for a connection. Past it the command fails. */
  readonly waitTimeoutMs: Millis;
}

/** What holds unless an option says otherwise. */
export const DEFAULT_KEPT_CONNECTION_SETTINGS: KeptConnectionSettings = Object.freeze({
  ...DEFAULT_CONNECTION_SETTINGS,
  reconnectMinMs: 100,
  reconnectMaxMs: 5_000,
  waitTimeoutMs: 10_000,
});
