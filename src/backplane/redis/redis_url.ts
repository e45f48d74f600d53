/** What the address of a Redis server tells. */
export interface RedisUrl {
  /** The server's name or address, IPv6 without brackets. */
  readonly host: string | undefined;
  /** The server's port. */
  readonly port: number | undefined;
  /** The server's Unix socket. */
  readonly path: string | undefined;
  /** The user name. */
  readonly username: string | undefined;
  /** The password. */
  readonly password: string | undefined;
  /** The database. */
  readonly database: number | undefined;
  /** `true` where TLS is asked for. */
  readonly isTls: true | undefined;
}

const FORM = "redis://user:password@host:port, rediss://host:port or unix:///path/to/socket";
const ESCAPES =
  "in a user name or a password other characters than letters and digits are written " +
  "as encodeURIComponent() does";
const DATABASE_PATTERN = /^\/?$|^\/\d{1,7}$/;

/**
 * Reads `redis://`, `rediss://` and `unix://`.
 *
 * The message never shows the address: it may hold a password.
 *
 * @throws {TypeError} If it is none of these.
 */
export function parseRedisUrl(text: string): RedisUrl {
  const url = typeof text === "string" ? tryParse(text) : undefined;
  if (url === undefined) throw refusal(`what was received cannot be read; ${ESCAPES}`);
  const { protocol, pathname } = url;
  const secrets = {
    username: decode("user name", url.username),
    password: decode("password", url.password),
  };
  // What follows may be the end of a password, so it is not shown.
  if (url.search !== "") throw refusal(`no options may follow behind a "?"; ${ESCAPES}`);
  if (url.hash !== "") throw refusal(`nothing may follow behind a "#"; ${ESCAPES}`);
  if (protocol === "unix:") {
    const path = decode("path", pathname);
    if (path === undefined || url.hostname !== "") throw refusal("a socket needs a full path");
    return { ...NOWHERE, ...secrets, path };
  }
  if (protocol !== "redis:" && protocol !== "rediss:") throw refusal(`received ${protocol}//`);
  if (!DATABASE_PATTERN.test(pathname)) {
    throw refusal(`only the number of a database may follow behind the host's "/"; ${ESCAPES}`);
  }
  return {
    ...secrets,
    host: decode("host", url.hostname.replace(/^\[(.*)\]$/, "$1")),
    port: url.port === "" ? undefined : Number(url.port),
    path: undefined,
    database: pathname.length > 1 ? Number(pathname.slice(1)) : undefined,
    isTls: protocol === "rediss:" ? true : undefined,
  };
}

const NOWHERE = { host: undefined, port: undefined, database: undefined, isTls: undefined };

function tryParse(text: string): URL | undefined {
  try {
    return new URL(text);
  } catch {
    // The constructor's way to say that it is none, in words that would repeat a password.
    return undefined;
  }
}

function decode(name: string, text: string): string | undefined {
  if (text === "") return undefined;
  try {
    return decodeURIComponent(text);
  } catch {
    throw refusal(`its ${name} has a "%" that is not followed by two hexadecimal digits`);
  }
}

function refusal(why: string): TypeError {
  return new TypeError(`Cannot configure redis: "url" must be ${FORM}: ${why}`);
}
