import fc from 'fast-check';
import * as v from 'valibot';
import { defaultConfig } from '../../support/agent/default-config.ts';
import { readEnvironment } from '../../../src/config/environment.ts';
import { reloadConfig, toConfig } from '../../../src/config/resolve.ts';
import {
  envName,
  type SettingKey,
  settingKeys,
  settingOf,
  settings,
  type Values,
} from '../../../src/config/settings.ts';

/** Another value than the default, as YAML would have it. */
const other: Partial<Record<SettingKey, unknown>> = {
  nodeName: 'other',
  zone: 'other',
  pools: { etcd: { type: 'etcd', endpoints: ['10.0.0.9'], health: { interval: '3s', path: '/readyz' } } },
  listeners: ['127.0.0.1:7443'],
  endpoints: ['10.0.0.9:6443'],
  'credentials.serverName': 'kubernetes',
  'credentials.inCluster': false,
  'health.path': '/livez',
  'health.expectStatus': '200-299',
  'health.steps': [{ path: '/livez' }],
  'health.clientNames': ['api.example', '10.0.0.1', 'fd00::5'],
  admin: false,
  ownAdmin: '127.0.0.1:7440',
  metrics: '10.0.0.1:6441',
  allowedHosts: ['node-1.example'],
  'requestHeader.usernameHeader': 'X-Other-User',
  'requestHeader.groupHeader': 'X-Other-Group',
  'discovery.namespace': 'other',
  'discovery.service': 'other',
  'discovery.portName': 'other',
};

function anotherValue(key: SettingKey): unknown {
  if (Object.hasOwn(other, key)) return other[key];
  const { type, fallback, choices } = settingOf(key);
  if (type === 'file') return '/etc/some-file';
  if (choices) return choices.find((choice) => choice !== fallback);
  if (typeof fallback === 'boolean') return !fallback;
  if (type.startsWith('duration')) return fallback === '7m' ? '8m' : '7m';
  return Number(fallback ?? 0) + 1;
}

const defaults = Object.fromEntries(
  settingKeys.map((key) => {
    const { schema, fallback } = settingOf(key);
    return [key, fallback === undefined ? undefined : v.parse(schema, fallback)];
  }),
);
const withValue = (key: SettingKey, value: unknown) =>
  toConfig({ ...defaults, nodeName: 'node', [key]: value } as unknown as Values);

test.each(settingKeys)('%s: another value reaches the Config, and it alone is reported as changed', (key) => {
  const { schema, applies } = settingOf(key);
  const next = withValue(key, v.parse(schema, anotherValue(key)));
  const previous = defaultConfig('node');
  const { config, applied, needsRestart } = reloadConfig(previous, next);
  expect({ applied, needsRestart }).toEqual(
    applies === 'reload' ? { applied: [key], needsRestart: [] } : { applied: [], needsRestart: [key] },
  );
  // What takes a restart is not in use yet, and the next reload still sees the difference.
  expect(config).toEqual(applies === 'reload' ? next : previous);
  expect(reloadConfig(config, next).needsRestart).toEqual(needsRestart);
});

test('a reload that takes a setting away again', () => {
  const previous = withValue('requestHeader.certFile', '/tls.crt');
  const { config, needsRestart } = reloadConfig(previous, defaultConfig('node'));
  expect(needsRestart).toEqual(['requestHeader.certFile']);
  expect(config).toEqual(previous);
});

test('nothing has changed between two equal configurations', () => {
  expect(reloadConfig(defaultConfig('node'), defaultConfig('node'))).toEqual({
    config: defaultConfig('node'),
    applied: [],
    needsRestart: [],
  });
});

test.each(settingKeys)('%s: what is written is read again as the same value', (key) => {
  const { schema, write, fallback } = settingOf(key);
  for (const raw of [fallback, anotherValue(key)]) {
    if (raw === undefined) continue;
    const value = v.parse(schema, raw);
    expect(v.parse(schema, write(value))).toEqual(value);
  }
});

test.each(settingKeys)('%s: any value at all is either taken or a problem with a text', (key) => {
  fc.assert(
    fc.property(fc.anything({ withNullPrototype: true, withBigInt: true }), (raw) => {
      const result = v.safeParse(settingOf(key).schema, raw);
      if (!result.success) for (const { message } of result.issues) expect(message).toMatch(/^must /);
    }),
    { numRuns: 50 },
  );
});

test('each setting has a variable of its own, which no variable of a Service can be', () => {
  const names = settingKeys.map(envName);
  expect(new Set(names).size).toBe(settingKeys.length);
  expect(names).toContain('FAIRLEAD_HEALTH_STANDBY_INTERVAL');
  expect(names).toContain('FAIRLEAD_DIAL_REPLAY_BUDGET_PERCENT');
  for (const name of names) {
    // Were it taken for a Service's variable, the setting would be ignored in silence.
    const { entries, problems } = readEnvironment({ [name]: 'tcp://10.0.0.1:1' });
    expect(entries.size + problems.length).toBe(1);
  }
});

test('the fixed flags exist', () => {
  const flags = Object.values(settings).flatMap((setting) => ('flag' in setting ? [setting.flag] : []));
  expect(flags.toSorted()).toEqual(
    [
      '--listen',
      '--endpoints',
      '--kubeconfig',
      '--ca-file',
      '--client-cert',
      '--client-key',
      '--token-file',
      '--server-name',
      '--cache-file',
      '--admin',
      '--metrics',
      '--node-name',
      '--log-level',
      '--own-admin',
      '--requestheader-cert-file',
      '--requestheader-group-header',
      '--requestheader-key-file',
      '--requestheader-username-header',
      '--reuse-port',
      '--wait-for-port',
    ].toSorted(),
  );
});

test('a configuration cannot be changed by who holds it', () => {
  const config = defaultConfig('node') as { health: { rise: number } };
  expect(() => {
    config.health.rise = 9;
  }).toThrow(TypeError);
});
