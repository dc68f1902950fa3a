// The agent under the filters of manifests/systemd/fairlead.service, put on it by the kernel.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { builtProgram } from '../../support/agent/agent-process.ts';
import { agentSuite } from '../../support/agent/agent-suite.ts';
import { eventually } from '../../support/jest/eventually.ts';
import { skipLoudly } from '../../support/jest/skip-loudly.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';
import { readUnit, sandboxOf, sandboxProblem } from '../../support/sandbox/unit-sandbox.ts';

const name = "the systemd unit's filters";
const problem = sandboxProblem();
if (problem !== undefined) skipLoudly(name, problem);

(problem === undefined ? describe : describe.skip)(name, () => {
  const suite = agentSuite();
  const scratch = tempDir();
  const unit = readUnit();

  /** What made the agent fail to start: it asks for the addresses of its host. */
  async function startIn(text: string) {
    const directory = mkdtempSync(join(scratch, 'unit-'));
    const config = join(directory, 'config.yaml');
    writeFileSync(
      config,
      `listeners: ["0.0.0.0:16443"]
allowNonLoopback: true
admin: 127.0.0.1:16442
endpoints: ["192.0.2.7:16443", "192.0.2.8:16443"]
balance: {prefer: local}
discovery: {cacheFile: ${join(directory, 'state/endpoints.json')}}
`,
    );
    const command = [...sandboxOf(text, directory), process.execPath, builtProgram];
    const agent = await suite.startAgent({ config, command: command as [string, ...string[]] });
    return { agent };
  }

  const unknown = expect.objectContaining({
    level: 'warn',
    msg: expect.stringContaining('addresses of this host'),
  });

  test('the agent starts with a listener on every address, an endpoint on its port and prefer: local', async () => {
    const { agent } = await startIn(unit);
    await eventually('endpoints are judged', () =>
      agent.log.some(({ msg }) => msg === 'endpoint is suspect'),
    );
    expect(agent.log).not.toContainEqual(unknown);
  });

  test('without AF_NETLINK it says that the addresses are unknown, and starts', async () => {
    const { agent } = await startIn(unit.replace('AF_UNIX AF_NETLINK', 'AF_UNIX'));
    await eventually('it is said', () => agent.log.some(({ msg }) => msg.includes('addresses of this host')));
    expect(agent.log).toContainEqual(unknown);
  });

  test('the filters are on: other families and privileged calls are refused', () => {
    const directory = mkdtempSync(join(scratch, 'unit-'));
    const [program, ...args] = sandboxOf(unit, directory);
    const script = `
      const fs = require('node:fs');
      fs.writeFileSync('${directory}/own', '');
      const answers = [];
      for (const attempt of [() => fs.chownSync('${directory}/own', 1, 1), () => fs.writeFileSync('/etc/fairlead-test', '')])
        try { attempt(); answers.push('done'); } catch (error) { answers.push(error.code); }
      console.log(answers.join(), (fs.statSync('${directory}/own').mode & 0o777).toString(8));`;
    const { stdout, stderr } = spawnSync(program, [...args, process.execPath, '-e', script], {
      encoding: 'utf8',
    });
    expect({ stdout, stderr }).toEqual({ stdout: 'EPERM,EROFS 600\n', stderr: '' });
  });
});

const analyze = spawnSync('systemd-analyze', ['--version']);
if (analyze.status !== 0) skipLoudly('systemd knows every line of the unit', 'no systemd-analyze on PATH');
(analyze.status === 0 ? test : test.skip)('systemd knows every line of the unit', () => {
  const { stdout, stderr } = spawnSync(
    'systemd-analyze',
    ['verify', '--man=no', 'manifests/systemd/fairlead.service'],
    {
      encoding: 'utf8',
    },
  );
  const complaints = `${stdout}${stderr}`
    .split('\n')
    .filter((line) => line.includes('fairlead.service:') && !line.includes('is not executable'));
  expect(complaints).toEqual([]);
});
