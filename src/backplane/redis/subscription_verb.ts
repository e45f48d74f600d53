/** What is done about channels. The ones with an S in front are about sharded channels. */
export type SubscriptionVerb = "SUBSCRIBE" | "UNSUBSCRIBE" | "SSUBSCRIBE" | "SUNSUBSCRIBE";

/** Whether it is about sharded channels. */
export function isShardedVerb(verb: string): boolean {
  return verb === "SSUBSCRIBE" || verb === "SUNSUBSCRIBE";
}
