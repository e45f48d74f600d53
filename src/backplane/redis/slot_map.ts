import type { HostPort } from "../mesh/address.ts";
import { SLOT_COUNT } from "./key_slot.ts";
import { respFields, respItems, respText, type RespValue } from "./resp.ts";

/** Which server of a Redis Cluster is in charge of which slots. */
export interface SlotMap {
  /** The servers in charge of any slot. */
  readonly masters: readonly HostPort[];
  /** All servers that are well, which can all tell how the Cluster is: the masters first. */
  readonly servers: readonly HostPort[];
  /** The same for two maps that say the same. */
  readonly digest: string;
  /** The server in charge of a slot, or `undefined` if none is. */
  masterOf(slot: number): HostPort | undefined;
}

interface Shard {
  readonly master: HostPort | undefined;
  readonly others: readonly HostPort[];
  /** First and last slot of each range. */
  readonly ranges: readonly (readonly [first: number, last: number])[];
}

/**
 * Reads the answer to `CLUSTER SHARDS`.
 *
 * @param asked The server that answered: it stands where one does not know its own name.
 * @param isTls Whether the ports for TLS are wanted.
 * @returns `undefined` if it cannot be read.
 */
export function readShards(
  reply: RespValue,
  asked: HostPort,
  isTls: boolean,
): SlotMap | undefined {
  const shards = respItems(reply)?.map((value) => readShard(value, asked, isTls));
  if (shards === undefined || shards.includes(undefined)) return undefined;
  return createSlotMap(shards as Shard[]);
}

/** Reads the answer to `CLUSTER SLOTS`, which servers before 7.0 have instead. */
export function readSlots(reply: RespValue, asked: HostPort): SlotMap | undefined {
  const shards = respItems(reply)?.map((value) => readSlotRange(value, asked));
  if (shards === undefined || shards.includes(undefined)) return undefined;
  return createSlotMap(shards as Shard[]);
}

function readSlotRange(value: RespValue, asked: HostPort): Shard | undefined {
  const [first, last, ...nodes] = respItems(value) ?? [];
  if (typeof first !== "number" || typeof last !== "number") return undefined;
  const [master, ...others] = nodes.map((node) => {
    const [host, port] = respItems(node) ?? [];
    return readPlace(respText(host), port, asked);
  });
  return { master, others: others.filter((place) => place !== undefined), ranges: [[first, last]] };
}

function readShard(value: RespValue, asked: HostPort, isTls: boolean): Shard | undefined {
  const fields = respFields(value);
  const slots = respItems(fields?.get("slots"));
  const nodes = respItems(fields?.get("nodes"));
  if (slots === undefined || nodes === undefined) return undefined;
  let master: HostPort | undefined;
  const others: HostPort[] = [];
  for (const node of nodes) {
    const told = respFields(node);
    if (respText(told?.get("health")) !== "online") continue;
    const host = respText(told?.get("endpoint")) ?? respText(told?.get("ip"));
    const place = readPlace(host, told?.get(isTls ? "tls-port" : "port"), asked);
    if (place === undefined) continue;
    if (respText(told?.get("role")) === "master") master = place;
    else others.push(place);
  }
  const ranges: [number, number][] = [];
  for (let index = 0; index + 1 < slots.length; index += 2) {
    ranges.push([Number(slots[index]), Number(slots[index + 1])]);
  }
  return { master, others, ranges };
}

// A server that does not know its own name leaves it empty, or says "?".
function readPlace(
  host: string | undefined,
  port: RespValue | undefined,
  asked: HostPort,
): HostPort | undefined {
  if (typeof port !== "number" || port < 1) return undefined;
  const isKnown = host !== undefined && host !== "" && host !== "?";
  return { hostname: isKnown ? host : asked.hostname, port };
}

function createSlotMap(shards: readonly Shard[]): SlotMap {
  const owners: (HostPort | undefined)[] = new Array(SLOT_COUNT).fill(undefined);
  const masters = new Map<string, HostPort>();
  const servers = new Map<string, HostPort>();
  for (const { master, ranges } of shards) {
    if (master === undefined) continue;
    const name = `${master.hostname} ${master.port}`;
    const place = masters.get(name) ?? master;
    servers.set(name, place);
    if (ranges.length > 0) masters.set(name, place);
    for (const [first, last] of ranges) owners.fill(place, first, last + 1);
  }
  for (const { others } of shards) {
    for (const place of others) servers.set(`${place.hostname} ${place.port}`, place);
  }
  const digest = shards.map(({ master, ranges }) => {
    return `${master?.hostname} ${master?.port} ${ranges.join(" ")}`;
  });
  return {
    digest: digest.sort().join("; "),
    masters: [...masters.values()],
    servers: [...servers.values()],
    masterOf: (slot) => owners[slot],
  };
}
