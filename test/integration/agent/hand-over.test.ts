// The hand-over of a port between real agents, hundreds of new connections a second, in a network namespace where
// tcp_migrate_req may be set without changing the machine.
import { spawnSync } from 'node:child_process';
import { builtProgram } from '../../support/agent/agent-process.ts';
import { skipLoudly } from '../../support/jest/skip-loudly.ts';

const mayUnshare =
  spawnSync('unshare', ['-n', 'sh', '-c', 'echo 1 > /proc/sys/net/ipv4/tcp_migrate_req']).status === 0;
if (!mayUnshare)
  skipLoudly('handing a port over under load', 'it needs root, unshare and Linux 5.14 for tcp_migrate_req');

(mayUnshare ? test : test.skip)(
  'with tcp_migrate_req a port changes hands without losing one of hundreds of connections a second',
  () => {
    const script = `ip link set lo up && exec ${process.execPath} test/support/children/hand-over-child.ts ${builtProgram} 5 migrate`;
    const { stdout, stderr } = spawnSync('unshare', ['-n', 'sh', '-c', script], {
      encoding: 'utf8',
      timeout: 60_000,
    });
    expect(stderr).toBe('');
    const { asked, problems } = JSON.parse(stdout) as { asked: number; problems: Record<string, number> };
    expect(problems).toEqual({});
    expect(asked).toBeGreaterThan(200);
  },
  60_000,
);
