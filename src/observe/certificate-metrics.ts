// Metrics about certificates: when they expire, and what they mean for the order of the endpoints.
import type { EndpointId } from '../model/endpoint.ts';

/** Wall milliseconds. */
export interface Validity {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** What is known of the certificates of one pool. */
export interface CertificateNumbers {
  /** Of the certificate that each endpoint showed last. */
  readonly serving: readonly (Validity & { readonly endpoint: EndpointId })[];
  readonly client?: Validity;
  /** Of the CA that expires last: until then something can be verified. */
  readonly ca?: Validity;
  readonly demoted: readonly { readonly endpoint: EndpointId; readonly reason: string }[];
  /** Names that clients verify, and that no endpoint's certificate has. */
  readonly missingNames: readonly string[];
  readonly isClockSuspect: boolean;
}

/** As MetricDefinition in metrics.ts, which these are a part of. */
interface CertificateMetric {
  readonly name: string;
  readonly of: 'pool';
  readonly type: 'gauge';
  readonly help: string;
  readonly labels: readonly string[];
  collect(sources: { certificates(): CertificateNumbers }): readonly {
    readonly labels: Readonly<Record<string, string>>;
    readonly value: number;
  }[];
}

const seconds = (ms: number): number => Math.round(ms / 1_000);

export const certificateMetrics: readonly CertificateMetric[] = [
  {
    name: 'fairlead_endpoint_certificate_not_before_timestamp_seconds',
    of: 'pool',
    type: 'gauge',
    help: 'Start of the validity of the last certificate from each endpoint, since the epoch.',
    labels: ['endpoint'],
    collect: ({ certificates }) =>
      certificates().serving.map(({ endpoint, notBeforeMs }) => ({
        labels: { endpoint },
        value: seconds(notBeforeMs),
      })),
  },
  {
    name: 'fairlead_endpoint_certificate_not_after_timestamp_seconds',
    of: 'pool',
    type: 'gauge',
    help: 'Expiry of the last certificate from each endpoint, since the epoch.',
    labels: ['endpoint'],
    collect: ({ certificates }) =>
      certificates().serving.map(({ endpoint, notAfterMs }) => ({
        labels: { endpoint },
        value: seconds(notAfterMs),
      })),
  },
  {
    name: 'fairlead_client_certificate_not_before_timestamp_seconds',
    of: 'pool',
    type: 'gauge',
    help: "Start of the validity of the agent's own client certificate, since the epoch. Absent if it has none.",
    labels: [],
    collect: ({ certificates }) => of(certificates().client?.notBeforeMs),
  },
  {
    name: 'fairlead_client_certificate_not_after_timestamp_seconds',
    of: 'pool',
    type: 'gauge',
    help: "Expiry of the agent's own client certificate, since the epoch. Absent if it has none.",
    labels: [],
    collect: ({ certificates }) => of(certificates().client?.notAfterMs),
  },
  {
    name: 'fairlead_ca_certificate_not_after_timestamp_seconds',
    of: 'pool',
    type: 'gauge',
    help: 'Expiry of the CA that verifies endpoints (the latest, if there are several), since the epoch.',
    labels: [],
    collect: ({ certificates }) => of(certificates().ca?.notAfterMs),
  },
  {
    name: 'fairlead_endpoint_demoted',
    of: 'pool',
    type: 'gauge',
    help: 'Always 1, for a usable endpoint that ranks after the others because of its certificate. Reasons: client-name, expired, unproven.',
    labels: ['endpoint', 'reason'],
    collect: ({ certificates }) =>
      certificates().demoted.map(({ endpoint, reason }) => ({ labels: { endpoint, reason }, value: 1 })),
  },
  {
    name: 'fairlead_client_names_missing',
    of: 'pool',
    type: 'gauge',
    help: 'Names that clients verify (from the configuration or the kubeconfig) and that no endpoint certificate contains.',
    labels: [],
    collect: ({ certificates }) => [{ labels: {}, value: certificates().missingNames.length }],
  },
  {
    name: 'fairlead_clock_suspect',
    of: 'pool',
    type: 'gauge',
    help: 'Whether every serving certificate looks expired or not yet valid, so that the clock of this node is probably wrong.',
    labels: [],
    collect: ({ certificates }) => [{ labels: {}, value: certificates().isClockSuspect ? 1 : 0 }],
  },
];

function of(ms: number | undefined) {
  return ms === undefined ? [] : [{ labels: {}, value: seconds(ms) }];
}
