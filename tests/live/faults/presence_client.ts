import { type ServerMessage, TestClient } from "../../support/client.ts";
import { RawClient } from "../../support/raw_client.ts";
import type { Endpoint } from "./load_client.ts";
import type { Sighting, Visit } from "./presence_evidence.ts";

/** How a client takes part in presence. */
export interface PresenceClientOptions {
  /** Its name. */
  readonly name: string;
  /** As whom it joins on a node. */
  readonly memberOn: (node: string) => string;
  /** Whether it joins once, stays, and sees who else is there. Otherwise it comes and goes. */
  readonly isResident: boolean;
  /** Tells where to connect: first, and each time that a connection is over, until there is none. */
  readonly findEndpoint: () => Endpoint | undefined;
  /** Where to write down its visits. */
  readonly visits: Visit[];
}

interface Shown {
  readonly member: string;
  readonly meta: string;
}

const CHANNEL = "lobby";
const RECONNECT_MS = 50;

/** A real WebSocket client that is a member, and writes down where it was and whom it saw. */
export class PresenceClient {
  readonly #options: PresenceClientOptions;
  readonly #over: Promise<void>;
  #client: TestClient | undefined;
  #visit: Visit | undefined;
  #isWaiting = false;
  #turn = 0;
  #isOver = false;
  #isClosed = false;
  #confirm: () => void = () => {};
  #onThere: () => void = () => {};

  /** Begins to connect. */
  constructor(options: PresenceClientOptions) {
    this.#options = options;
    this.#over = this.#live();
  }

  /** Resolves when its first join has been confirmed. */
  whenThere(): Promise<void> {
    return new Promise((resolve) => this.#onThere = resolve);
  }

  /** Whether it waits for a connection, or for an answer. */
  get isBusy(): boolean {
    return !this.#isOver && (this.#visit === undefined || this.#isWaiting);
  }

  /** Joins, changes its metadata or leaves: the next of them, if it can at this moment. */
  move(): void {
    const visit = this.#visit;
    if (visit === undefined || this.#isWaiting || this.#options.isResident) return;
    const turn = this.#turn++;
    if (visit.meta === undefined) this.#join(visit, false);
    else if (turn % 3 === 0) this.#ask(visit, { type: "leave" }, undefined);
    else {
      const meta = `${visit.id} ${turn}`;
      this.#ask(visit, { type: "update", meta }, meta);
    }
  }

  /** Ends it. What it wrote down stays as it is. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#client?.destroy();
    await this.#over;
  }

  async #live(): Promise<void> {
    for (;;) {
      const endpoint = this.#isClosed ? undefined : this.#options.findEndpoint();
      this.#isOver = endpoint === undefined;
      if (endpoint === undefined) return;
      try {
        await this.#connect(endpoint);
      } catch {
        // The node is gone, or goes; the next attempt finds another one.
      }
      this.#client?.destroy();
      // After the client was closed nothing is evidence any more.
      if (this.#visit !== undefined && !this.#isClosed) this.#visit.closedAt = performance.now();
      this.#visit = undefined;
      await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS));
    }
  }

  async #connect(endpoint: Endpoint): Promise<void> {
    const client = this.#client = new TestClient(await RawClient.connect(endpoint));
    if (this.#isClosed) client.destroy();
    const { node } = await client.next("welcome");
    const { name, memberOn, isResident, visits } = this.#options;
    const id = `${name}.${visits.filter((each) => each.id.startsWith(`${name}.`)).length}`;
    const visit: Visit = {
      id,
      member: memberOn(String(node)),
      node: String(node),
      isResident,
      meta: undefined,
      closedAt: undefined,
      sightings: [],
      errors: [],
    };
    visits.push(visit);
    this.#visit = visit;
    this.#join(visit, isResident);
    for (;;) this.#take(visit, await client.until(() => true));
  }

  #join(visit: Visit, follow: boolean): void {
    const { id: meta, member } = visit;
    this.#ask(visit, { type: "join", member, meta, follow }, meta);
  }

  #ask(visit: Visit, message: Record<string, unknown>, meta: string | undefined): void {
    this.#isWaiting = true;
    this.#confirm = () => visit.meta = meta;
    this.#client?.send({ ...message, channel: CHANNEL, id: 1 });
  }

  #take(visit: Visit, message: ServerMessage): void {
    const at = performance.now();
    const see = (kind: Sighting["kind"], shown: readonly Shown[] = []): void => {
      for (const { member, meta } of shown) visit.sightings.push({ kind, member, meta, at });
    };
    const { type, joined, updated, left } = message as unknown as Told;
    if (type === "presence") {
      see("left", left?.map((member) => ({ member, meta: "" })));
      see("joined", joined);
      see("updated", updated);
    } else if (message.id === 1) {
      if (type === "error") visit.errors.push(`${message.code}: ${message.message}`);
      else this.#confirm();
      if (type === "joined" && visit.isResident) {
        see("there", message.members as readonly Shown[]);
      }
      this.#isWaiting = false;
      this.#onThere();
    }
  }
}

interface Told {
  readonly type: string;
  readonly joined?: readonly Shown[];
  readonly updated?: readonly Shown[];
  readonly left?: readonly string[];
}
