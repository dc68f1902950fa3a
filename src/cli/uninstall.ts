// `fairlead uninstall`: removes the agent from a node and restores what was there before.
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { viewAgent } from '../installer/agent-view.ts';
import { NodeFiles } from '../installer/node-files.ts';
import { findPodDirectory } from '../installer/pod-directory.ts';
import { removeReport } from '../installer/report.ts';
import { uninstall as takeOff } from '../installer/uninstall.ts';
import { restartKubelet } from '../installer/restart-kubelet.ts';
import { messageOf } from '../model/error-text.ts';
import { FairleadError } from '../model/errors.ts';
import { type ApiCommandOptions, connectApi } from './connect-api.ts';
import { exitCodes } from './exit-codes.ts';
import { parsePorts, seconds } from './install.ts';
import { startReadiness } from './readiness.ts';
import type { CommandContext } from './command-context.ts';

interface UninstallOptions extends ApiCommandOptions {
  readonly root?: string;
  readonly node?: string;
  readonly podManifestPath?: string;
  readonly adminPorts?: string;
  readonly cacheFile?: string;
  readonly grace?: string;
  readonly stay?: boolean;
  readonly readyAddress?: string;
  readonly restartKubelet?: boolean;
}

/** Until SIGTERM. A signal handler alone does not keep a process, so a timer does. */
function stay(signals: CommandContext['signals']): { readonly ended: Promise<void>; stop(): void } {
  const { promise, resolve: end } = Promise.withResolvers<void>();
  const onSignal = () => end();
  const keeping = setInterval(() => {}, 1 << 30);
  signals.on('SIGTERM', onSignal);
  const stop = () => {
    clearInterval(keeping);
    signals.off('SIGTERM', onSignal);
  };
  return { ended: promise, stop };
}

export async function uninstall(options: UninstallOptions, context: CommandContext): Promise<number> {
  const { printError, signals } = context;
  const warn = (_fields: object, message: string) => printError(`warning: ${message}\n`);
  const readiness =
    options.readyAddress === undefined ? undefined : await startReadiness(options.readyAddress, { warn });
  // From the beginning: what is begun is brought to its end, also when the pod is to go meanwhile.
  const staying = options.stay ? stay(signals) : undefined;
  try {
    await takeOffAndForget(options, context);
    readiness?.set(true);
    // A DaemonSet starts again whatever ends.
    await staying?.ended;
  } finally {
    staying?.stop();
    await readiness?.stop();
  }
  return exitCodes.ok.code;
}

async function takeOffAndForget(options: UninstallOptions, context: CommandContext): Promise<void> {
  const { env, hostname, print, printError } = context;
  const root = resolve(options.root ?? '/');
  const files = new NodeFiles(root);
  const result = await takeOff(
    {
      podDirectory: await findPodDirectory(files, options.podManifestPath),
      adminPorts: parsePorts(options.adminPorts ?? '6440,6441'),
      cacheFile: options.cacheFile ?? '/var/lib/fairlead/endpoints.json',
      graceMs: options.grace === undefined ? 30_000 : seconds('--grace', options.grace),
    },
    {
      files,
      view: viewAgent,
      ...(options.restartKubelet && { restartKubelet: () => restartKubelet(root) }),
      pause: (ms) => sleep(ms),
      nowMs: () => Date.now(),
      say: (line) => print(`${line}\n`),
    },
  );
  if (!result.isDone) throw new FairleadError('INSTALL_REFUSED', result.why);
  print('Fairlead was removed from this node\n');
  try {
    const connection = await connectApi(options, context, { nodeRoot: root });
    if (connection)
      await removeReport(connection.api, options.node ?? env.NODE_NAME ?? hostname.toLowerCase());
  } catch (error) {
    printError(`warning: the report of this node was not deleted: ${messageOf(error)}\n`);
  }
}
