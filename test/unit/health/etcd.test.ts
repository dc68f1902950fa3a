import fc from 'fast-check';
import { etcdProblem } from '../../../src/health/etcd.ts';
import { checkSteps } from '../../../src/agent/options.ts';
import { defaultConfig } from '../../support/agent/default-config.ts';

test.each([
  ['{"health":"true"}', undefined],
  ['{"health":"true","reason":""}', undefined],
  ['{"health":true}', undefined],
  ['{"health":"false"}', 'etcd reports that it is not healthy'],
  ['{"health":"false","reason":"ALARM NOSPACE"}', 'ALARM NOSPACE'],
  ['{"health":"false","reason":"RAFT NO LEADER"}', 'RAFT NO LEADER'],
  ['{"health":"false","reason":"a\\nb"}', 'ab'],
  ['{"reason":"x"}', 'not an answer from etcd'],
  ['ok', 'not an answer from etcd'],
  ['', 'not an answer from etcd'],
  ['null', 'not an answer from etcd'],
  ['["health"]', 'not an answer from etcd'],
])('%s says %j', (body, problem) => {
  expect(etcdProblem(body)).toBe(problem);
});

test('nothing but health "true" is healthy, and a reason is short and plain', () => {
  fc.assert(
    fc.property(fc.json(), fc.string(), (value, reason) => {
      expect(etcdProblem(value)).toBeDefined();
      const text = etcdProblem(JSON.stringify({ health: 'false', reason }));
      expect(text).toMatch(/^[\x20-\x7e]{1,120}$/);
    }),
  );
});

function steps(path: string, expectBody: 'any' | 'etcd') {
  const { health } = defaultConfig('node');
  const expectStatus = [{ from: 200, to: 200 }];
  return checkSteps({ health: { ...health, expectBody, steps: [{ path, expectStatus }] } });
}

test('the body of /health is judged; /readyz answers in text, and gives way to /health where it is missing', () => {
  expect(steps('/health', 'etcd')[0]?.bodyProblem?.('ok')).toBeDefined();
  expect(steps('/health?serializable=true', 'etcd')[0]?.bodyProblem?.('ok')).toBeDefined();
  const [readyz] = steps('/readyz', 'etcd');
  expect(readyz?.bodyProblem).toBeUndefined();
  expect(readyz?.whenMissing?.path).toBe('/health');
  expect(readyz?.whenMissing?.bodyProblem?.('ok')).toBeDefined();
  expect(steps('/health', 'any')[0]?.bodyProblem).toBeUndefined();
});
