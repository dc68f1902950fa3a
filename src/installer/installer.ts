// The installer of one node: reads the desired state, brings the node there, says how it went, and does it again. A
// pass that fails does not end it: the node keeps what it had.
import { createHash } from 'node:crypto';
import { loadConfig } from '../config/load.ts';
import { formatProblem } from '../config/problem.ts';
import type { CachedEndpoint } from '../discovery/cache-format.ts';
import { readFileBytes } from '../lib/read-file.ts';
import { messageOf } from '../model/error-text.ts';
import { FairleadError } from '../model/errors.ts';
import type { KubeApi } from '../kubernetes/kube-api.ts';
import { nodeRole } from '../adopt/node-paths.ts';
import { knownEndpoints } from './known-endpoints.ts';
import { findPodDirectory } from './pod-directory.ts';
import { type Outcome, type ReconcileDeps, reconcile, type DesiredState } from './reconcile.ts';
import { type WrittenReport, writeReport } from './report.ts';
import { type Slot, slotName } from './static-pod.ts';
import { grownMs } from '../lib/backoff.ts';
import { waitUntil } from '../lib/wait-until.ts';
import { jittered } from '../model/clock.ts';

export interface InstallerOptions {
  readonly node: string;
  readonly version: string;
  /** Of the agent; its bytes go to the node. */
  readonly configFile: string;
  readonly templateFile: string;
  /** Asked for at each pass; undefined: it is not known yet. */
  readonly image: () => Promise<string | undefined>;
  /** Where the node says otherwise than kubelet's configuration. */
  readonly podDirectory?: string;
  readonly adminPorts: { readonly [S in Slot]: number };
  readonly replaceProxy: boolean;
  readonly controlPlane: boolean;
  /** Undefined: this node is installed without the API. */
  readonly api?: KubeApi;
  /** What comes after a node serves; its answer goes into the report. */
  readonly afterwards?: () => Promise<string>;
  /** Told how each pass went, before what comes afterwards. */
  readonly onResult?: (result: PassResult) => void;
}

export interface PassResult {
  readonly state: 'serving' | 'failed' | 'refused';
  readonly message: string;
  readonly slot?: Slot;
  readonly changed: readonly string[];
  readonly error?: FairleadError;
  /** Where pointing kubelet stands. */
  readonly kubelet?: string;
}

export interface InstallerDeps extends ReconcileDeps {
  readonly random?: () => number;
}

const reportAgainMs = 5 * 60_000;
const longestRetryMs = 10 * 60_000;

export class Installer {
  readonly #options: InstallerOptions;
  readonly #deps: InstallerDeps;
  #reported = '';
  #reportedMs = Number.NEGATIVE_INFINITY;
  #failures = 0;
  #failedDesired = '';
  #retryMs = 0;

  constructor(options: InstallerOptions, deps: InstallerDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  /** One pass and its report. Never rejects for what is expected. */
  async pass(): Promise<PassResult> {
    let result: PassResult;
    let image = '';
    try {
      const desired = await this.#desired();
      image = desired.image;
      const outcome: Outcome = await reconcile(desired, this.#deps);
      result = outcome;
    } catch (error) {
      if (!(error instanceof FairleadError)) throw error;
      const state =
        error.code === 'INSTALL_REFUSED' || error.code === 'CONFIG_INVALID' ? 'refused' : 'failed';
      this.#deps.log.warn({ code: error.code, reason: error.message }, 'installation refused or failed');
      result = { state, message: error.message, changed: [], error };
    }
    this.#options.onResult?.(result);
    const kubelet = result.state === 'serving' ? await this.#afterwards() : '';
    await this.#report(result, image, kubelet);
    return kubelet === '' ? result : { ...result, kubelet };
  }

  /** Passes until it is stopped; a desired state that failed is retried at growing intervals until it changes. */
  async watch(intervalMs: number): Promise<void> {
    const { isStopped = () => false, nowMs, random = Math.random } = this.#deps;
    while (!isStopped()) {
      const desired = await this.#desiredKey();
      if (desired !== this.#failedDesired || nowMs() >= this.#retryMs) {
        const { state } = await this.pass();
        this.#failures = state === 'serving' ? 0 : desired === this.#failedDesired ? this.#failures + 1 : 1;
        this.#failedDesired = state === 'serving' ? '' : desired;
        this.#retryMs = nowMs() + grownMs(this.#failures + 1, { firstMs: intervalMs, capMs: longestRetryMs });
      }
      // Not all nodes at once.
      const withinMs = jittered(intervalMs, 0.1, random);
      await waitUntil(async () => undefined, { withinMs, everyMs: 500 }, this.#deps);
    }
  }

  async #desired(): Promise<DesiredState> {
    const { configFile, templateFile, replaceProxy, adminPorts, api } = this.#options;
    // The pod stays for months: its token and CA are rotated meanwhile.
    await api?.renew();
    const ca = api?.ca;
    const { root } = this.#deps.files;
    if (!this.#options.controlPlane && (await nodeRole(root)) === 'control-plane') {
      throw new FairleadError(
        'INSTALL_REFUSED',
        'this is a control-plane node: its clients use the local API server. Use --control-plane to install here anyway',
      );
    }
    const [configText, template] = await Promise.all([readInput(configFile), readInput(templateFile)]);
    const loaded = await loadConfig({ file: configFile, env: {}, hostname: this.#options.node });
    if (!loaded.ok) {
      throw new FairleadError('CONFIG_INVALID', loaded.problems.map(formatProblem).join('\n'));
    }
    const image = await this.#options.image();
    if (image === undefined) {
      const message = 'the image is unknown: set --image, or allow the installer to read its own pod';
      throw new FairleadError('INSTALL_REFUSED', message);
    }
    return {
      template: template.toString('utf8'),
      image,
      configText,
      config: loaded.config,
      ...(ca !== undefined && { ca }),
      known: () => this.#known(loaded.config.discovery),
      podDirectory: await findPodDirectory(this.#deps.files, this.#options.podDirectory),
      adminPorts,
      replaceProxy,
    };
  }

  async #desiredKey(): Promise<string> {
    const { configFile, templateFile, image } = this.#options;
    const hash = createHash('sha256').update((await image().catch(() => '')) ?? '');
    for (const file of [configFile, templateFile]) hash.update(await readFileBytes(file).catch(() => ''));
    return hash.digest('hex');
  }

  async #known(discovery: Parameters<typeof knownEndpoints>[1]): Promise<readonly CachedEndpoint[]> {
    const { api } = this.#options;
    if (!api) return [];
    try {
      return await knownEndpoints(api, discovery);
    } catch (error) {
      // The node may have a list already; where it has none, the pass refuses and says so.
      this.#deps.log.info({ reason: messageOf(error) }, 'cannot list the API servers');
      return [];
    }
  }

  async #afterwards(): Promise<string> {
    try {
      return (await this.#options.afterwards?.()) ?? '';
    } catch (error) {
      const reason = messageOf(error);
      this.#deps.log.warn({ reason }, 'cannot point kubelet');
      return reason;
    }
  }

  async #report({ state, message, slot }: PassResult, image: string, kubelet: string): Promise<void> {
    const { api, node, version } = this.#options;
    const report: WrittenReport = {
      node,
      state,
      slot: slot === undefined ? '' : slotName(slot),
      message,
      image,
      version,
      kubelet,
    };
    const nowMs = this.#deps.nowMs();
    const text = JSON.stringify(report);
    if (!api || (text === this.#reported && nowMs - this.#reportedMs < reportAgainMs)) return;
    try {
      await writeReport(api, report, nowMs);
      this.#reported = text;
      this.#reportedMs = nowMs;
    } catch (error) {
      this.#deps.log.warn({ reason: messageOf(error) }, 'cannot write the report');
    }
  }
}

async function readInput(file: string): Promise<Buffer> {
  try {
    return await readFileBytes(file);
  } catch (error) {
    throw new FairleadError('INSTALL_REFUSED', messageOf(error), {
      cause: error,
    });
  }
}
