// http-proxy-3 and all that belongs to it costs memory, and is loaded with the first http listener only.
import { readdirSync, readFileSync } from 'node:fs';

const files = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter((name) =>
  name.endsWith('.ts'),
);

test('nothing outside src/http loads it with an import of its own', () => {
  const outside = files.filter((name) => !name.startsWith('http/'));
  expect(outside.length).toBeGreaterThan(100);
  const eager = outside.filter((name) => {
    const text = readFileSync(`src/${name}`, 'utf8');
    // `import type` leaves no trace in the program.
    const imports = text.matchAll(/^import (?!type )[^;]*? from '([^']+)';/gm);
    return [...imports].some(([, from]) => from === 'http-proxy-3' || from?.includes('/http/'));
  });
  expect(eager).toEqual([]);
  expect(readFileSync('src/agent/pool-http.ts', 'utf8')).toContain("await import('../http/proxy-core.ts')");
});
