// A directory for one test file, removed when its tests are done.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export function tempDir(): string {
  const directory = mkdtempSync(join(tmpdir(), 'fairlead-test-'));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}
