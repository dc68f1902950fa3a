// A hung agent under a kubelet that heeds the liveness probe of the manifest, in real time.
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse, stringify } from 'yaml';
import { freePort } from '../../support/agent/agent-process.ts';
import { eventually } from '../../support/jest/eventually.ts';
import { Kubelet, makeNode, podDirectory } from '../../support/kubelet/kubelet.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const root = join(tempDir(), 'node');
let kubelet: Kubelet;
let adminPort = 0;

const pids = () =>
  kubelet.log.flatMap((line) => {
    const pid = /^started fairlead (\d+)$/.exec(line)?.[1];
    return pid === undefined ? [] : [Number(pid)];
  });

/** How often the agent was alive when kubelet asked. */
const goodProbes = () => kubelet.log.filter((line) => line === 'probed fairlead good').length;

function isAlive(): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get({ host: '127.0.0.1', port: adminPort, path: '/livez', agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.setTimeout(500, () => request.destroy());
    request.on('error', () => resolve(false));
  });
}

beforeAll(async () => {
  makeNode(root);
  adminPort = await freePort();
  const config = {
    listeners: [`127.0.0.1:${await freePort()}`],
    admin: `127.0.0.1:${adminPort}`,
    endpoints: ['127.0.0.1:1'],
    discovery: { cacheFile: join(root, 'endpoints.json') },
  };
  const file = join(root, 'etc/fairlead/config.yaml');
  mkdirSync(join(root, 'etc/fairlead'), { recursive: true });
  writeFileSync(file, stringify(config));
  const pod = parse(readFileSync('manifests/static-pod/fairlead.yaml', 'utf8'));
  const [container] = pod.spec.containers;
  container.args = ['run', '--config', '/etc/fairlead/config.yaml'];
  container.livenessProbe.httpGet.port = adminPort;
  container.env = [];
  const manifest = join(root, podDirectory, 'fairlead.yaml');
  writeFileSync(`${root}/aside`, stringify(pod));
  renameSync(`${root}/aside`, manifest);
  kubelet = new Kubelet(root);
});

afterAll(() => kubelet.stop());

test('an agent without CPU for 10 s stays; one that hangs is replaced within 30 s', async () => {
  await eventually(() => `the agent is alive: ${kubelet.log.join('; ')}`, isAlive);
  // Failures count from the first good answer on.
  await eventually('kubelet has seen it alive', () => goodProbes() > 0);
  const [first = 0] = pids();
  process.kill(first, 'SIGSTOP');
  await sleep(10_000);
  process.kill(first, 'SIGCONT');
  const seenBefore = goodProbes();
  await eventually('kubelet sees it alive again', () => goodProbes() > seenBefore);
  expect({ pids: pids(), ended: kubelet.log.filter((line) => line.startsWith('end')) }).toEqual({
    pids: [first],
    ended: [],
  });
  const hungMs = performance.now();
  process.kill(first, 'SIGSTOP');
  await eventually('another agent is there', () => pids().length === 2, 60_000);
  await eventually('the other agent is alive', isAlive);
  expect(performance.now() - hungMs).toBeLessThan(30_000);
}, 120_000);
