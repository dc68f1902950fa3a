import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { imageOf } from '../../../src/installer/image.ts';
import { renderStaticPod } from '../../../src/installer/static-pod.ts';

const template = readFileSync('manifests/static-pod/fairlead.yaml', 'utf8');
const input = {
  template,
  slot: 'b',
  image: 'registry.example/fairlead@sha256:1',
  config: Buffer.from('endpoints: []\n'),
  adminPort: 6441,
  admin: { host: '127.0.0.1', port: 7442 },
} as const;

test('name, image, arguments, probes and checksum are of the slot; all else is as in the template', () => {
  const pod = parse(renderStaticPod(input));
  const container = pod.spec.containers[0];
  expect(container.args).toEqual([
    ...['run', '--config', '/etc/fairlead/fairlead-b.yaml', '--reuse-port', '--wait-for-port'],
    ...['--own-admin', '127.0.0.1:6441'],
  ]);
  for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe'])
    expect(container[probe].httpGet).toMatchObject({ host: '127.0.0.1', port: 6441 });
  expect(container.env).toContainEqual({ name: 'FAIRLEAD_ADMIN', value: '127.0.0.1:7442' });

  const expected = parse(template);
  const before = expected.spec.containers[0];
  expected.metadata.name = 'fairlead-b';
  expected.metadata.annotations['fairlead/config-checksum'] = createHash('sha256')
    .update(input.config)
    .digest('hex');
  before.image = input.image;
  before.args = container.args;
  before.env = container.env;
  for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe']) before[probe].httpGet.port = 6441;
  expect(pod).toEqual(expected);
  expect(container.ports).toBeUndefined();
});

test('another configuration is another manifest; the same one is the same bytes', () => {
  expect(renderStaticPod(input)).toBe(renderStaticPod(input));
  expect(renderStaticPod({ ...input, config: Buffer.from('x') })).not.toBe(renderStaticPod(input));
});

test.each([
  ['kind: Pod\nspec: {containers: [{name: other}]}', 'has no container named fairlead'],
  ['kind: ConfigMap', 'is not a Pod'],
  ['a: [', 'is not YAML'],
])('a template that cannot be used is refused: %j', (text, message) => {
  expect(() => renderStaticPod({ ...input, template: text })).toThrow(message);
});

const digest = `sha256:${'a'.repeat(64)}`;
test.each([
  [
    'one that is written by digest stays',
    `r.example/f@${digest}`,
    'r.example/f@sha256:other',
    `r.example/f@${digest}`,
  ],
  [
    'a tag becomes the digest that the runtime has',
    'r.example/f:1',
    `r.example/f@${digest}`,
    `r.example/f@${digest}`,
  ],
  ['with its scheme', 'r.example/f:1', `docker-pullable://r.example/f@${digest}`, `r.example/f@${digest}`],
  ['the id of an image that was loaded by hand is no name', 'f:1', digest, 'f:1'],
])('the image of the pod: %s', (_what, image, imageID, expected) => {
  const spec = { containers: [{ name: 'fairlead', image }] };
  expect(imageOf({ spec, status: { containerStatuses: [{ name: 'fairlead', imageID }] } })).toBe(expected);
});

test('a pod without such a container has no image to give', () => {
  expect(imageOf({ spec: { containers: [{ name: 'x', image: 'y' }] } })).toBeUndefined();
});
