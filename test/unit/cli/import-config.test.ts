import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from '../../support/agent/command-context.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const directory = tempDir();

test.each(['nginx-proxy.conf', 'haproxy-proxy.cfg', 'haproxy-external.cfg'])(
  '%s: what is printed passes the check of the configuration',
  async (name) => {
    const kubeconfig = '/etc/kubernetes/kubelet.conf';
    const { code, out, err } = await runCommand([
      'import',
      `test/fixtures/${name}`,
      '--kubeconfig',
      kubeconfig,
    ]);
    expect(code).toBe(0);
    expect(err).toMatch(new RegExp(`^${name}:\\d+(,\\d+)*: .*: (changed|dropped|covered): `, 'm'));
    const file = join(directory, 'fairlead.yaml');
    writeFileSync(file, out);
    expect(await runCommand(['config', 'check', '--config', file])).toMatchObject({ code: 0 });
  },
);

test('a file that is missing, or of another kind, is bad usage', async () => {
  expect(await runCommand(['import', '/nowhere.cfg'])).toMatchObject({
    code: 2,
    err: expect.stringContaining('/nowhere.cfg: does not exist'),
  });
  const args = ['import', 'test/fixtures/nginx-proxy.conf', '--type', 'haproxy'];
  expect(await runCommand(args)).toMatchObject({
    code: 2,
    err: expect.stringContaining('cannot be imported as haproxy configuration: line 2'),
  });
});
