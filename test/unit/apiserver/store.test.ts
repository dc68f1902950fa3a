import { Store, type StoreEvent } from '../../support/apiserver/store.ts';

function named(name: string) {
  return { metadata: { name } };
}

describe('the store', () => {
  test('counts one revision for all keys', async () => {
    const store = new Store({ firstRevision: 10 });
    expect(await store.put('/a/1', named('one'))).toMatchObject({ ok: true, revision: 11 });
    expect(await store.put('/b/1', named('two'))).toMatchObject({ ok: true, revision: 12 });
    expect(await store.delete('/a/1')).toMatchObject({ ok: true, revision: 13 });
    expect(await store.revision()).toBe(13);
  });

  test('refuses a put that expects something else', async () => {
    const store = new Store({ firstRevision: 10 });
    expect(await store.put('/a', named('a'), { expect: 'present' })).toMatchObject({ reason: 'missing' });
    await store.put('/a', named('a'), { expect: 'absent' });
    expect(await store.put('/a', named('a'), { expect: 'absent' })).toMatchObject({ reason: 'exists' });
    expect(await store.put('/a', named('a'), { expect: 5 })).toMatchObject({ reason: 'conflict' });
    expect(await store.put('/a', named('b'), { expect: 11 })).toMatchObject({ ok: true, revision: 12 });
    expect(await store.delete('/nowhere')).toMatchObject({ ok: false, reason: 'missing' });
  });

  test('lists a prefix in key order, now and as it was', async () => {
    const store = new Store({ firstRevision: 10 });
    await store.put('/x/b', named('b'));
    await store.put('/x/a', named('a'));
    await store.put('/y/a', named('other'));
    await store.delete('/x/b');
    await store.put('/x/a', named('a2'));
    const names = async (at?: number) => {
      const result = await store.list('/x/', at);
      return result.ok ? result.items.map(({ value }) => value.metadata.name) : result.reason;
    };
    expect(await names()).toEqual(['a2']);
    expect(await names(12)).toEqual(['a', 'b']);
    await store.compact();
    expect(await names(12)).toBe('compacted');
  });

  test('a watch sees what came after its revision, then what comes, until it is cancelled', async () => {
    const store = new Store({ firstRevision: 10 });
    await store.put('/x/a', named('a'));
    await store.put('/x/b', named('b'));
    const events: StoreEvent[] = [];
    const result = await store.watch('/x/', 11, { onEvent: (event) => events.push(event) });
    await store.put('/y/c', named('c'));
    await store.delete('/x/a');
    if (result.ok) result.watch.cancel();
    await store.put('/x/d', named('d'));
    expect(events.map(({ type, key, revision }) => [type, key, revision])).toEqual([
      ['put', '/x/b', 12],
      ['delete', '/x/a', 14],
    ]);
    expect(events[1]?.previous?.value.metadata.name).toBe('a');
  });

  test('a watch from before the compaction is refused', async () => {
    const store = new Store({ firstRevision: 10 });
    await store.put('/x/a', named('a'));
    await store.compact();
    expect(await store.watch('/x/', 10, { onEvent: () => {} })).toMatchObject({ reason: 'compacted' });
    expect(await store.watch('/x/', 11, { onEvent: () => {} })).toMatchObject({ ok: true });
  });

  test('a key with a time to live goes when it is not put again in time', async () => {
    let nowMs = 0;
    const store = new Store({ nowMs: () => nowMs });
    await store.put('/lease', named('a'), { ttlMs: 15_000 });
    nowMs = 10_000;
    await store.put('/lease', named('a'), { ttlMs: 15_000 });
    nowMs = 24_999;
    expect(await store.get('/lease')).toBeDefined();
    nowMs = 25_000;
    expect(await store.get('/lease')).toBeUndefined();
  });

  test('a lost store hangs, and carries out what waited when it is back', async () => {
    const store = new Store();
    await store.put('/x/a', named('a'));
    store.lose();
    let isDone = false;
    const read = store.get('/x/a').then((found) => {
      isDone = true;
      return found;
    });
    await new Promise(setImmediate);
    expect(isDone).toBe(false);
    store.recover();
    expect((await read)?.value.metadata.name).toBe('a');
  });

  test('an outage does not cost leases', async () => {
    let nowMs = 0;
    const store = new Store({ nowMs: () => nowMs });
    await store.put('/lease', named('a'), { ttlMs: 15_000 });
    store.lose();
    nowMs = 60_000;
    store.recover();
    expect(await store.get('/lease')).toBeDefined();
  });
});
