import { readFileSync } from 'node:fs';
import { nodeProblem, oldestNode } from '../../../src/cli/node-version.ts';

test.each(['24.19.0', '24.19.1', '24.20.0', '25.0.0', '26.10.0', '24.19.0-nightly2026'])(
  '%s is new enough',
  (version) => {
    expect(nodeProblem(version)).toBeUndefined();
  },
);

test.each(['24.18.9', '24.2.0', '22.30.0', '20.20.2', '18.0.0'])(
  '%s is too old, and is told so',
  (version) => {
    expect(nodeProblem(version)).toBe(`needs Node 24.19.0 or newer; this is ${version}`);
  },
);

test('package.json asks for the same', () => {
  const { engines } = JSON.parse(readFileSync('package.json', 'utf8')) as { engines: { node: string } };
  expect(engines.node).toBe(`>=${oldestNode}`);
});
