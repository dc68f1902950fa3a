import { readFileSync } from 'node:fs';
import {
  type PoolMetricSources,
  type MetricSources,
  metricDefinitions,
  ProbeCounters,
  renderMetrics,
  samplesOf,
} from '../../../src/observe/metrics.ts';
import { makeEndpoint } from '../../../src/model/endpoint.ts';

const endpoint = { ...makeEndpoint('10.0.0.1', 6443), tier: 'discovered', sources: ['watch'] } as const;

function sources(): MetricSources {
  return {
    version: '1.2.3',
    syncedAtMs: () => 1_000,
    watchFailures: () => 2,
    wallMs: () => 4_500,
    tunnelLimit: () => 1_000,
    held: () => [{ kind: 'readBuffers', bytes: 65_536, maxBytes: 1_000_000 }],
    pools: [
      { labels: {}, sources: poolSources() },
      { labels: { pool: 'etcd' }, sources: poolSources() },
    ],
  };
}

function poolSources(): PoolMetricSources {
  const probes = new ProbeCounters();
  probes.observe(endpoint.id, 'L7OK/200', 3);
  probes.observe(endpoint.id, 'L7OK/200', 9_000);
  return {
    snapshot: () => ({
      version: 7,
      atMs: 0,
      candidates: [endpoint],
      usableCount: 1,
      endpoints: [
        {
          endpoint,
          verdict: 'ready',
          reason: { code: 'L7OK', status: 200 },
          sinceMs: 0,
          isUsable: true,
          isVerified: true,
        },
      ],
    }),
    traffic: () => ({ activeTunnels: 2, totalTunnels: 5, bytesUp: 10, bytesDown: 20 }),
    endpointsWithTraffic: () => [endpoint.id],
    dials: () => [{ endpoint: endpoint.id, result: 'refused', count: 3 }],
    probes,
    acceptFailures: () => 6,
    problems: () => [{ code: 'CA_UNREADABLE' }, { code: 'CA_UNREADABLE' }],
    isVerificationAsked: () => true,
    certificates: () => ({
      serving: [{ endpoint: endpoint.id, notBeforeMs: 1_000, notAfterMs: 2_000 }],
      client: { notBeforeMs: 3_000, notAfterMs: 4_000 },
      ca: { notBeforeMs: 5_000, notAfterMs: 6_000 },
      demoted: [{ endpoint: endpoint.id, reason: 'client-name' }],
      missingNames: ['api.example'],
      isClockSuspect: false,
    }),
    closings: () => [{ reason: 'limit', count: 1 }],
    replays: () => [{ result: 'sent', count: 4 }],
    http: () => ({
      inFlight: 7,
      cut: 8,
      retries: { unsent: 9 },
      requests: () => [{ verb: 'GET', code: '200', endpoint: endpoint.id, count: 10 }],
    }),
  };
}

test('the scrape is valid exposition text with the values of now', async () => {
  const { body, contentType } = await renderMetrics(sources());
  expect(contentType).toContain('text/plain');
  for (const line of [
    'fairlead_endpoint_verdict{endpoint="10.0.0.1:6443",verdict="ready"} 1',
    'fairlead_endpoint_verdict{endpoint="10.0.0.1:6443",verdict="dead"} 0',
    'fairlead_discovery_age_seconds 3.5',
    'fairlead_tunnel_bytes_total{endpoint="10.0.0.1:6443",direction="down"} 20',
    'fairlead_dials_total{endpoint="10.0.0.1:6443",result="refused"} 3',
    'fairlead_http_requests_total{verb="GET",code="200",endpoint="10.0.0.1:6443"} 10',
    'fairlead_http_requests_in_flight 7',
    'fairlead_http_retries_total{reason="unsent"} 9',
    'fairlead_http_answers_cut_total 8',
    'fairlead_probe_duration_seconds_bucket{endpoint="10.0.0.1:6443",le="0.005"} 1',
    'fairlead_probe_duration_seconds_bucket{endpoint="10.0.0.1:6443",le="+Inf"} 2',
    'fairlead_probe_duration_seconds_count{endpoint="10.0.0.1:6443"} 2',
    'fairlead_probes_total{endpoint="10.0.0.1:6443",result="L7OK/200"} 2',
    'fairlead_accept_failures_total 6',
    'fairlead_accept_failures_total{pool="etcd"} 6',
    'fairlead_tunnels{endpoint="10.0.0.1:6443",pool="etcd"} 2',
  ]) {
    expect(body.split('\n')).toContain(line);
  }
});

test('every sample has exactly the labels of its definition, and its pool where that is not the API servers', () => {
  const live = sources();
  for (const definition of metricDefinitions) {
    const { name, labels, of } = definition;
    const samples = samplesOf(definition, live);
    for (const [index, sample] of samples.entries()) {
      const given = Object.keys(sample.labels).filter((label) => label !== 'le');
      const isOther = of === 'pool' && index >= samples.length / 2;
      expect({ name, given }).toEqual({ name, given: isOther ? [...labels, 'pool'] : [...labels] });
    }
  }
});

test('docs/metrics.md lists every metric with its type, labels and meaning, and no other', () => {
  const rows = readFileSync('docs/metrics.md', 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.replaceAll(/ +/g, ' '));
  const wanted = metricDefinitions.map(({ name, type, labels, help }) =>
    `| \`${name}\` | ${type} | ${labels.map((l) => `\`${l}\``).join(', ')} | ${help} |`.replaceAll(
      / +/g,
      ' ',
    ),
  );
  expect(rows).toEqual(wanted);
});
