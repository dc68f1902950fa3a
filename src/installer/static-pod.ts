// The static pod of one slot, rendered from the template that the installation carries (manifests/static-pod).
// Two slots alternate, so that the pod of an update starts beside the one that serves; each has a name, a
// configuration file and an admin port of its own. Pure.
import { createHash } from 'node:crypto';
import { normalize } from 'node:path';
import { isMap, isSeq, parseDocument, type YAMLMap } from 'yaml';
import { formatHostPort, type HostPort } from '../model/endpoint.ts';
import { FairleadError } from '../model/errors.ts';

export const slots = ['a', 'b'] as const;
export type Slot = (typeof slots)[number];
export const otherSlot = (slot: Slot): Slot => (slot === 'a' ? 'b' : 'a');

/** Of the pod, its manifest and its configuration. */
export const slotName = (slot: Slot) => `fairlead-${slot}`;
export const configDirectory = '/etc/fairlead';
export const configPath = (slot: Slot) => `${configDirectory}/${slotName(slot)}.yaml`;
export const caPath = `${configDirectory}/ca.crt`;
export const manifestName = (slot: Slot) => `${slotName(slot)}.yaml`;

export interface PodInput {
  /** A Pod with a container named fairlead. */
  readonly template: string;
  readonly slot: Slot;
  /** By digest, so that the node runs what was tested. */
  readonly image: string;
  readonly config: Uint8Array;
  /** Port on 127.0.0.1 where kubelet's probes find this pod and no other. */
  readonly adminPort: number;
  /** The address that both pods share, as the configuration has it. */
  readonly admin: HostPort | false;
}

const header =
  '# Written by fairlead install, which reverts changes to this file. Remove it with fairlead uninstall.\n';
const containerName = 'fairlead';

export function renderStaticPod({ template, slot, image, config, adminPort, admin }: PodInput): string {
  const document = parseDocument(template, { logLevel: 'silent' });
  const refuse = (what: string) =>
    new FairleadError('INSTALL_REFUSED', `the template of the static pod ${what}`);
  const [mistake] = document.errors;
  if (mistake) throw refuse(`is not YAML: ${mistake.message.split('\n')[0]}`);
  const containers = document.getIn(['spec', 'containers']);
  if (document.get('kind') !== 'Pod' || !isSeq(containers)) throw refuse('is not a Pod');
  const container = containers.items.find(
    (item): item is YAMLMap => isMap(item) && item.get('name') === containerName,
  );
  if (!container) throw refuse(`has no container named ${containerName}`);

  document.setIn(['metadata', 'name'], slotName(slot));
  // Another configuration is another manifest: so it is rolled out as an update is.
  const checksum = createHash('sha256').update(config).digest('hex');
  document.setIn(['metadata', 'annotations', 'fairlead/config-checksum'], checksum);
  container.set('image', image);
  container.set('args', [
    'run',
    '--config',
    configPath(slot),
    '--reuse-port',
    '--wait-for-port',
    '--own-admin',
    `127.0.0.1:${adminPort}`,
  ]);
  setEnv(container, 'FAIRLEAD_ADMIN', formatHostPort(admin || { host: '127.0.0.1', port: adminPort }));
  for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe']) {
    if (container.hasIn([probe, 'httpGet'])) container.setIn([probe, 'httpGet', 'port'], adminPort);
  }
  document.commentBefore = null;
  return header + document.toString({ lineWidth: 0 });
}

/** Directories of the node that the pod's containers may write. A template that is not a Pod has none. */
export function agentDirectories(template: string): string[] {
  const pod: unknown = parseDocument(template, { logLevel: 'silent' }).toJS();
  const spec = at(pod, 'spec');
  const mounts = ['containers', 'initContainers']
    .flatMap((key) => list(at(spec, key)))
    .flatMap((container) => list(at(container, 'volumeMounts')))
    .filter((mount) => at(mount, 'readOnly') !== true)
    .map((mount) => at(mount, 'name'));
  return list(at(spec, 'volumes')).flatMap((volume) => {
    const path = at(at(volume, 'hostPath'), 'path');
    return typeof path === 'string' && mounts.includes(at(volume, 'name')) ? [normalize(path)] : [];
  });
}

const at = (value: unknown, key: string): unknown =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined;
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

/** For commands that are run in the container; the agent itself is told by its configuration. */
function setEnv(container: YAMLMap, name: string, value: string): void {
  const env = container.get('env');
  if (!isSeq(env)) return;
  const entry = env.items.find((item): item is YAMLMap => isMap(item) && item.get('name') === name);
  entry?.set('value', value);
}
