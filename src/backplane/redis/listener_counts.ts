import { respItems, respText, type RespValue } from "./resp.ts";

/** How many connections listen to channels. */
export type ListenerCounts = readonly (readonly [channel: string, count: number])[];

/** Reads the answer to `PUBSUB NUMSUB` and `PUBSUB SHARDNUMSUB`: names and counts in turn. */
export function readListenerCounts(value: RespValue): ListenerCounts {
  const items = respItems(value) ?? [];
  const counts: [string, number][] = [];
  for (let index = 0; index + 1 < items.length; index += 2) {
    const channel = respText(items[index]);
    if (channel !== undefined) counts.push([channel, Number(items[index + 1])]);
  }
  return counts;
}
