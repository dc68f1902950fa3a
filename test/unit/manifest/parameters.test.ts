// Parameters change what they name, and leave the rest and its comments as they were.
import { parse, parseAllDocuments } from 'yaml';
import { checkImageReference } from '../../../src/manifest/image-reference.ts';
import { renderManifest } from '../../../src/manifest/manifests.ts';

const digest = `sha256:${'7'.repeat(64)}`;
const image = `registry.example/fairlead@${digest}`;
const header = '# above\n';
const objectsOf = (text: string) => parseAllDocuments(text).map((each) => each.toJS());

describe('an image reference', () => {
  test.each([
    `registry.example:5000/team/fairlead:0.1.0@${digest}`,
    'localhost/fairlead:0.1.0',
    'fairlead:v1_2.3-rc',
    `[fd00::1]:5000/fairlead@${digest}`,
  ])('%s is taken', (text) => {
    expect(checkImageReference(text)).toEqual({ ok: true, hasDigest: text.includes('@') });
  });

  test.each([
    '',
    'fairlead',
    'registry.example/fairlead',
    'registry.example/Fairlead:1',
    'registry.example/fairlead:',
    'registry.example/fairlead@sha256:77',
    `https://registry.example/fairlead@${digest}`,
    'fairlead:1 --privileged',
    'fairlead:1\nx',
    `${'a/'.repeat(600)}a:1`,
  ])('%j is refused with an example', (text) => {
    expect(checkImageReference(text)).toMatchObject({
      ok: false,
      problem: expect.stringContaining('registry'),
    });
  });
});

test('with endpoints the static pod needs no configuration file', async () => {
  const text = await renderManifest('static-pod', {
    image,
    endpoints: ['10.0.0.1:6443', '[fd00::1]:6443'],
    header,
  });
  const pod = objectsOf(text).at(-1);
  const [container] = pod.spec.containers;
  expect(container.args.join(' ')).toBe(
    'run --kubeconfig /etc/kubernetes/kubelet.conf --cache-file /var/lib/fairlead/endpoints.json --endpoints 10.0.0.1:6443 --endpoints [fd00::1]:6443 --reuse-port',
  );
  const volumes = pod.spec.volumes.map(({ name }: { name: string }) => name);
  expect(volumes).toEqual(['state', 'kubernetes', 'kubelet-pki']);
  expect(container.volumeMounts.map(({ name }: { name: string }) => name)).toEqual(volumes);
  expect(text.startsWith(header)).toBe(true);
  expect(text).toContain('# No ports:');
  expect(text).not.toContain('config.yaml');
});

test('another configuration has another name, which the pods mount', async () => {
  const named = async (config: string) => {
    const objects = objectsOf(await renderManifest('installer', { image, endpoints: [], config, header }));
    const map = objects.find(({ kind }) => kind === 'ConfigMap');
    const { volumes } = objects.find(({ kind }) => kind === 'DaemonSet').spec.template.spec;
    expect(map.data['config.yaml']).toBe(config);
    expect(volumes[0].configMap.name).toBe(map.metadata.name);
    expect(map.metadata.name).toMatch(/^fairlead-install-[a-z0-9]{10}$/);
    return map.metadata.name;
  };
  const one = await named('log: { level: debug }\n');
  expect(await named('log: { level: info }\n')).not.toBe(one);
  expect(await named('log: { level: debug }\n')).toBe(one);
});

test('endpoints are set in the configuration, and its comments stay', async () => {
  const text = await renderManifest('agent', { image, endpoints: ['10.9.9.9:6443'], header });
  const map = objectsOf(text).find(({ kind }) => kind === 'ConfigMap');
  expect(parse(map.data['config.yaml'])).toMatchObject({
    endpoints: ['10.9.9.9:6443'],
    admin: '127.0.0.1:7442',
  });
  expect(map.data['config.yaml']).toContain('# Beside a static pod');
});

test("the configuration's checksum restarts the static pod", async () => {
  const text = await renderManifest('static-pod', { image, endpoints: [], config: 'abc', header });
  expect(text).toContain('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
});
