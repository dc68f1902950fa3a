// `fairlead uninstall`: takes the agent off a node and gives back what was there before it.
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { staticPodDirectory } from '../install/doctor/static-pods.ts';
import { viewAgent } from '../install/node/agent-view.ts';
import { NodeFiles } from '../install/node/node-files.ts';
import { removeReport } from '../install/node/report.ts';
import { uninstall as takeOff } from '../install/node/uninstall.ts';
import { restartKubelet } from '../install/node/restart-kubelet.ts';
import { messageOf } from '../model/error-text.ts';
import { FairleadError } from '../model/errors.ts';
import { type ApiCommandOptions, connectApi } from './connect-api.ts';
import { exitCodes } from './exit-codes.ts';
import { parsePorts, seconds } from './install.ts';
import type { Surroundings } from './surroundings.ts';

interface UninstallOptions extends ApiCommandOptions {
  readonly root?: string;
  readonly node?: string;
  readonly podManifestPath?: string;
  readonly adminPorts?: string;
  readonly cacheFile?: string;
  readonly grace?: string;
  readonly stay?: boolean;
  readonly restartKubelet?: boolean;
}

export async function uninstall(options: UninstallOptions, surroundings: Surroundings): Promise<number> {
  const { env, hostname, print, printError, signals } = surroundings;
  const root = resolve(options.root ?? '/');
  const result = await takeOff(
    {
      podDirectory: options.podManifestPath ?? (await staticPodDirectory(root)),
      adminPorts: parsePorts(options.adminPorts ?? '6440,6441'),
      cacheFile: options.cacheFile ?? '/var/lib/fairlead/endpoints.json',
      graceMs: options.grace === undefined ? 30_000 : seconds('--grace', options.grace),
    },
    {
      files: new NodeFiles(root),
      view: viewAgent,
      ...(options.restartKubelet && { restartKubelet: () => restartKubelet(root) }),
      pause: (ms) => sleep(ms),
      nowMs: () => Date.now(),
      say: (line) => print(`${line}\n`),
    },
  );
  if (!result.isDone) throw new FairleadError('INSTALL_REFUSED', result.why);
  print('Fairlead is off this node\n');
  try {
    const connection = await connectApi(options, surroundings);
    if (connection)
      await removeReport(connection.api, options.node ?? env.NODE_NAME ?? hostname.toLowerCase());
  } catch (error) {
    printError(`warning: the report of this node stays: ${messageOf(error)}\n`);
  }
  // A DaemonSet starts again whatever ends.
  if (options.stay) await new Promise<void>((end) => signals.on('SIGTERM', () => end()));
  return exitCodes.ok.code;
}
