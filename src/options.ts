/**
 * Checks that every constructor makes of its options: once, at the edge, with an error that
 * names the option, what it received and what it expects.
 *
 * @module
 */

/** An inclusive range of integers. */
export interface IntegerRange {
  /** Smallest value allowed. */
  readonly min: number;
  /** Largest value allowed. */
  readonly max: number;
}

/**
 * Returns `value` if it is an integer in `range`.
 *
 * @param subject What is being configured, for the message: `"mesh"`.
 * @param name The option's name.
 * @throws {TypeError} If it is no number.
 * @throws {RangeError} If it is out of range.
 */
export function requireInteger(
  subject: string,
  name: string,
  value: unknown,
  range: IntegerRange,
): number {
  const expected = `"${name}" must be an integer from ${range.min} to ${range.max}`;
  if (typeof value !== "number") throw new TypeError(refusal(subject, expected, value));
  if (!Number.isInteger(value) || value < range.min || value > range.max) {
    throw new RangeError(refusal(subject, expected, value));
  }
  return value;
}

/** Returns `value` if it is a string of at least one character. @throws {TypeError} Otherwise. */
export function requireText(subject: string, name: string, value: unknown): string {
  if (typeof value === "string" && value !== "") return value;
  throw new TypeError(refusal(subject, `"${name}" must be a string that is not empty`, value));
}

/** Returns `value` if it is `true` or `false`. @throws {TypeError} Otherwise. */
export function requireBoolean(subject: string, name: string, value: unknown): boolean {
  if (typeof value === "boolean") return value;
  throw new TypeError(refusal(subject, `"${name}" must be true or false`, value));
}

/** Refuses `value` unless it is a function, or left out. @throws {TypeError} Otherwise. */
export function requireHook(subject: string, name: string, value: unknown): void {
  if (value === undefined || typeof value === "function") return;
  throw new TypeError(refusal(subject, `"${name}" must be a function`, value));
}

/**
 * Refuses options that are not known, since a misspelt one would be ignored.
 *
 * @throws {TypeError} If there is such an option, or `options` is no object.
 */
export function requireKnown(subject: string, options: unknown, known: readonly string[]): void {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(refusal(subject, "options must be an object", options));
  }
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue;
    throw new TypeError(
      `Cannot configure ${subject}: "${name}" is not an option, expected one of ${
        known.join(", ")
      }`,
    );
  }
}

function refusal(subject: string, expected: string, value: unknown): string {
  const shown = typeof value === "string" ? JSON.stringify(value) : String(value);
  return `Cannot configure ${subject}: ${expected}, received ${shown}`;
}
