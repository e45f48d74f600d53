import { NODE_NAME_BYTES_MAX } from "./core/limits.ts";

const NODE_NAME = /^[A-Za-z0-9._-]+$/;

/**
 * Returns `value` if it can name a node.
 *
 * @param subject What is being configured, for the message.
 * @param option The option's name.
 * @throws {TypeError} Otherwise.
 */
export function requireNodeName(subject: string, option: string, value: unknown): string {
  const isName = typeof value === "string" && value.length <= NODE_NAME_BYTES_MAX &&
    NODE_NAME.test(value);
  if (isName) return value;
  throw new TypeError(
    `Cannot configure ${subject}: "${option}" must be 1 to ${NODE_NAME_BYTES_MAX} letters, ` +
      `digits, ".", "_" or "-", received ${JSON.stringify(value)}`,
  );
}
