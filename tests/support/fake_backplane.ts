import type {
  Backplane,
  BackplaneHandler,
  BackplaneStart,
  BackplaneStats,
} from "../../src/backplane/backplane.ts";
import type { NodeId } from "../../src/core/node.ts";

/** A backplane that reaches nobody, and is as the test says. */
export class FakeBackplane implements Backplane {
  readonly name: string;
  readonly expectsPeers = false;
  readonly lossNoticeMs = 0;
  /** Takes what the test reports, once it was started. */
  handler!: BackplaneHandler;
  /** The channels that were asked of it. */
  readonly channels: Set<string> = new Set();
  hasStopped: boolean = false;
  readonly #start: Promise<BackplaneStart>;

  /** `start` is what its start comes to. */
  constructor(name: string, start: BackplaneStart | Promise<BackplaneStart>) {
    this.name = name;
    this.#start = Promise.resolve(start);
  }

  start(_id: NodeId, _name: string, handler: BackplaneHandler): Promise<BackplaneStart> {
    this.handler = handler;
    return this.#start;
  }

  send(): void {}

  subscribe(channel: string): void {
    this.channels.add(channel);
  }

  unsubscribe(channel: string): void {
    this.channels.delete(channel);
  }

  rebuild(): void {}

  discover(): void {}

  stats(): BackplaneStats {
    return {};
  }

  stop(): Promise<void> {
    this.hasStopped = true;
    return Promise.resolve();
  }
}
