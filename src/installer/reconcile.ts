// Brings one node to the desired state: files, then a static pod, then nothing of the pod before it. Every file is
// replaced in one step, the manifest last, and the old pod goes only when the new one serves: so a node whose
// power goes between any two steps has the old state or the new one, and the next pass continues from there.
import { dirname, join } from 'node:path';
import type { Config } from '../config/config.ts';
import type { CachedEndpoint } from '../discovery/cache-format.ts';
import { decodeCache, encodeCache } from '../discovery/cache-format.ts';
import type { HostPort } from '../model/endpoint.ts';
import { FairleadError } from '../model/errors.ts';
import { bootSeedsFix } from '../adopt/boot-seeds.ts';
import { type AgentView, inWords, lackingOf, shortfallOf } from './agent-view.ts';
import { clientsOf, clientsOfByHand, forKubeconfigs, isServedBy } from './agent-clients.ts';
import { restoreTcpMigrateReq, enableTcpMigrateReq } from './tcp-migrate-req.ts';
import { byHandManifests, discardByHand, restoreByHand, retireByHand, setByHandAside } from './by-hand.ts';
import type { NodeFiles } from './node-files.ts';
import { openState, refuseToShare, takingOverPath } from './installer-state.ts';
import { restoreProxies, proxyManifests, setAside } from './proxy-pod.ts';
import {
  agentDirectories,
  caPath,
  configPath,
  manifestName,
  otherSlot,
  renderStaticPod,
  type Slot,
  slotName,
  slots,
} from './static-pod.ts';
import { type Pace, waitUntil } from '../lib/wait-until.ts';

/** What the node is to have. */
export interface DesiredState {
  readonly template: string;
  readonly image: string;
  /** The agent's configuration: its bytes, and what they mean. */
  readonly configText: Uint8Array;
  readonly config: Pick<Config, 'listeners' | 'endpoints' | 'discovery' | 'admin'>;
  /** The cluster's CA, PEM. */
  readonly ca?: string;
  /** API servers, as far as the API tells them: what the agent's cache begins with. Asked where there is no cache yet. */
  readonly known: () => Promise<readonly CachedEndpoint[]>;
  /** Where kubelet takes static pods from. */
  readonly podDirectory: string;
  readonly adminPorts: { readonly [S in Slot]: number };
  /** Set nginx-proxy's or haproxy's static pod aside. */
  readonly replaceProxy: boolean;
}

export interface ReconcileDeps extends Pace {
  readonly files: NodeFiles;
  readonly view: (port: number) => Promise<AgentView | undefined>;
  readonly log: { info(fields: object, message: string): void; warn(fields: object, message: string): void };
  /** How long a new pod may take until it serves. */
  readonly serveWithinMs: number;
  /** How long an old pod may take until it is gone: the grace of its tunnels, and some more. */
  readonly leaveWithinMs: number;
  /** Whether a process holds this address and says nothing there. Default: none does. */
  readonly isSilent?: (address: HostPort) => Promise<boolean>;
}

export type Outcome =
  | {
      readonly state: 'serving';
      readonly slot: Slot;
      readonly changed: readonly string[];
      readonly message: string;
    }
  | {
      readonly state: 'failed';
      readonly slot?: Slot;
      readonly changed: readonly string[];
      readonly message: string;
    };

const pollMs = 200;
/** kubelet's liveness probe replaces a hung agent within 25 s; so long after that it is left to it. */
const hungForMs = 40_000;

/** One pass. Rejects with INSTALL_REFUSED before anything is written, or with FILE_NOT_WRITTEN. */
export async function reconcile(desired: DesiredState, deps: ReconcileDeps): Promise<Outcome> {
  return new Pass(desired, deps).run();
}

class Pass {
  readonly #desired: DesiredState;
  readonly #deps: ReconcileDeps;
  readonly #changed: string[] = [];

  constructor(desired: DesiredState, deps: ReconcileDeps) {
    this.#desired = desired;
    this.#deps = deps;
  }

  async run(): Promise<Outcome> {
    const { files } = this.#deps;
    const rendered = { a: this.#render('a'), b: this.#render('b') };
    this.#distrustAgents();
    const cache = await this.#cacheToWrite();
    const present = await this.#present();
    await this.#refuseToStrand(present);
    const isAsDesired = async (slot: Slot) =>
      (await files.read(this.#manifest(slot)))?.equals(rendered[slot]) ?? false;
    const good: Slot[] = [];
    for (const slot of present) if (await isAsDesired(slot)) good.push(slot);

    const target = await this.#choose(present, good);
    await openState(files);
    const { ca, config, configText } = this.#desired;
    if (ca !== undefined) await this.#put(caPath, Buffer.from(ca));
    if (cache) await this.#put(cache.path, Buffer.from(cache.text));
    await this.#endHung(otherSlot(target));
    await this.#put(configPath(target), configText, 0o600);
    await this.#put(this.#manifest(target), rendered[target], 0o600);

    const problem = await this.#served(target);
    if (problem !== undefined) return this.#gaveUp(target, problem);
    await files.remove(takingOverPath);
    await discardByHand(files);
    const view = this.#deps.view;
    const own = () => view(this.#desired.adminPorts[target]);
    const shared = async () => (config.admin ? view(config.admin.port) : undefined);
    this.#changed.push(...(await retireByHand(this.#deps, { own, shared })));
    await this.#retire(otherSlot(target));
    if (this.#changed.length > 0)
      this.#deps.log.info({ slot: slotName(target) }, 'the agent on this node is serving');
    return {
      state: 'serving',
      slot: target,
      changed: this.#changed,
      message: `${slotName(target)} is serving`,
    };
  }

  /** Whatever the agent may write, the installer neither follows links in nor keeps notes in. */
  #distrustAgents(): void {
    const { template, config, podDirectory } = this.#desired;
    const { cacheFile } = config.discovery;
    const directories = [
      ...agentDirectories(template),
      ...(cacheFile === undefined ? [] : [dirname(cacheFile)]),
    ];
    refuseToShare(directories, podDirectory);
    this.#deps.files.distrust(directories);
  }

  #render(slot: Slot): Buffer {
    const { template, image, configText, config, adminPorts } = this.#desired;
    return Buffer.from(
      renderStaticPod({
        template,
        image,
        slot,
        config: configText,
        adminPort: adminPorts[slot],
        admin: config.admin,
      }),
    );
  }

  #manifest(slot: Slot): string {
    return join(this.#desired.podDirectory, manifestName(slot));
  }

  async #put(path: string, content: Uint8Array, mode?: number): Promise<void> {
    if (!(await this.#deps.files.put(path, content, mode))) return;
    this.#changed.push(path);
    this.#deps.log.info({ path }, 'file written');
  }

  async #present(): Promise<Slot[]> {
    const found: Slot[] = [];
    for (const slot of slots) {
      if ((await this.#deps.files.stat(this.#manifest(slot))) !== undefined) found.push(slot);
    }
    return found;
  }

  /** The cache belongs to the agent once it is there; before that it is what makes the first boot certain. */
  async #cacheToWrite(): Promise<{ path: string; text: string } | undefined> {
    const { config } = this.#desired;
    const path = config.discovery.cacheFile;
    if (path === undefined) {
      const message = `the configuration does not keep a list of API servers on disk (discovery.cacheFile). ${bootSeedsFix}`;
      throw new FairleadError('INSTALL_REFUSED', message);
    }
    const text = (await this.#deps.files.readDistrusted(path))?.toString('utf8');
    const reading = text === undefined ? undefined : decodeCache(text);
    if (reading?.ok && reading.value.endpoints.length > 0) return undefined;
    const known = await this.#desired.known();
    if (known.length > 0) {
      return { path, text: encodeCache({ endpoints: known, syncedAtMs: this.#deps.nowMs() }) };
    }
    if (config.endpoints.length > 0) return undefined;
    throw new FairleadError(
      'INSTALL_REFUSED',
      'no API server is known: none is configured or in the cache on this node, and the API could not be read; ' +
        `after a reboot the agent would not find one, because a kubeconfig that points at it names none. ${bootSeedsFix}`,
    );
  }

  /** What names the agent that is there must find the next one at the same address. */
  async #refuseToStrand(present: readonly Slot[]): Promise<void> {
    const next = forKubeconfigs(this.#desired.config);
    const { files } = this.#deps;
    const byHand = (await byHandManifests(files.root)).length > 0 ? await clientsOfByHand(files) : [];
    const clients = [...(await clientsOf(files, present)), ...byHand];
    const stranded = clients.filter(({ address }) => !isServedBy(address, next));
    if (stranded.length === 0) return;
    const list = stranded.map(({ file, server }) => `${file} (${server})`).join(', ');
    throw new FairleadError(
      'INSTALL_REFUSED',
      `the configuration no longer has a passthrough listener at the API server address of ${list}; keep that ` +
        'listener and add the new one, point the file at the new one (fairlead kubeconfig point), then remove the old one',
    );
  }

  /** The slot that is to stay. */
  async #choose(present: readonly Slot[], good: readonly Slot[]): Promise<Slot> {
    const [only] = good;
    if (only !== undefined && good.length === 1) return only;
    if (good.length > 1) return (await this.#serves('b')) && !(await this.#serves('a')) ? 'b' : 'a';
    const [first, second] = present;
    if (first === undefined) return 'a';
    if (second === undefined) return otherSlot(first);
    // Two pods, and neither is the desired one: an update that was cut short. The one that serves stays meanwhile.
    return (await this.#serves('b')) && !(await this.#serves('a')) ? 'a' : 'b';
  }

  async #serves(slot: Slot): Promise<boolean> {
    return (await this.#view(slot))?.isReady ?? false;
  }

  /** The agent that this manifest has started; one that is older is still ending. */
  async #view(slot: Slot): Promise<AgentView | undefined> {
    const { view: ask, files, nowMs, leaveWithinMs } = this.#deps;
    const view = await ask(this.#desired.adminPorts[slot]);
    const writtenMs = (await files.stat(this.#manifest(slot)))?.mtimeMs;
    if (!view || writtenMs === undefined) return undefined;
    // What ends is gone after a while, and the node's clock may have been another one when it booted.
    const ageMs = nowMs() - writtenMs;
    const isSettled =
      !this.#changed.includes(this.#manifest(slot)) && (ageMs < -leaveWithinMs || ageMs > leaveWithinMs);
    return isSettled || view.startedAtMs >= Math.floor(writtenMs) ? view : undefined;
  }

  /** Undefined when the agent serves, else what keeps it from that. */
  async #served(slot: Slot): Promise<string | undefined> {
    const { serveWithinMs, isStopped = () => false, files, log } = this.#deps;
    let problem = 'kubelet has not started it';
    const look = async (): Promise<{ readonly shortfall: string | undefined } | undefined> => {
      const view = await this.#view(slot);
      if (view) {
        const shortfall = shortfallOf(view);
        if (shortfall === undefined) return { shortfall };
        problem = shortfall;
      }
      if (view && view.waitingFor.length > 0) {
        const holders = await proxyManifests(files.root);
        problem = `it waits for ${view.waitingFor.join(', ')}, which another process holds`;
        if (holders.length > 0 && !this.#desired.replaceProxy) {
          return { shortfall: `${problem} (${holders.join(', ')}); --replace-proxy replaces it` };
        }
        const byHand = await byHandManifests(files.root);
        const lacks = lackingOf(view);
        if (lacks.length > 0 && view.hasUsableEndpoint)
          problem = `it lacks what its configuration requires: ${inWords(lacks)}`;
        // Only now: the agent is up, has all that it is to have, and needs nothing but the port.
        if (holders.length > 0 && view.hasUsableEndpoint && lacks.length === 0) {
          log.info({ manifests: holders }, 'moved the static pod of another load balancer aside');
          await files.put(takingOverPath, Buffer.from(''), 0o600);
          await setAside(files, holders);
          this.#changed.push(...holders);
        }
        if (byHand.length > 0 && view.hasUsableEndpoint && lacks.length === 0) {
          log.info({ manifests: byHand }, 'static pod of the agent that was adopted by hand set aside');
          await files.put(takingOverPath, Buffer.from(''), 0o600);
          await setByHandAside(files, byHand);
          this.#changed.push(...byHand);
        }
      }
      return undefined;
    };
    const decided = await waitUntil(look, { withinMs: serveWithinMs, everyMs: pollMs }, this.#deps);
    if (decided) return decided.shortfall;
    if (isStopped()) return 'the installer was stopped';
    return `${problem} (waited ${serveWithinMs / 1000} s)`;
  }

  /** What was serving before keeps serving. */
  async #gaveUp(slot: Slot, problem: string): Promise<Outcome> {
    const { files, log, isStopped = () => false } = this.#deps;
    const message = `${slotName(slot)} is not serving: ${problem}`;
    log.warn({ slot: slotName(slot), problem }, 'the agent on this node is not serving');
    if (!isStopped()) {
      const hasOther = (await files.stat(this.#manifest(otherSlot(slot)))) !== undefined;
      // What an earlier pass has set aside stays there: an outage of all API servers does not undo it.
      const isTakingOver = (await files.stat(takingOverPath)) !== undefined;
      const { podDirectory } = this.#desired;
      const restored = isTakingOver
        ? [...(await restoreProxies(files, podDirectory)), ...(await restoreByHand(files, podDirectory))]
        : [];
      await files.remove(takingOverPath);
      const kept = hasOther
        ? await this.#compare(slot)
        : { name: restored.join(', '), isBetter: true, note: '' };
      const byHand = await byHandManifests(files.root);
      if (!hasOther && restored.length === 0 && byHand.length > 0) {
        kept.name = byHand.join(', ');
        kept.isBetter = (await this.#view(slot))?.isReady !== true;
      }
      const hasBefore = hasOther || restored.length > 0 || byHand.length > 0;
      if (hasBefore && !kept.isBetter) {
        const both = hasOther
          ? `${message}; ${kept.name} is not serving either: both stay`
          : `${message}; it and ${kept.name} both stay`;
        return { state: 'failed', slot, changed: this.#changed, message: both };
      }
      if (hasBefore) {
        await files.remove(this.#manifest(slot));
        await files.remove(configPath(slot));
        const whole = `${message}; ${kept.name} stays${kept.note}`;
        return { state: 'failed', slot, changed: this.#changed, message: whole };
      }
    }
    return { state: 'failed', slot, changed: this.#changed, message };
  }

  /** The agent in the other slot beside the one that does not serve. */
  async #compare(slot: Slot): Promise<{ name: string; isBetter: boolean; note: string }> {
    const other = otherSlot(slot);
    const [mine, before] = [await this.#view(slot), await this.#deps.view(this.#desired.adminPorts[other])];
    // One that lacks something and carries clients is not taken away for one that carries none.
    const isBetter = !(mine?.isReady === true && before?.isReady !== true);
    const lacks = mine ? lackingOf(mine).map(({ code }) => code) : [];
    const had = new Set(before?.problems.map(({ code }) => code));
    const worse = before ? lacks.filter((code) => !had.has(code)) : [];
    const note =
      worse.length > 0
        ? ` (which does not report ${worse.join(', ')})`
        : lacks.length > 0
          ? ' (which has the same problems)'
          : '';
    return { name: slotName(other), isBetter, note };
  }

  /**
   * An agent that hangs keeps its share of the port: the kernel gives it new clients, which get no answer, however well
   * the one beside it serves. So it goes first, unless kubelet replaces it.
   */
  async #endHung(slot: Slot): Promise<void> {
    const { files, log, leaveWithinMs, isStopped = () => false } = this.#deps;
    if ((await files.stat(this.#manifest(slot))) === undefined || !(await this.#isHung(slot))) return;
    const answers = async () => !(await this.#isHung(slot)) || undefined;
    const isBack = await waitUntil(answers, { withinMs: hungForMs, everyMs: pollMs }, this.#deps);
    if (isBack || isStopped()) return;
    log.warn(
      { slot: slotName(slot) },
      'the agent hangs and kubelet has not replaced it: removed before the next one starts',
    );
    await files.remove(this.#manifest(slot));
    this.#changed.push(this.#manifest(slot));
    await waitUntil(answers, { withinMs: leaveWithinMs, everyMs: pollMs }, this.#deps);
  }

  /** Neither its own admin port nor the listener answers: a crowded admin port alone is not a hung agent. */
  async #isHung(slot: Slot): Promise<boolean> {
    const { view, isSilent = async () => false } = this.#deps;
    const port = this.#desired.adminPorts[slot];
    if ((await view(port)) !== undefined) return false;
    const [listener] = forKubeconfigs(this.#desired.config);
    const addresses = [{ host: '127.0.0.1', port }, ...(listener ? [listener] : [])];
    return (await Promise.all(addresses.map(isSilent))).every(Boolean);
  }

  async #retire(slot: Slot): Promise<void> {
    const { files, log, view, leaveWithinMs } = this.#deps;
    if ((await files.stat(this.#manifest(slot))) !== undefined) {
      const why = await enableTcpMigrateReq(files);
      if (why !== undefined) log.info({ reason: why }, 'tcp_migrate_req is not changed');
      await files.remove(this.#manifest(slot));
      this.#changed.push(this.#manifest(slot));
      log.info({ slot: slotName(slot) }, 'removing the previous agent');
      const isGone = async () => (await view(this.#desired.adminPorts[slot])) === undefined || undefined;
      await waitUntil(isGone, { withinMs: leaveWithinMs, everyMs: pollMs }, this.#deps);
    }
    await restoreTcpMigrateReq(files);
    await files.remove(configPath(slot));
  }
}
