import type { Tcp } from "./tcp.ts";

/** Loads the TCP adapter of the runtime that this code runs on, and only that one. */
export async function loadTcp(): Promise<Tcp> {
  if ("Deno" in globalThis) return (await import("./tcp_deno.ts")).tcp;
  if ("Bun" in globalThis) return (await import("./tcp_bun.ts")).tcp;
  return (await import("./tcp_node.ts")).tcp;
}
