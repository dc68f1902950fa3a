// etcd behind a load balancer, as Kubespray's HA document allows: the addresses that API servers use, the
// names that etcd's certificates must have for them, and what is easily forgotten. Pure.
import { isIP } from 'node:net';
import { canonicalHost } from '../../model/endpoint.ts';
import type { EtcdVars } from './vars.ts';
import { withoutBrackets } from '../../model/host.ts';

export interface EtcdAccess {
  /** What API servers are given: `etcd_access_addresses`. */
  readonly accessAddresses: readonly string[];
  /** What each member advertises: `etcd_client_url`. */
  readonly clientUrl?: string;
  /** The names and addresses that etcd's certificates must have beside the members' own. */
  readonly certAltNames: readonly string[];
  readonly certAltIps: readonly string[];
  readonly warnings: readonly string[];
}

export type EtcdResult =
  | ({ readonly ok: true } & EtcdAccess)
  | { readonly ok: false; readonly problem: string };

/** Kubespray's default names, which an override must repeat; the domain is the cluster's. */
const defaultNames = ['etcd.kube-system.svc', 'etcd.kube-system', 'etcd'] as const;

/** Undefined when the inventory says nothing of it: API servers then know every member by itself. */
export function etcdAccess(vars: EtcdVars): EtcdResult | undefined {
  if (Object.keys(vars).length === 0) return undefined;
  const texts = (vars.accessAddresses ?? '').split(',').filter((text) => text !== '');
  const urls: URL[] = [];
  for (const text of [...texts, ...(vars.clientUrl === undefined ? [] : [vars.clientUrl])]) {
    const url = URL.parse(text.trim());
    if (url?.protocol !== 'https:' || url.pathname !== '/') {
      const problem = `etcd_access_addresses and etcd_client_url must be URLs such as https://etcd.example.com:2379; found ${JSON.stringify(text)}`;
      return { ok: false, problem };
    }
    urls.push(url);
  }
  const [names, ips] = [vars.certAltNames ?? [], (vars.certAltIps ?? []).map(canonicalHost)];
  return {
    ok: true,
    accessAddresses: texts.map((text) => text.trim()),
    ...(vars.clientUrl !== undefined && { clientUrl: vars.clientUrl }),
    certAltNames: names,
    certAltIps: ips,
    warnings: [...warnings(vars, urls, names, ips)],
  };
}

function* warnings(
  vars: EtcdVars,
  urls: readonly URL[],
  names: readonly string[],
  ips: readonly string[],
): Generator<string> {
  for (const [one, other] of [
    ['accessAddresses', 'clientUrl'],
    ['clientUrl', 'accessAddresses'],
  ] as const) {
    if (vars[one] !== undefined && vars[other] === undefined) {
      const [set, unset] = [variable[one], variable[other]];
      yield `${set} is set but ${unset} is not: a load balancer in front of etcd needs both`;
    }
  }
  for (const host of new Set(urls.map(({ hostname }) => withoutBrackets(hostname)))) {
    if (isIP(host) !== 0) {
      if (!ips.includes(canonicalHost(host))) {
        yield `etcd_cert_alt_ips lacks ${host}: etcd's certificate would not verify for it`;
      }
    } else if (!names.includes(host)) {
      yield `etcd_cert_alt_names lacks ${host}: etcd's certificate would not verify for it`;
    }
  }
  if (vars.certAltNames === undefined) return;
  const missing = defaultNames.filter((name) => !names.includes(name));
  if (missing.length > 0) {
    yield `etcd_cert_alt_names replaces Kubespray's default names and lacks ${missing.join(', ')}: repeat them`;
  }
}

const variable = { accessAddresses: 'etcd_access_addresses', clientUrl: 'etcd_client_url' } as const;
