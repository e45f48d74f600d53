/**
 * What a runtime's test runner found: Node, Bun and Deno all write JUnit's format, each in its own
 * way. Only what they agree on is read.
 *
 * @module
 */

/** How many tests there were of each kind. */
export interface Tally {
  /** Tests that ran and held. */
  readonly passed: number;
  /** Tests that failed, and files that broke down outside of a test. */
  readonly failed: number;
  /** Tests that do not apply where they were. */
  readonly skipped: number;
}

/** A tally of nothing. */
export const EMPTY_TALLY: Tally = { passed: 0, failed: 0, skipped: 0 };

/** Adds up tallies. */
export function addTallies(tallies: readonly Tally[]): Tally {
  return tallies.reduce((sum, tally) => ({
    passed: sum.passed + tally.passed,
    failed: sum.failed + tally.failed,
    skipped: sum.skipped + tally.skipped,
  }), EMPTY_TALLY);
}

/** Returns the line that ends a run, which other programs read too. */
export function formatTally({ passed, failed, skipped }: Tally): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}

/**
 * Counts the tests of one file.
 *
 * @param junit The report in JUnit's format, or `""` when the runner wrote none.
 * @param succeeded Whether the runner itself says that all is well.
 * @returns The counts. A runner that failed without a failed test counts as one failure, and so
 *     does a file in which no test was found.
 */
export function countTests(junit: string, succeeded: boolean): Tally {
  const cases = junit.split("<testcase").slice(1);
  const failed = cases.filter((text) => /<(failure|error)\b/.test(text)).length;
  const skipped = cases.filter((text) => /<skipped\b/.test(text)).length;
  const broken = failed === 0 && (!succeeded || cases.length === 0) ? 1 : 0;
  return { passed: cases.length - failed - skipped, failed: failed + broken, skipped };
}
