import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { generatedParts, withPart } from '../../scripts/docs.ts';
import { loadConfig } from '../../src/config/load.ts';
import { tempDir } from '../support/temp-dir.ts';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

const directory = tempDir();

test.each(generatedParts)('$file: the part "$name" says what the code says', ({ file, name, render }) => {
  const text = readFileSync(file, 'utf8');
  // When this fails: node scripts/docs.ts
  expect(text).toBe(withPart(text, name, render()));
});

test('a part whose markers are missing is an error, not a silent pass', () => {
  expect(() => withPart('# Title\n', 'settings', 'x')).toThrow('markers of "settings"');
});

const examples = [...readFileSync('docs/config.md', 'utf8').matchAll(/```yaml\n([\s\S]*?)```/g)].map(
  ([, example]) => example ?? '',
);

test('docs/config.md has examples', () => {
  expect(examples.length).toBeGreaterThan(1);
  for (const example of examples) expect(parse(example)).toBeInstanceOf(Object);
});

test.each(examples)('an example of docs/config.md is a good configuration: %j', async (example) => {
  const file = join(directory, 'example.yaml');
  writeFileSync(file, example);
  expect(await loadConfig({ file, env: {}, hostname: 'node', mustFindEndpoints: false })).toMatchObject({
    ok: true,
  });
});
