// Holds the current snapshot and tells its subscribers. Publishing is one assignment.
import type { Snapshot, SnapshotSource } from '../model/snapshot.ts';
import { isSameSnapshot } from './snapshot.ts';

type Listener = (next: Snapshot, previous: Snapshot) => void;

export class SnapshotPublisher implements SnapshotSource {
  #current: Snapshot = { version: 0, atMs: 0, endpoints: [], candidates: [], usableCount: 0 };
  readonly #listeners = new Set<Listener>();

  get current(): Snapshot {
    return this.#current;
  }

  subscribe(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Makes the next snapshot and publishes it if it shows anything new. */
  publish(make: (version: number) => Snapshot): void {
    const previous = this.#current;
    const next = make(previous.version + 1);
    if (isSameSnapshot(previous, next)) return;
    this.#current = next;
    for (const listener of this.#listeners) listener(next, previous);
  }
}
