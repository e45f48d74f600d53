/**
 * One item, or several: a place that mostly holds one costs no container.
 *
 * Items are objects that are no `Set`, and no item is there twice.
 *
 * @module
 */

/** One item, or a set of several. */
export type Few<Item extends object> = Item | Set<Item>;

/** Adds an item. Returns what stands there from now on. */
export function addToFew<Item extends object>(few: Few<Item> | undefined, item: Item): Few<Item> {
  if (few === undefined || few === item) return item;
  if (!(few instanceof Set)) return new Set([few, item]);
  return few.add(item);
}

/** Removes an item. Returns what stands there from now on: `undefined` if it was the last. */
export function removeFromFew<Item extends object>(
  few: Few<Item> | undefined,
  item: Item,
): Few<Item> | undefined {
  if (!(few instanceof Set)) return few === item ? undefined : few;
  few.delete(item);
  if (few.size !== 1) return few;
  const [last] = few;
  return last;
}

/** The items, to iterate over. */
export function itemsOf<Item extends object>(few: Few<Item> | undefined): Iterable<Item> {
  if (few === undefined) return [];
  return few instanceof Set ? few : [few];
}
