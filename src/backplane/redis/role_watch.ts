import type { Millis } from "../../core/machine.ts";
import type { RedisCommand } from "./command_writer.ts";
import { respFields, respItems, respText, type RespValue } from "./resp.ts";

/**
 * What a server has to be. A replica delivers what is published to it, but only to those who are
 * connected with itself.
 *
 * - `master`: always one.
 * - `unchanged`: a master stays one. Behind a name or a proxy that leads to another server after a
 *   fail-over, whoever stays with the old one is not heard any more by those who come anew.
 * - `any`: the servers among themselves see to it that all is delivered.
 */
export type RoleDemand = "master" | "unchanged" | "any";

const ROLE_MS = 1_000;

/** Whether a server is what it has to be, as it tells when it is asked, every second. */
export class RoleWatch {
  readonly #demand: RoleDemand;
  #isMasterWanted: boolean;
  #isWell = false;
  #askedAt: Millis = -Infinity;

  /** Starts without a server. */
  constructor(demand: RoleDemand) {
    this.#demand = demand;
    this.#isMasterWanted = demand === "master";
  }

  /** Whether the server is known to be what it has to be. */
  get isWell(): boolean {
    return this.#isWell;
  }

  /** A server takes commands. Returns whether it may be stayed with, as far as it told its role. */
  greeted(role: string | undefined): boolean {
    this.#askedAt = -Infinity;
    if (this.#demand === "unchanged" && role === "master") this.#isMasterWanted = true;
    if (role === undefined && this.#isMasterWanted) return true;
    this.#isWell = !this.#isMasterWanted || role === "master";
    return this.#isWell;
  }

  /** It answered. Returns whether it may be stayed with. */
  answered(value: RespValue): boolean {
    const role = respFields(value)?.get("role") ?? respItems(value)?.[0];
    this.#isWell = respText(role) === "master";
    return this.#isWell;
  }

  /** The server is lost. */
  lost(): void {
    this.#isWell = false;
  }

  /** What to ask the server at this moment, if anything. */
  question(protocol: 2 | 3, now: Millis): RedisCommand | undefined {
    if (!this.#isMasterWanted || now < this.#askedAt + ROLE_MS) return undefined;
    this.#askedAt = now;
    // The greeting tells it too, and who may connect may greet.
    return protocol === 3 ? ["HELLO", "3"] : ["ROLE"];
  }
}
