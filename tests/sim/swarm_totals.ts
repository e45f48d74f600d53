import type { SimulationResult } from "./simulation.ts";

const HOUR_MS = 3_600_000;

/** What many runs came to. */
export class SwarmTotals {
  seeds = 0;
  virtualMs = 0;
  published = 0;
  delivered = 0;
  gaps = 0;
  memberChanges = 0;
  injected = 0;
  events = 0;
  readonly failed: number[] = [];
  readonly #startedAt = performance.now();

  /** Counts one run. */
  add(result: SimulationResult): void {
    this.seeds++;
    this.virtualMs += result.virtualMs;
    this.published += result.published;
    this.delivered += result.delivered;
    this.gaps += result.gaps;
    this.memberChanges += result.memberChanges;
    this.injected += result.injected;
    this.events += result.events;
    if (result.faults.length > 0) this.failed.push(result.seed);
  }

  /** Real time since the first run, in ms. */
  get elapsedMs(): number {
    return performance.now() - this.#startedAt;
  }
}

/** One line for people. */
export function formatTotals(totals: SwarmTotals): string {
  const { seeds, virtualMs, published, delivered, gaps, memberChanges, injected, events, failed } =
    totals;
  const verdict = failed.length === 0 ? "all held" : `FAILED: ${failed.join(" ")}`;
  return `${seeds} seeds in ${(totals.elapsedMs / 1_000).toFixed(1)} s: ` +
    `${(virtualMs / HOUR_MS).toFixed(2)} virtual hours, ${published} messages published, ` +
    `${delivered} delivered, ${gaps} gaps, ${memberChanges} changes of members told, ` +
    `${injected} faults injected, ${events} events; ${verdict}`;
}
