const TIME_LIMIT_MS = 20_000;
const LOOK_MS = 20;

/**
 * Waits until something is so.
 *
 * @param what What is waited for, for the message.
 * @param isSo Looks at it.
 * @param timeLimitMs How long to wait. Default: 20 s.
 * @throws {Error} If it does not come about in time.
 */
export async function until(
  what: string,
  isSo: () => boolean | Promise<boolean>,
  timeLimitMs: number = TIME_LIMIT_MS,
): Promise<void> {
  const giveUpAt = performance.now() + timeLimitMs;
  while (!await isSo()) {
    if (performance.now() > giveUpAt) throw new Error(`Not within ${timeLimitMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}
