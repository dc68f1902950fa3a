// `fairlead install`: puts the agent on a node as a static pod, keeps it there, and shows what nodes have reported.
import { readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { viewAgent } from '../installer/agent-view.ts';
import { type KubeApi, reportsNamespace } from '../kubernetes/kube-api.ts';
import { saysServing } from '../kubernetes/node-reports.ts';
import { imageOf } from '../installer/image.ts';
import { Installer, type PassResult } from '../installer/installer.ts';
import { loadConfig } from '../config/load.ts';
import { type PointKubeletDeps, pointKubelet } from '../installer/point-kubelet.ts';
import { restartKubelet } from '../installer/restart-kubelet.ts';
import { isSilent } from '../installer/silence.ts';
import { RolloutSemaphore } from '../installer/rollout-semaphore.ts';
import { NodeFiles } from '../installer/node-files.ts';
import { formatReports, readReports } from '../installer/report.ts';
import { FairleadError } from '../model/errors.ts';
import { createLog } from '../observe/log.ts';
import { exitCodes } from './exit-codes.ts';
import { type ApiCommandOptions, connectApi } from './connect-api.ts';
import { type Readiness, startReadiness } from './readiness.ts';
import type { CommandContext } from './command-context.ts';

export interface InstallOptions extends ApiCommandOptions {
  readonly config?: string;
  readonly template?: string;
  readonly image?: string;
  readonly root?: string;
  readonly node?: string;
  readonly podManifestPath?: string;
  readonly adminPorts?: string;
  readonly replaceProxy?: boolean;
  readonly controlPlane?: boolean;
  readonly watch?: boolean;
  readonly interval?: string;
  readonly serveWithin?: string;
  readonly report?: boolean;
  readonly json?: boolean;
  readonly pointKubelets?: string;
  readonly confirmWithin?: string;
  readonly readyAddress?: string;
}

const usage = (message: string) => new FairleadError('CONFIG_INVALID', message);

export async function install(options: InstallOptions, context: CommandContext): Promise<number> {
  const { env, hostname, version, signals, isTerminal } = context;
  const connection = await connectApi(options, context, {
    nodeRoot: resolve(options.root ?? '/'),
    ...(options.config !== undefined && { configFile: options.config }),
  });
  if (options.report) {
    if (!connection) throw usage('--report requires access to the API; set --kubeconfig');
    const { reports, foreign } = await readReports(connection.api, Date.now());
    context.print(options.json ? `${JSON.stringify(reports, null, 2)}\n` : formatReports(reports));
    if (foreign > 0) {
      const what = `${foreign} of the reports are invalid and are omitted`;
      context.printError(`warning: ${what} (kubectl -n ${reportsNamespace} get configmaps)\n`);
    }
    return reports.every(saysServing) ? exitCodes.ok.code : exitCodes.notReady.code;
  }
  const { config } = options;
  if (config === undefined) throw usage('--config must name the configuration for the agent');
  const node = options.node ?? env.NODE_NAME ?? hostname.toLowerCase();
  const { logger, close } = await createLog({ level: 'info', format: 'auto', node, isTerminal });
  const stop = new AbortController();
  const onStop = () => stop.abort();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) signals.on(signal, onStop);
  let readiness: Readiness | undefined;
  try {
    if (options.readyAddress !== undefined) readiness = await startReadiness(options.readyAddress, logger);
    const files = new NodeFiles(resolve(options.root ?? '/'));
    const pause = (ms: number) => sleep(ms, undefined, { signal: stop.signal }).catch(() => {});
    const isStopped = () => stop.signal.aborted;
    const adminPorts = parsePorts(options.adminPorts ?? '6440,6441');
    const pointing = { files, pause, isStopped, log: logger, adminPorts, node };
    const installer = new Installer(
      {
        node,
        version,
        configFile: config,
        templateFile: options.template ?? join(dirname(config), 'static-pod.yaml'),
        image: imageReader(options.image ?? env.FAIRLEAD_IMAGE, connection?.api, env.POD_NAME),
        ...(options.podManifestPath !== undefined && { podDirectory: options.podManifestPath }),
        adminPorts,
        replaceProxy: options.replaceProxy ?? false,
        controlPlane: options.controlPlane ?? false,
        ...(connection && { api: connection.api }),
        ...(options.pointKubelets !== undefined && {
          afterwards: await pointingAfterwards(options, connection?.api, pointing),
        }),
        onResult: ({ state, message }) => readiness?.set(state === 'serving', message),
      },
      {
        files,
        view: viewAgent,
        isSilent,
        pause,
        nowMs: () => Date.now(),
        log: logger,
        serveWithinMs: seconds('--serve-within', options.serveWithin ?? '120'),
        leaveWithinMs: 90_000,
        isStopped,
      },
    );
    if (options.watch) {
      await installer.watch(seconds('--interval', options.interval ?? '10'));
      return exitCodes.ok.code;
    }
    return outcomeOf(await installer.pass(), context);
  } finally {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) signals.off(signal, onStop);
    await readiness?.stop();
    await close();
  }
}

function outcomeOf({ state, message, error, kubelet }: PassResult, { print }: CommandContext): number {
  if (error) throw error;
  if (state !== 'serving') throw new FairleadError('INSTALL_FAILED', message);
  print(`${message}\n`);
  if (kubelet !== undefined) print(`kubelet: ${kubelet}\n`);
  return exitCodes.ok.code;
}

/** What points kubelet once the agent serves. */
async function pointingAfterwards(
  { config = '', pointKubelets, confirmWithin }: InstallOptions,
  api: KubeApi | undefined,
  {
    node,
    adminPorts,
    files,
    ...deps
  }: Omit<PointKubeletDeps, 'api' | 'semaphore' | 'seen' | 'restartKubelet' | 'tunnels' | 'nowMs'> & {
    readonly node: string;
    readonly adminPorts: { readonly a: number; readonly b: number };
  },
): Promise<() => Promise<string>> {
  const count = Number(pointKubelets);
  if (!(Number.isInteger(count) && count > 0 && count <= 100))
    throw usage(`--point-kubelets must be a number of nodes from 1 to 100; found ${pointKubelets}`);
  if (!api) throw usage('--point-kubelets requires access to the API; set --kubeconfig');
  const nowMs = () => Date.now();
  const confirmWithinMs = seconds('--confirm-within', confirmWithin ?? '90');
  const semaphore = new RolloutSemaphore(api, node, nowMs, Math.ceil(confirmWithinMs / 1000) + 120);
  const seen = {};
  const views = async () =>
    (await Promise.all([viewAgent(adminPorts.a), viewAgent(adminPorts.b)])).filter(
      (one) => one !== undefined,
    );
  return async () => {
    const loaded = await loadConfig({ file: config, env: {}, hostname: node });
    const listener = loaded.values.listeners?.find(({ type }) => type === 'passthrough');
    if (!listener) return 'the configuration has no passthrough listener for kubelet';
    const endpoints = (await views()).flatMap((view) => view.endpoints);
    return pointKubelet(
      { node, count, address: { host: listener.host, port: listener.port }, endpoints, confirmWithinMs },
      {
        ...deps,
        files,
        api,
        semaphore,
        seen,
        nowMs,
        restartKubelet: () => restartKubelet(files.root),
        tunnels: async () => (await views()).reduce((sum, view) => sum + view.totalTunnels, 0),
      },
    );
  };
}

/** As given, else as this very pod has it. */
function imageReader(image: string | undefined, api: KubeApi | undefined, podName: string | undefined) {
  // Treats an empty variable as unset.
  let known = image || undefined;
  return async () => {
    if (known !== undefined || !api || podName === undefined) return known;
    const namespace = await readFile('/var/run/secrets/kubernetes.io/serviceaccount/namespace', 'utf8');
    const pod = await api.find(`/api/v1/namespaces/${namespace.trim()}/pods/${podName}`);
    known = pod && imageOf(pod);
    return known;
  };
}

export function parsePorts(text: string): { a: number; b: number } {
  const [a = Number.NaN, b = Number.NaN, ...rest] = text.split(',').map(Number);
  const isPort = (port: number) => Number.isInteger(port) && port > 0 && port < 65_536;
  if (rest.length > 0 || !isPort(a) || !isPort(b) || a === b)
    throw usage(`--admin-ports must be two different ports such as 6440,6441; found ${text}`);
  return { a, b };
}

export function seconds(flag: string, text: string): number {
  const value = Number(text);
  if (!(value > 0 && value <= 86_400)) throw usage(`${flag} must be a number of seconds; found ${text}`);
  return value * 1000;
}
