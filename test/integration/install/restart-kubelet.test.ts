// The D-Bus call against a real dbus-daemon, with a stub in systemd's place.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { callDbus } from '../../../src/installer/dbus.ts';
import { restartKubelet } from '../../../src/installer/restart-kubelet.ts';
import { skipLoudly } from '../../support/jest/skip-loudly.ts';
import { SystemdStub } from '../../support/fakes/systemd-stub.ts';
import { tempDir } from '../../support/jest/temp-dir.ts';

const hasBus = spawnSync('dbus-daemon', ['--version']).error === undefined;
if (!hasBus) skipLoudly('restarting kubelet over D-Bus', 'dbus-daemon is not installed');
const whenBus = hasBus ? test : test.skip;

const root = tempDir();
const socket = join(root, '/run/dbus/system_bus_socket');
const daemons: ChildProcess[] = [];

/** A bus below `below`; `policy`: what its clients may do besides. */
async function startBus(below: string, policy = ''): Promise<void> {
  const socket = join(below, '/run/dbus/system_bus_socket');
  mkdirSync(join(below, '/run/dbus'), { recursive: true });
  const config = join(below, 'bus.conf');
  writeFileSync(
    config,
    `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "busconfig.dtd">
<busconfig><type>custom</type><listen>unix:path=${socket}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/><allow user="*"/>${policy}</policy>
</busconfig>`,
  );
  const daemon = spawn('dbus-daemon', ['--nofork', `--config-file=${config}`, '--print-address'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  daemons.push(daemon);
  await once(daemon.stdout!, 'data');
}

beforeAll(async () => {
  if (hasBus) await startBus(root);
});

afterAll(() => {
  for (const daemon of daemons) daemon.kill();
});

const bus = {
  destination: 'org.freedesktop.DBus',
  path: '/org/freedesktop/DBus',
  interface: 'org.freedesktop.DBus',
};

whenBus('a call reaches a real bus, and its answer is read', async () => {
  const owner = await callDbus(socket, { ...bus, member: 'GetNameOwner', args: ['org.freedesktop.DBus'] });
  expect(owner).toBe('org.freedesktop.DBus');
});

whenBus('without systemd on the bus the refusal says so, and what to do by hand', async () => {
  await expect(restartKubelet(root)).rejects.toThrow(/ServiceUnknown.*systemctl restart kubelet/s);
});

whenBus('a bus that forbids it is told apart: AppArmor is the usual reason', async () => {
  const strict = join(root, 'strict');
  await startBus(strict, '<deny send_destination="org.freedesktop.systemd1"/>');
  const systemd = await SystemdStub.start(join(strict, '/run/dbus/system_bus_socket'));
  await expect(restartKubelet(strict)).rejects.toThrow(/AccessDenied.*AppArmor.*systemctl restart kubelet/s);
  expect(systemd.restarted).toEqual([]);
  systemd.stop();
});

whenBus('systemd is asked to restart kubelet, once', async () => {
  const systemd = await SystemdStub.start(socket);
  await restartKubelet(root);
  expect(systemd.restarted).toEqual([['kubelet.service', 'replace']]);
  systemd.stop();
});

test('where there is no bus, or something else listens there, it is an error and not a wait', async () => {
  await expect(restartKubelet(join(root, 'nowhere'))).rejects.toThrow('ENOENT');
  const path = join(root, 'other.sock');
  const server = createServer((client) => client.end('SSH-2.0\r\n')).listen(path);
  await once(server, 'listening');
  await expect(callDbus(path, { ...bus, member: 'GetId', args: [] })).rejects.toThrow('refuses this user');
  server.close();
});
