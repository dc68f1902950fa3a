// A doubly linked list threaded through its items, so that adding and removing one allocates nothing. An item belongs to one
// list at a time.

/** What an item carries for its list, which owns it. */
export interface Linked<Item> {
  isListed: boolean;
  previous: Item | undefined;
  next: Item | undefined;
}

export class LinkedList<Item extends Linked<Item>> {
  #first: Item | undefined;
  #last: Item | undefined;

  get first(): Item | undefined {
    return this.#first;
  }

  /** Adds an item that is not listed, at the end. */
  append(item: Item): void {
    const last = this.#last;
    item.isListed = true;
    item.next = undefined;
    item.previous = last;
    if (last) last.next = item;
    else this.#first = item;
    this.#last = item;
  }

  /** Does nothing when the item is not listed. */
  remove(item: Item): void {
    if (!item.isListed) return;
    const { previous, next } = item;
    if (previous) previous.next = next;
    else this.#first = next;
    if (next) next.previous = previous;
    else this.#last = previous;
    item.isListed = false;
    item.previous = undefined;
    item.next = undefined;
  }
}
