import fc from 'fast-check';
import { formatDuration, parseDuration } from '../../../src/config/duration.ts';
import { isLoopback } from '../../../src/model/host.ts';
import { formatStatuses, includesStatus, parseStatuses } from '../../../src/config/statuses.ts';
import { suggest } from '../../../src/config/suggest.ts';

describe('durations', () => {
  test.each([
    ['250ms', 250],
    ['2s', 2_000],
    ['1.5s', 1_500],
    ['10m', 600_000],
    ['3h', 10_800_000],
    ['1d', 86_400_000],
    ['1h30m', 5_400_000],
    ['0s', 0],
  ])('%s is %d ms', (text, value) => {
    expect(parseDuration(text)).toEqual({ ok: true, value });
  });

  test.each(['', '2', '2 s', '-2s', '2sec', 's', '1s1m', '1.5m', 'PT2S', '2s\n', '٣s'])(
    '%j is refused',
    (text) => {
      expect(parseDuration(text)).toEqual({ ok: false, problem: expect.stringContaining('with its unit') });
    },
  );

  test('what is written is read again as the same number', () => {
    fc.assert(
      fc.property(fc.nat(2_000_000_000), (value) => {
        expect(parseDuration(formatDuration(value))).toEqual({ ok: true, value });
      }),
    );
  });
});

describe('statuses', () => {
  test('ranges and numbers, both ends included', () => {
    const parsed = parseStatuses('200-299, 401');
    if (!parsed.ok) throw new Error(parsed.problem);
    expect(formatStatuses(parsed.value)).toBe('200-299,401');
    const accepted = [199, 200, 299, 300, 401, 402].filter((status) => includesStatus(parsed.value, status));
    expect(accepted).toEqual([200, 299, 401]);
  });

  test.each(['', '200,', '99', '600', '299-200', '200-', 'ok', '2xx'])('%j is refused', (text) => {
    expect(parseStatuses(text)).toMatchObject({ ok: false });
  });
});

test.each([
  ['127.0.0.1', true],
  ['127.255.0.9', true],
  ['::1', true],
  ['::ffff:127.0.0.1', true],
  ['0.0.0.0', false],
  ['::', false],
  ['10.0.0.1', false],
  ['::ffff:10.0.0.1', false],
])('%s on loopback: %s', (host, expected) => {
  expect(isLoopback(host)).toBe(expected);
});

describe('suggestions', () => {
  const names = ['interval', 'standbyInterval', 'timeout', 'rise', 'fall', 'nodeName'];
  test.each([
    ['intervall', 'interval'],
    ['intreval', 'interval'],
    ['intervalMs', 'interval'],
    ['timeout_seconds', 'timeout'],
    ['node-name', 'nodeName'],
    ['NODENAME', 'nodeName'],
    ['raise', 'rise'],
  ])('%s is taken for %s', (name, expected) => {
    expect(suggest(name, names)).toBe(expected);
  });

  test.each(['x', 'certificate', ''])('%j is taken for nothing', (name) => {
    expect(suggest(name, names)).toBeUndefined();
  });
});
