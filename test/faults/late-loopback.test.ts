// An agent that starts before the loopback interface is up: what it could not have then, it has when the interface comes.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { AgentProcess } from '../support/agent/agent-process.ts';
import { namespacesUnavailable, removeLeftovers, Wire } from '../support/faults/netns.ts';
import { eventually } from '../support/jest/eventually.ts';
import { skipLoudly } from '../support/jest/skip-loudly.ts';

const run = promisify(execFile);
const whyNot = namespacesUnavailable();
if (whyNot !== undefined) skipLoudly('an interface that comes up late', whyNot);

(whyNot === undefined ? test : test.skip)(
  'the optional listener is bound and the check of bare handles is repeated when loopback comes up',
  async () => {
    await removeLeftovers();
    const wire = await Wire.start(['node', 'cp']);
    let agent: AgentProcess | undefined;
    try {
      const { namespace, prefix } = wire.host('node');
      await run('ip', ['-n', namespace, 'link', 'set', 'lo', 'down']);
      const [first = '', ...more] = prefix;
      const command: [string, ...string[]] = [first, ...more, process.execPath, 'dist/fairlead.js'];
      const started = new AgentProcess(['--endpoints', `${wire.host('cp').address}:6443`], { command });
      agent = started;
      const has = (message: string) => started.messages.some((line) => line.startsWith(message));
      await eventually(
        'both are missed',
        () => has('address not available') && has('not using bare TCP handles'),
      );
      expect(has('address acquired')).toBe(false);
      await run('ip', ['-n', namespace, 'link', 'set', 'lo', 'up']);
      await eventually('the listener is bound', () => has('address acquired'));
      await eventually('the handles are used', () => has('using bare TCP handles'));
      expect(started.log.find(({ msg }) => msg === 'address acquired')?.address).toBe('[::1]:6443');
    } finally {
      await agent?.kill();
      await wire.stop();
    }
  },
  60_000,
);
