// Which tunnel goes when there are too many, against a plain model.
import fc from 'fast-check';
import {
  type Evictable,
  EvictionPlace,
  EvictionQueue,
  firstToGo,
} from '../../../src/passthrough/tunnel/eviction-queue.ts';

class Item extends EvictionPlace {
  constructor(startedMs: number) {
    super({ startedMs } as unknown as Evictable, startedMs);
  }
}

test('the oldest silent one goes first, then the oldest whose client spoke first and had no answer', () => {
  const queue = new EvictionQueue();
  const [first, second, third] = [new Item(1), new Item(2), new Item(3)];
  for (const item of [first, second, third]) queue.add(item);
  queue.spoke(first);
  expect(firstToGo([queue])).toBe(second.tunnel);
  queue.remove(second);
  queue.remove(third);
  expect(firstToGo([queue])).toBe(first.tunnel);
  queue.remove(first);
  expect(firstToGo([queue])).toBeUndefined();
});

test('of several listeners the oldest goes, and a silent one before any that spoke', () => {
  const [one, other] = [new EvictionQueue(), new EvictionQueue()];
  const [spoken, younger, older] = [new Item(1), new Item(3), new Item(2)];
  one.add(spoken);
  one.spoke(spoken);
  one.add(younger);
  other.add(older);
  expect(firstToGo([one, other])).toBe(older.tunnel);
  other.remove(older);
  expect(firstToGo([one, other])).toBe(younger.tunnel);
  one.remove(younger);
  expect(firstToGo([one, other])).toBe(spoken.tunnel);
});

test('any course of events leaves the order that a plain list would have', () => {
  const steps = fc.array(
    fc.record({ what: fc.constantFrom('add', 'add', 'spoke', 'remove'), which: fc.nat(30) }),
    { maxLength: 200 },
  );
  fc.assert(
    fc.property(steps, (events) => {
      const queue = new EvictionQueue();
      let silent: Item[] = [];
      let spoken: Item[] = [];
      const all: Item[] = [];
      for (const { what, which } of events) {
        const item = all[which % Math.max(1, all.length)];
        if (what === 'add') {
          const added = new Item(all.length);
          all.push(added);
          silent.push(added);
          queue.add(added);
        } else if (item && what === 'spoke') {
          item.queue?.spoke(item);
          if (silent.includes(item)) spoken.push(item);
          silent = silent.filter((other) => other !== item);
        } else if (item) {
          item.queue?.remove(item);
          silent = silent.filter((other) => other !== item);
          spoken = spoken.filter((other) => other !== item);
        }
        expect(queue.oldestSilent).toBe(silent[0]);
        expect(queue.oldestUnanswered).toBe(spoken[0]);
        expect(firstToGo([queue])).toBe((silent[0] ?? spoken[0])?.tunnel);
      }
      for (const item of all) item.queue?.remove(item);
      expect(firstToGo([queue])).toBeUndefined();
    }),
  );
});
