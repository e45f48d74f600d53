import type { Backplane } from "../../src/backplane/backplane.ts";
import { redis, type RedisOptions } from "../../src/backplane/redis/redis_backplane.ts";
import type { BackplaneGround } from "../contract/backplane_contract.ts";
import type { RedisServer } from "./redis_server.ts";

let rooms = 0;

/** The ground of a contract test on Redis: a cluster is a prefix that no other test uses. */
export function createRedisGround(
  servers: readonly RedisServer[],
  options: RedisOptions,
  broken: { readonly options: RedisOptions; readonly says: RegExp },
): BackplaneGround {
  const channels = new Map<Backplane, string>();
  return {
    create: (seed) => {
      const channel = seed === undefined ? `room${++rooms}` : channels.get(seed)!;
      const backplane = redis({ ...options, channel });
      channels.set(backplane, channel);
      return backplane;
    },
    createBroken: () => ({ backplane: redis(broken.options), says: broken.says }),
    isOpen: async () => {
      const lists = await Promise.all(servers.map((server) => server.cli("client", "list")));
      return lists.some((list) => list.includes("name=chorus"));
    },
    fail: async () => void await Promise.all(servers.map((server) => server.kill())),
    recover: async () => void await Promise.all(servers.map((server) => server.start())),
  };
}
