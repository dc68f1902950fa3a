// A process that makes garbage as a busy relay does (much of it survives one collection) and prints how large its
// young generation and its heap became, in MiB. With --small it keeps the heap small first.
import { getHeapSpaceStatistics, getHeapStatistics } from 'node:v8';
import { keepHeapSmall } from '../../../src/cli/heap-settings.ts';

if (process.argv.includes('--small')) keepHeapSmall();

let kept: unknown[] = [];
let youngBytes = 0;
let heapBytes = 0;
for (let round = 0; round < 60; round++) {
  for (let index = 0; index < 20_000; index++) {
    kept.push({ index, pair: [round, index] });
    if (kept.length > 30_000) kept = kept.slice(15_000);
  }
  const young = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space');
  youngBytes = Math.max(youngBytes, young?.space_size ?? 0);
  heapBytes = Math.max(heapBytes, getHeapStatistics().total_heap_size);
}
console.log(JSON.stringify({ youngMiB: youngBytes / 2 ** 20, heapMiB: heapBytes / 2 ** 20 }));
