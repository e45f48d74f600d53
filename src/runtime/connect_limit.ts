import { TcpError } from "../errors.ts";
import type { TcpConnectOptions } from "./tcp.ts";

/**
 * Ends an attempt to connect when its time is over, or nobody waits for it any more.
 *
 * @param action What is tried, for the message: `"connect to 127.0.0.1:80"`.
 * @param options Its time limit, and the signal that takes it back.
 * @param fail Called once at the most, never before this function has returned.
 * @returns Lifts the limit: the attempt has succeeded, or failed by itself. Safe to call again.
 */
export function limitConnect(
  action: string,
  options: TcpConnectOptions,
  fail: (error: TcpError) => void,
): () => void {
  const { timeoutMs, signal } = options;
  const lift = (): void => {
    clearTimeout(timer);
    signal?.removeEventListener("abort", cancel);
  };
  const end = (code: "timed_out" | "cancelled", why: string): void => {
    lift();
    fail(new TcpError(code, `Cannot ${action}: ${why}`));
  };
  const cancel = (): void => end("cancelled", "it was taken back");
  const timer = setTimeout(() => end("timed_out", `${timeoutMs} ms are over`), timeoutMs);
  if (signal?.aborted === true) queueMicrotask(cancel);
  else signal?.addEventListener("abort", cancel);
  return lift;
}
