/**
 * Who is online in the channel of one client, from what its node tells.
 *
 * @module
 */

/** @typedef {{ member: string, meta?: { node?: string } }} RosterMember */

/**
 * What the server says of members: a whole roster in pieces, or what has changed.
 *
 * @typedef {{ type: "members", id: number, members?: readonly RosterMember[], more?: boolean }
 *   | { type: "presence", joined?: readonly RosterMember[], updated?: readonly RosterMember[],
 *       left?: readonly string[] }} RosterMessage
 */

/** @typedef {{ member: string, node: string }} Someone A member, and the node that it is on. */

/** @typedef {{ joined: readonly Someone[], left: readonly Someone[] }} RosterChange */

/** A roster that stays right, whatever is told twice. */
export class Roster {
  /** @type {Map<string, Someone>} */
  #members = new Map();
  /** @type {number | undefined} */
  #answer;

  /** Everybody, in the order of their names. */
  get members() {
    return [...this.#members.values()].sort((a, b) => a.member.localeCompare(b.member));
  }

  /** Forgets everybody: the client is elsewhere. */
  clear() {
    this.#members.clear();
    this.#answer = undefined;
  }

  /**
   * Takes what the server says.
   *
   * @param {RosterMessage} message
   * @returns {RosterChange} Who came and went. A roster that is told whole is no news.
   */
  apply(message) {
    if (message.type === "members") {
      if (this.#answer !== message.id) this.#members.clear();
      this.#answer = message.id;
      for (const each of message.members ?? []) this.#put(each);
      return { joined: [], left: [] };
    }
    const joined = (message.joined ?? []).filter(({ member }) => !this.#members.has(member));
    for (const each of [...message.joined ?? [], ...message.updated ?? []]) this.#put(each);
    const left = (message.left ?? []).flatMap((member) => this.#members.get(member) ?? []);
    for (const { member } of left) this.#members.delete(member);
    return { joined: joined.map(toSomeone), left };
  }

  /** @param {RosterMember} each */
  #put(each) {
    this.#members.set(each.member, toSomeone(each));
  }
}

/**
 * @param {RosterMember} each
 * @returns {Someone}
 */
function toSomeone({ member, meta }) {
  return { member, node: String(meta?.node ?? "") };
}
