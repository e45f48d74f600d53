import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import { createServer } from "node:net";
import { test } from "node:test";
import {
  RedisClient,
  type RedisClientOptions,
  type RedisClientState,
} from "../../../src/backplane/redis/redis_client.ts";
import { respText } from "../../../src/backplane/redis/resp.ts";
import { RedisError, type RedisErrorCode, TcpError } from "../../../src/errors.ts";
import { AUTHORITY, OTHER_AUTHORITY } from "../../support/certificate.ts";
import {
  type RedisServer,
  type RedisServerOptions,
  skipWithoutRedis,
  withRedis,
} from "../../support/redis_server.ts";

const REAL = { skip: skipWithoutRedis };
const WAIT_LIMIT_MS = 10_000;
const DEBUG = ["--enable-debug-command", "local"];
const SECRET = "pa$$word";

/** A client under test, and what it told. */
class Subject {
  readonly client: RedisClient;
  readonly states: RedisClientState[] = [];
  readonly heard: string[] = [];
  #notify: () => void = () => {};

  constructor(options: RedisClientOptions) {
    const onState = (state: RedisClientState): void => {
      this.states.push(state);
      this.#notify();
    };
    this.client = new RedisClient({ reconnectMinMs: 10, reconnectMaxMs: 100, ...options, onState });
  }

  /** Listens to a channel. Resolves when the server has confirmed it. */
  listen(channel: string): Promise<void> {
    return this.client.subscribe(channel, (payload) => {
      this.heard.push(new TextDecoder().decode(payload));
      this.#notify();
    });
  }

  /** Waits until something is so, looking again whenever something happens. */
  async until(what: string, isSo: () => boolean): Promise<void> {
    const end = performance.now() + WAIT_LIMIT_MS;
    while (!isSo()) {
      ok(performance.now() < end, `not ${what}: ${JSON.stringify(this.states)} ${this.heard}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 500);
        this.#notify = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  hears(text: string): Promise<void> {
    return this.until(`hearing ${text}`, () => this.heard.includes(text));
  }

  goesDown(code: RedisErrorCode): Promise<void> {
    return this.until(`down by ${code}`, () => this.downs().includes(code));
  }

  downs(): RedisErrorCode[] {
    return this.states.flatMap((state) => state.kind === "down" ? [state.error.code] : []);
  }

  ups(): number {
    return this.states.filter(({ kind }) => kind === "up").length;
  }
}

type Connect = (options?: Partial<RedisClientOptions>) => Subject;

/** Runs a test's body with a server, and clients that are closed after it. */
function withClients(
  options: RedisServerOptions,
  body: (connect: Connect, server: RedisServer) => Promise<void>,
): Promise<void> {
  return withRedis(options, async (server) => {
    const subjects: Subject[] = [];
    const connect: Connect = (more = {}) => {
      const address = { hostname: "127.0.0.1", port: server.port };
      const subject = new Subject({ address, ...more });
      subjects.push(subject);
      return subject;
    };
    try {
      await body(connect, server);
    } finally {
      await Promise.all(subjects.map(({ client }) => client.close()));
    }
  });
}

function hasCode(code: RedisErrorCode, says?: RegExp): (error: unknown) => boolean {
  return (error) => {
    ok(error instanceof RedisError, `${error}`);
    strictEqual(error.code, code, error.message);
    if (says !== undefined) match(error.message, says);
    ok(!`${error.message}${error.stack}`.includes(SECRET), "a password is shown");
    return true;
  };
}

test("a client speaks RESP3, and any bytes come back as they are", REAL, async () => {
  await withClients({}, async (connect) => {
    const { client } = connect({ clientName: "chorus-test" });
    const server = await client.ready;
    deepStrictEqual([server.protocol, server.role], [3, "master"]);
    match(server.version ?? "", /^\d+\.\d+/);
    const bytes = Uint8Array.from({ length: 300_000 }, (_, index) => index * 7);
    strictEqual(await client.send("SET", "key", bytes), "OK");
    deepStrictEqual(await client.send("GET", "key"), bytes);
    strictEqual(respText(await client.send("CLIENT", "GETNAME")), "chorus-test");
    deepStrictEqual(await client.send("HGETALL", "none"), await client.send("HGETALL", "none"));
  });
});

test("a subscription hears what is published after its confirmation, in order", REAL, async () => {
  await withClients({}, async (connect) => {
    const subscriber = connect();
    const { client: publisher } = connect();
    await subscriber.listen("news");
    const texts = Array.from({ length: 5_000 }, (_, index) => `message ${index}`);
    const counts = await Promise.all(texts.map((text) => publisher.publish("news", text)));
    deepStrictEqual(new Set(counts), new Set([1]));
    await subscriber.hears("message 4999");
    deepStrictEqual(subscriber.heard, texts);
    subscriber.client.unsubscribe("news");
    await subscriber.client.send("PING");
    strictEqual(await publisher.publish("news", "nobody"), 0);
  });
});

test("commands of one tick are answered in order, errors among them", REAL, async () => {
  await withClients({}, async (connect) => {
    const { client } = connect();
    const results = await Promise.allSettled(
      Array.from({ length: 1_000 }, (_, index) => {
        return index % 3 === 0 ? client.send("NONSENSE", `${index}`) : client.send("INCR", "n");
      }),
    );
    let count = 0;
    for (const [index, result] of results.entries()) {
      if (index % 3 === 0) {
        ok(result.status === "rejected" && hasCode("server_error", /NONSENSE/)(result.reason));
      } else ok(result.status === "fulfilled" && result.value === ++count);
    }
  });
});

test("a user of the access list may do what it is granted, and nothing else", REAL, async () => {
  await withClients({}, async (connect, server) => {
    await server.cli(
      ...["ACL", "SETUSER", "app", "on", `>${SECRET}`, "resetchannels", "&chorus:*"],
      ...["-@all", "+publish", "+subscribe", "+ping"],
    );
    for (const protocol of [2, 3] as const) {
      const app = connect({ username: "app", password: SECRET, clientName: "app", protocol });
      strictEqual((await app.client.ready).protocol, protocol);
      await rejects(app.client.send("GET", "x"), hasCode("no_permission", /'get'/));
      await rejects(app.client.publish("other", "x"), hasCode("no_permission", /channel/));
      await rejects(app.listen("other"), hasCode("no_permission", /channel/));
      await app.listen("chorus:news");
    }
  });
});

test("a wrong password, and none where one is wanted, are told apart", REAL, async () => {
  await withClients({ password: SECRET }, async (connect) => {
    await connect({ password: SECRET }).client.ready;
    await connect({ password: SECRET, protocol: 2 }).client.ready;
    for (const protocol of [2, 3] as const) {
      const wrong = connect({ username: "default", password: "pa$$wor", protocol });
      await rejects(wrong.client.ready, hasCode("auth_failed", /WRONGPASS/));
      await rejects(connect({ protocol }).client.ready, hasCode("auth_required", /NOAUTH/));
      await rejects(connect({ protocol, clientName: "a" }).client.ready, hasCode("auth_required"));
    }
  });
});

test(
  "a database is selected on every connection, and one that is not there is told",
  REAL,
  async () => {
    await withClients({}, async (connect, server) => {
      const subject = connect({ database: 5 });
      await subject.client.send("SET", "where", "five");
      await server.cli("CLIENT", "KILL", "TYPE", "normal");
      strictEqual(respText(await retry(() => subject.client.send("GET", "where"))), "five");
      strictEqual(await server.cli("-n", "5", "GET", "where"), "five");
      await rejects(connect({ database: 99 }).client.ready, hasCode("server_error", /database 99/));
    });
  },
);

test("a client speaks over a Unix socket", REAL, async () => {
  await withClients({}, async (connect, server) => {
    const subject = connect({ address: { path: server.path } });
    await subject.listen("news");
    strictEqual(await connect().client.publish("news", "over the socket"), 1);
    await subject.hears("over the socket");
  });
});

test(
  "a client speaks TLS, and refuses a certificate that it has no reason to trust",
  REAL,
  async () => {
    await withClients({ isTls: true }, async (connect) => {
      const subject = connect({ tls: { ca: AUTHORITY } });
      await subject.listen("news");
      strictEqual(await connect({ tls: { ca: AUTHORITY } }).client.publish("news", "secret"), 1);
      await subject.hears("secret");
      const wary = connect({ tls: { ca: OTHER_AUTHORITY } });
      await wary.goesDown("connect_failed");
      const [down] = wary.states;
      ok(down?.kind === "down" && down.error.cause instanceof TcpError);
      strictEqual(down.error.cause.code, "tls_failed");
    });
  },
);

test(
  "a server without HELLO is spoken to in RESP2, user, name and subscriptions included",
  REAL,
  async () => {
    const flags = ["--rename-command", "HELLO", ""];
    await withClients({ password: SECRET, flags }, async (connect, server) => {
      const subject = connect({ password: SECRET, clientName: "old-way", database: 2 });
      strictEqual((await subject.client.ready).protocol, 2);
      match(await server.cli("CLIENT", "LIST"), /name=old-way.* db=2/);
      await subject.listen("news");
      const { client: publisher } = connect({ password: SECRET });
      await Promise.all(["a", "b", "c"].map((text) => publisher.publish("news", text)));
      await subject.hears("c");
      await rejects(subject.client.send("GET", "x"), hasCode("server_error", /in this context/));
      await subject.client.send("PING");
      subject.client.unsubscribe("news");
      strictEqual(respText(await subject.client.send("ECHO", "again")), "again");
    });
  },
);

test("a client that the server kicks out comes back, with its subscriptions", REAL, async () => {
  for (const protocol of [2, 3] as const) {
    await withClients({}, async (connect, server) => {
      const subject = connect({ protocol });
      await subject.listen("news");
      await server.cli("CLIENT", "KILL", "TYPE", "pubsub");
      await subject.goesDown("connection_lost");
      await subject.until("up again", () => subject.ups() === 2);
      await untilHeard(subject, server);
    });
  }
});

test(
  "what was sent to a server that is killed fails, what comes later waits for the next one",
  REAL,
  async () => {
    await withClients({ flags: DEBUG }, async (connect, server) => {
      const subject = connect();
      await subject.listen("news");
      const sent = rejects(subject.client.send("DEBUG", "SLEEP", "30"), hasCode("connection_lost"));
      await new Promise((resolve) => setImmediate(resolve));
      await Promise.all([sent, server.kill()]);
      await subject.goesDown("connect_failed");
      const later = subject.client.send("ECHO", "later");
      await server.start();
      strictEqual(respText(await later), "later");
      await untilHeard(subject, server);
    });
  },
);

test(
  "a server that stands still is found out, and spoken to again when it moves",
  REAL,
  async () => {
    await withClients({}, async (connect, server) => {
      const settings = { pingIntervalMs: 200, commandTimeoutMs: 300, handshakeTimeoutMs: 300 };
      const subject = connect(settings);
      await subject.listen("news");
      server.signal("SIGSTOP");
      const start = performance.now();
      await subject.goesDown("timed_out");
      ok(performance.now() - start < 3_000);
      const lost = subject.client.send("ECHO", "waits");
      server.signal("SIGCONT");
      strictEqual(respText(await lost), "waits");
      await untilHeard(subject, server);
    });
  },
);

test("a pause shorter than the time limit delays answers and breaks nothing", REAL, async () => {
  await withClients({ flags: DEBUG }, async (connect, server) => {
    const subject = connect();
    await subject.client.ready;
    await server.cli("CLIENT", "PAUSE", "300", "ALL");
    strictEqual(respText(await subject.client.send("ECHO", "late")), "late");
    const asleep = server.cli("DEBUG", "SLEEP", "0.3");
    strictEqual(respText(await subject.client.send("ECHO", "later")), "later");
    await asleep;
    deepStrictEqual([subject.ups(), subject.downs()], [1, []]);
  });
});

test(
  "a pause longer than the time limit ends the connection, and the next one works",
  REAL,
  async () => {
    await withClients({}, async (connect, server) => {
      const subject = connect({ commandTimeoutMs: 200, handshakeTimeoutMs: 400 });
      await subject.client.ready;
      await server.cli("CLIENT", "PAUSE", "1000", "ALL");
      await rejects(subject.client.send("ECHO", "lost"), hasCode("timed_out", /ECHO/));
      strictEqual(respText(await retry(() => subject.client.send("ECHO", "new"))), "new");
    });
  },
);

test("a server that loads its data says so, and the connection stays", REAL, async () => {
  const flags = [...DEBUG, "--key-load-delay", "1000", "--loading-process-events-interval-bytes"];
  await withClients({ flags: [...flags, "1024"] }, async (connect, server) => {
    const subject = connect();
    const value = "x".repeat(200);
    await subject.client.send(
      "MSET",
      ...Array.from({ length: 1_500 }, (_, index) => [`k${index}`, value]).flat(),
    );
    const reloaded = server.cli("DEBUG", "RELOAD");
    await rejects(async () => {
      for (;;) await subject.client.send("GET", "k1");
    }, hasCode("loading", /LOADING/));
    await reloaded;
    deepStrictEqual([subject.ups(), subject.downs()], [1, []]);
  });
});

test("a replica takes no writes, and says so", REAL, async () => {
  const flags = ["--replicaof", "127.0.0.1", "1"];
  await withClients({ flags }, async (connect) => {
    const { client } = connect();
    strictEqual((await client.ready).role, "replica");
    await rejects(client.send("SET", "a", "b"), hasCode("read_only", /READONLY/));
  });
});

test(
  "a server that is full turns a client away, and takes it when there is room",
  REAL,
  async () => {
    await withClients({ flags: ["--maxclients", "1"] }, async (connect) => {
      const first = connect();
      await first.client.ready;
      const second = connect();
      await second.goesDown("refused");
      await first.client.close();
      await second.client.ready;
    });
  },
);

test("what is not Redis is told apart from a server that is not there", async () => {
  const web = createServer((socket) => {
    socket.on("error", () => {}).resume();
    socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
  });
  await new Promise<void>((resolve) => web.listen(0, "127.0.0.1", resolve));
  const bound = web.address();
  const port = typeof bound === "object" ? bound?.port ?? 0 : 0;
  const subject = new Subject({ address: { hostname: "127.0.0.1", port } });
  await rejects(subject.client.ready, hasCode("not_redis", /HTTP/));
  await new Promise((resolve) => web.close(resolve));
  await subject.goesDown("connect_failed");
  const down = subject.states.at(-1);
  ok(down?.kind === "down" && down.error.cause instanceof TcpError);
  strictEqual(down.error.cause.code, "refused");
  await subject.client.close();
  await rejects(subject.client.send("PING"), hasCode("closed"));
  await rejects(subject.listen("news"), hasCode("closed"));
});

test("close sends what was asked for in the same tick, and may be called again", REAL, async () => {
  await withClients({}, async (connect, server) => {
    const listener = connect();
    await listener.listen("news");
    const { client } = connect();
    await client.ready;
    const last = rejects(client.publish("news", "last words"), hasCode("closed"));
    await Promise.all([client.close(), client.close(), last]);
    await listener.hears("last words");
    ok(server.pid > 0);
  });
});

// What fails because a connection has just ended may well succeed on the next one.
async function retry<Value>(run: () => Promise<Value>): Promise<Value> {
  for (let attempt = 1;; attempt++) {
    try {
      return await run();
    } catch (error) {
      const code = error instanceof RedisError ? error.code : undefined;
      if (attempt === 10 || (code !== "connection_lost" && code !== "timed_out")) throw error;
    }
  }
}

// Redis forgets what nobody listens to, so it is said again until it is heard.
async function untilHeard(subject: Subject, server: RedisServer): Promise<void> {
  const start = subject.heard.length;
  const end = performance.now() + WAIT_LIMIT_MS;
  while (subject.heard.length === start) {
    ok(performance.now() < end, `deaf: ${JSON.stringify(subject.states)}`);
    await server.cli("PUBLISH", "news", "again");
  }
}
