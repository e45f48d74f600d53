import type { Process } from "./process.ts";

/** A place where a node runs, one process after another, always at the same address. */
export class Machine {
  readonly name: string;
  readonly address: string;
  /** The addresses that its processes know when they start. */
  readonly seeds: readonly string[];
  /** What runs there now. */
  process: Process | undefined;
  /** Whether what happens to it by itself, such as a restart, is under way. */
  isBusy = false;

  constructor(name: string, address: string, seeds: readonly string[]) {
    this.name = name;
    this.address = address;
    this.seeds = seeds;
  }
}
