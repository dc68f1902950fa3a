// The heap settings are V8 flags set after its start, which V8 does not promise to heed: this is the proof that
// the Node at hand does.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const script = fileURLToPath(new URL('../support/children/allocate.ts', import.meta.url));

async function heapOf(...flags: string[]): Promise<{ youngMiB: number; heapMiB: number }> {
  const { stdout } = await promisify(execFile)(process.execPath, ['--no-warnings', script, ...flags]);
  return JSON.parse(stdout) as { youngMiB: number; heapMiB: number };
}

test('the young generation does not grow, and garbage is collected early', async () => {
  const [ordinary, small] = [await heapOf(), await heapOf('--small')];
  expect(ordinary.youngMiB).toBeGreaterThan(12);
  expect(small.youngMiB).toBeLessThan(12);
  expect(small.heapMiB).toBeLessThan(ordinary.heapMiB * 0.6);
});
