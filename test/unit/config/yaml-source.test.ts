import { formatProblem } from '../../../src/config/problem.ts';
import { readYaml } from '../../../src/config/yaml-source.ts';

const problemsOf = (text: string) => readYaml(text, 'f.yaml').problems.map(formatProblem);

describe('a file that is not usable', () => {
  test.each([
    ['empty', '', 'f.yaml: is empty; write {} to use the defaults'],
    ['only comments', '# nothing\n', 'f.yaml: is empty'],
    ['null', '~\n', 'f.yaml:1:1: must be a map'],
    [
      'a list',
      '- a\n',
      'f.yaml:1:1: must be a map of settings, such as "endpoints: [10.0.0.1:6443]"; found a list',
    ],
    ['a word', 'hello\n', 'f.yaml:1:1: must be a map'],
    [
      'two documents',
      'log:\n  level: info\n---\nlog:\n  level: warn\n',
      'f.yaml:3:1: must be one YAML document',
    ],
    ['a key twice', 'admin: false\nadmin: false\n', 'f.yaml:2:1: not valid YAML: Map keys must be unique'],
    [
      'a tab as indentation',
      'log:\n\tlevel: info\n',
      'f.yaml:2:1: not valid YAML: Tabs are not allowed as indentation',
    ],
    ['an open bracket', 'endpoints: [a\n', 'f.yaml:2:1: not valid YAML:'],
    ['an unknown tag', 'admin: !secret x\n', 'f.yaml:1:8: not valid YAML: Unresolved tag: !secret'],
    ['an alias to nowhere', 'admin: *x\n', 'f.yaml:1:8: not usable YAML: Unresolved alias'],
    ['a key that is not text', '? [a]\n: x\n', 'f.yaml:1:3: not valid YAML: With stringKeys'],
  ])('%s', (_name, text, expected) => {
    const { problems } = readYaml(text, 'f.yaml');
    expect(problems.map(formatProblem)).toContainEqual(expect.stringContaining(expected));
    expect(problems.every(({ isUnreadable }) => isUnreadable)).toBe(true);
  });

  test('aliases that multiply are stopped', () => {
    const levels = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
    const bomb = levels.map((name, index) => {
      const inner = levels[index - 1] ? `*${levels[index - 1]}` : 'x';
      return `${name}: &${name} [${Array(9).fill(inner).join(', ')}]`;
    });
    expect(problemsOf(bomb.join('\n'))).toEqual([
      expect.stringContaining('not usable YAML: Excessive alias count'),
    ]);
  });

  test('a list that contains itself does no harm', () => {
    expect(() => problemsOf('endpoints: &a [*a]\nlisteners: *a\nhealth: *a\n')).not.toThrow();
  });
});

describe('names that are not known', () => {
  test.each([
    ['helth:\n  rise: 3\n', ['f.yaml:1:1: helth: is not a setting; did you mean health?']],
    [
      'health:\n  intervalMs: 3\n',
      ['f.yaml:2:3: health.intervalMs: is not a setting; did you mean health.interval?'],
    ],
    ['kubeconfig: x\n', ['f.yaml:1:1: kubeconfig: is not a setting; did you mean credentials.kubeconfig?']],
    ['zzzzzz: 1\n', ['f.yaml:1:1: zzzzzz: is not a setting']],
    ['"": 1\n', ['f.yaml:1:1: "": is not a setting']],
    ['__proto__: {x: 1}\n', ['f.yaml:1:1: __proto__: is not a setting']],
    ['log:\n  constructor: x\n', ['f.yaml:2:3: log.constructor: is not a setting']],
    ['<<: {admin: false}\n', ['f.yaml:1:1: <<: is not a setting']],
    [
      'listeners:\n  - address: 127.0.0.1:1\n    replayNonTsl: true\n',
      [
        'f.yaml:3:5: listeners[0].replayNonTsl: is not known here; address, type, tls, pool, replayNonTls, optional, waitForAddress, maxTunnels, allowFrom, sendProxy, acceptProxyFrom are; did you mean replayNonTls?',
      ],
    ],
    [
      'health:\n  steps:\n    - {path: /a, constructor: 1}\n',
      ['f.yaml:3:18: health.steps[0].constructor: is not known here; path, expectStatus are'],
    ],
  ])('%j', (text, expected) => {
    expect(problemsOf(text)).toEqual(expected);
  });
});

test('a section that is no map, and a setting without a value', () => {
  expect(problemsOf('health: 5\nlog:\n  level:\n')).toEqual([
    expect.stringContaining('f.yaml:1:1: health: must be a map with check, port, path,'),
    'f.yaml:3:3: log.level: must have a value; remove the key to use the default; found nothing',
  ]);
});

test('a section whose settings are all commented out says nothing', () => {
  expect(readYaml('health:\n  # rise: 3\nadmin: false\n', 'f.yaml')).toMatchObject({ problems: [] });
});

test('the place of a value, of an item and of a member', () => {
  const { entries } = readYaml(
    'listeners:\n  - 127.0.0.1:1\n  - address: 127.0.0.1:2\n    type: x\nhealth: {rise: 3}\n',
    'f.yaml',
  );
  expect(entries.get('health.rise')?.locate()).toBe('f.yaml:5:16');
  expect(entries.get('listeners')?.locate([0, 'address'])).toBe('f.yaml:2:5');
  expect(entries.get('listeners')?.locate([1, 'type'])).toBe('f.yaml:4:11');
  expect(entries.get('listeners')?.locate([7, 'type'])).toBe('f.yaml:2:3');
});

test('an anchor may be used', () => {
  const { entries, problems } = readYaml(
    'endpoints: &all [10.0.0.1:1]\nhealth: &h {rise: 3}\nlog:\n  level: info\n',
    'f.yaml',
  );
  expect(problems).toEqual([]);
  expect(entries.get('endpoints')?.raw).toEqual(['10.0.0.1:1']);
});
