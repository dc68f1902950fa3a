// Has the node's systemd restart kubelet, through the socket of its D-Bus: a container without systemctl, without
// the node's process space and without privileges can do that, as root of the node may.
import { join } from 'node:path';
import { messageOf } from '../model/error-text.ts';
import { resolveBelow } from '../lib/below-root.ts';
import { callDbus } from './dbus.ts';

export const kubeletUnit = 'kubelet.service';
const busSockets = ['/run/dbus/system_bus_socket', '/var/run/dbus/system_bus_socket'];

/** Resolves when systemd has taken the job; rejects with what to do by hand. */
export async function restartKubelet(root: string, unit = kubeletUnit): Promise<void> {
  const problems: string[] = [];
  for (const socket of busSockets) {
    try {
      await callDbus(await resolveBelow(root, socket), {
        destination: 'org.freedesktop.systemd1',
        path: '/org/freedesktop/systemd1',
        interface: 'org.freedesktop.systemd1.Manager',
        member: 'RestartUnit',
        args: [unit, 'replace'],
      });
      return;
    } catch (error) {
      problems.push(`${join(root, socket)}: ${messageOf(error)}`);
    }
  }
  // The word that dbus-daemon's AppArmor mediation and its own policy refuse with.
  const isForbidden = problems.some((problem) => problem.includes('org.freedesktop.DBus.Error.AccessDenied'));
  const why = isForbidden
    ? '; where AppArmor is on, the container needs the profile "unconfined" (docs/manifests.md, Installer)'
    : '';
  throw new Error(
    `cannot ask systemd to restart ${unit} (${problems[0]})${why}; run systemctl restart kubelet on the node`,
  );
}
