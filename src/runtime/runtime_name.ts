/** Whether this is Bun, whose own server is faster than the `node:http` that it has as well. */
export function isBun(): boolean {
  return "Bun" in globalThis;
}
