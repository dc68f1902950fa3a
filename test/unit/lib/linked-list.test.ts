import fc from 'fast-check';
import { type Linked, LinkedList } from '../../../src/lib/linked-list.ts';

interface Item extends Linked<Item> {
  readonly id: number;
}
const make = (id: number): Item => ({ id, isListed: false, previous: undefined, next: undefined });

test('holds what was added and not removed, in order, in both directions', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(9), { maxLength: 60 }), (touched) => {
      const list = new LinkedList<Item>();
      const items = Array.from({ length: 10 }, (_, id) => make(id));
      let expected: Item[] = [];
      for (const id of touched) {
        const item = items[id] as Item;
        if (item.isListed) {
          list.remove(item);
          expected = expected.filter((other) => other !== item);
        } else {
          list.append(item);
          expected.push(item);
        }
        const found: Item[] = [];
        for (let at = list.first; at; at = at.next) {
          expect(at.previous).toBe(found.at(-1));
          found.push(at);
        }
        expect(found.map((each) => each.id)).toEqual(expected.map((each) => each.id));
        for (const each of items) expect(each.isListed).toBe(expected.includes(each));
      }
    }),
  );
});

test('removing what is not listed changes nothing, and a removed item holds no other', () => {
  const list = new LinkedList<Item>();
  const [one, two] = [make(1), make(2)];
  list.remove(one);
  list.append(one);
  list.append(two);
  list.remove(one);
  list.remove(one);
  expect(list.first).toBe(two);
  expect(one).toEqual(make(1));
});
