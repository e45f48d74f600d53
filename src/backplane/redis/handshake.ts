import { RedisError } from "../../errors.ts";
import type { CommandWriter, RedisCommand } from "./command_writer.ts";
import type { ConnectionSettings } from "./connection_settings.ts";
import { toRedisError } from "./reply_error.ts";
import { RespError, respFields, respText, type RespValue } from "./resp.ts";

/** What is known of a server once it takes commands. */
export interface ServerIdentity {
  /** The protocol that is spoken from now on. */
  readonly protocol: 2 | 3;
  /** The server's version, such as `"7.0.15"`, where it tells. */
  readonly version: string | undefined;
  /** What the server is part of: `"standalone"`, `"sentinel"` or `"cluster"`, where it tells. */
  readonly mode: string | undefined;
  /** `"master"` or `"replica"`, where it tells. */
  readonly role: string | undefined;
}

/** How a greeting ended. */
export type HandshakeResult =
  | { readonly kind: "done"; readonly server: ServerIdentity }
  | { readonly kind: "failed"; readonly error: RedisError };

/** Where the greeting stands: which command waits for its answer. */
type Step = "hello" | "auth" | "name" | "select" | "ping";

// Servers before 6.0, and those whose `HELLO` is renamed or refused, go on in RESP2.
const FATAL: readonly RedisError["code"][] = ["auth_failed", "auth_required", "refused"];
// A password that the server does not ask for opens it too, as it does in `HELLO`.
const NOT_NEEDED = /without any password configured|no password is set/;

/**
 * The greeting: protocol, user, name and database, one command after the other.
 *
 * ```text
 * hello ------------------------------> select? --> done (RESP3)
 *    '--(refused)--> auth? --> name? --> select? --> ping --> done (RESP2)
 * ```
 */
export class Handshake {
  readonly #settings: ConnectionSettings;
  readonly #writer: CommandWriter;
  readonly #server: string;
  #identity: ServerIdentity = {
    protocol: 2,
    version: undefined,
    mode: undefined,
    role: undefined,
  };
  #step: Step = "hello";

  /** Writes the first command. `server` is for people. */
  constructor(settings: ConnectionSettings, writer: CommandWriter, server: string) {
    this.#settings = settings;
    this.#writer = writer;
    this.#server = server;
    if (settings.protocol === 3) this.#send("hello", this.#hello());
    else this.#authenticate();
  }

  /** Reads the answer to the command that was written last, and writes the next one. */
  read(reply: RespValue): HandshakeResult | undefined {
    const error = reply instanceof RespError ? this.#toError(reply) : undefined;
    switch (this.#step) {
      case "hello":
        if (error === undefined) return this.#onHello(reply);
        if (FATAL.includes(error.code)) return { kind: "failed", error };
        this.#authenticate();
        return undefined;
      case "auth":
        if (error === undefined || NOT_NEEDED.test((reply as RespError).message)) {
          return void this.#giveName();
        }
        return { kind: "failed", error };
      case "name":
        // A name is for people: a server that has no such command does without.
        return error?.code === "auth_required" ? { kind: "failed", error } : this.#select();
      case "select":
        if (error !== undefined) return { kind: "failed", error };
        return this.#identity.protocol === 3 ? this.#done() : this.#ping();
      case "ping":
        // Only a server that wants a password first says no: loading, or no right to ask, is well.
        if (error !== undefined && FATAL.includes(error.code)) return { kind: "failed", error };
        return this.#done();
    }
  }

  #hello(): RedisCommand {
    const { username = "default", password, clientName } = this.#settings;
    return [
      "HELLO",
      "3",
      ...(password === undefined ? [] : ["AUTH", username, password]),
      ...(clientName === undefined ? [] : ["SETNAME", clientName]),
    ];
  }

  #onHello(reply: RespValue): HandshakeResult | undefined {
    const fields = respFields(reply);
    if (fields?.get("proto") !== 3) {
      const message = `Cannot speak with Redis at ${this.#server}: HELLO was not understood`;
      const error = new RedisError("not_redis", message, { server: this.#server });
      return { kind: "failed", error };
    }
    this.#identity = {
      protocol: 3,
      version: respText(fields.get("version")),
      mode: respText(fields.get("mode")),
      role: respText(fields.get("role")),
    };
    return this.#select();
  }

  #authenticate(): void {
    const { username, password } = this.#settings;
    if (password === undefined) return void this.#giveName();
    // Servers before 6.0 know a password only.
    this.#send("auth", username === undefined ? ["AUTH", password] : ["AUTH", username, password]);
  }

  #giveName(): void {
    const { clientName } = this.#settings;
    if (clientName === undefined) this.#select();
    else this.#send("name", ["CLIENT", "SETNAME", clientName]);
  }

  #select(): HandshakeResult | undefined {
    const { database } = this.#settings;
    if (database !== 0) return this.#send("select", ["SELECT", `${database}`]);
    return this.#identity.protocol === 3 ? this.#done() : this.#ping();
  }

  #ping(): undefined {
    return this.#send("ping", ["PING"]);
  }

  #send(step: Step, command: RedisCommand): undefined {
    this.#step = step;
    this.#writer.append(command);
  }

  #done(): HandshakeResult {
    return { kind: "done", server: this.#identity };
  }

  #toError(reply: RespError): RedisError {
    const { password: secret, database } = this.#settings;
    const action = this.#step === "select" ? `select database ${database}` : "begin";
    return toRedisError(reply, { action, server: this.#server, secret });
  }
}
