// Why Fairlead loses a cell where it does so knowingly. Printed for cells that were lost in the run only; a lost
// cell without an entry here fails the run.
import type { MetricId } from './metrics.ts';
import type { PeerName, ScenarioName } from './options.ts';

interface Explanation {
  readonly scenario: ScenarioName;
  readonly metrics: readonly MetricId[];
  /** Only against these. */
  readonly peers?: readonly PeerName[];
  readonly text: string;
}

const explanations: readonly Explanation[] = [
  {
    scenario: 'etcd-lost-to-one',
    metrics: ['failedNew'],
    text:
      'All new connections of a node go to the API server that it prefers, and here that is the one that fails. The first that ' +
      'hang ask for a probe after 500 ms, and the 500 that this brings sends everybody elsewhere: the failures are those of two ' +
      'thirds of a second. Least-connections goes round a server whose requests hang, because they count as connections, and ' +
      'gives it one connection after the other for as long as the trouble lasts; where the failure is quick instead, it gives it ' +
      'its full share (the scenario in which everything is answered with 500). In a fleet two of three nodes prefer another ' +
      'API server and see no failure at all. `balance.policy: least-connections` is there for those who prefer that.',
  },
  {
    scenario: 'errors',
    metrics: ['failedNew'],
    peers: ['haproxy-tuned'],
    text:
      'Fairlead finds out at its next probe, 2 s later at most, and until then all connections of the node go to the API server ' +
      'that it prefers, which here is the one that fails. Tuned HAProxy needs two checks, 0.5 to 2.5 s, in which a third of the ' +
      'connections of every node fails. In a fleet two of three Fairleads prefer another API server: on average ' +
      'fewer connections fail.',
  },
  {
    scenario: 'etcd-lost-to-one',
    metrics: ['gap'],
    peers: ['haproxy-tuned'],
    text: establishedOfSick(),
  },
  {
    scenario: 'readyz-hangs',
    metrics: ['gap'],
    peers: ['haproxy-tuned'],
    text: establishedOfSick(),
  },
  {
    scenario: 'readyz-hangs',
    metrics: ['failedNew'],
    text:
      'As in the scenario before: the first requests that hang, on the API server that the node prefers, are what tells. From ' +
      'the first check that is late (0.2 s) on, new connections go elsewhere.',
  },
  {
    scenario: 'errors',
    metrics: ['gap'],
    peers: ['haproxy-tuned'],
    text: establishedOfSick(),
  },
  {
    scenario: 'unlisted-reboot',
    metrics: ['slowestNew', 'gap', 'firstAnswer'],
    text:
      'Of the API servers that are back a new agent knows only that they were good once, and their addresses may be those of ' +
      'other hosts by now. So it first finds the listed one dead and verifies a certificate, which takes a tenth of a second. ' +
      'Proxies dial whatever is in their file.',
  },
  {
    scenario: 'at-rest',
    metrics: ['requests'],
    peers: ['haproxy', 'nginx'],
    text:
      'Fairlead asks the API server in use every 2 s, to notice within that time what a TCP connection does not tell, on a ' +
      'connection that it keeps; the others once a minute. What an API server pays for checks is their TLS handshakes ' +
      'much rather than their requests: see handshakes and CPU time. nginx asks nothing, and notices nothing.',
  },
  {
    scenario: 'at-rest',
    metrics: ['cpu'],
    peers: ['haproxy'],
    text:
      'With ten nodes it is not the checks that cost but waking a process that sleeps, about 0.9 ms for a request here, and ' +
      'Fairlead asks more often. In a fleet, where checks cost anything that matters, a request on a kept connection costs a ' +
      'quarter of that or less, and a handshake still more than half: see the next line. The certificates here are ECDSA; the RSA ones of kubeadm make ' +
      'handshakes dearer still.',
  },
  {
    scenario: 'own-network',
    metrics: ['gap'],
    peers: ['haproxy-tuned'],
    text:
      'Fairlead cuts nothing while nobody can be reached. What is kept goes on at the next retransmission of TCP, whose intervals ' +
      'double: after 8 s of silence up to 6.4 s later. Clients of tuned HAProxy, which cut them all, connect anew at once, ' +
      'every one of them, with all their watches.',
  },
  {
    scenario: 'all-down',
    metrics: ['held'],
    peers: ['nginx', 'haproxy-tuned'],
    text:
      'With every API server down Fairlead tries all of them for each client, and resets it after 2 s, in case one comes back; ' +
      'nginx gives up after its connect timeout of 1 s. Both are short enough for clients to try again.',
  },
  {
    scenario: 'at-rest',
    metrics: ['handshakes', 'cpu', 'cpuFleet'],
    peers: ['nginx'],
    text: 'nginx has no checks, which cost nothing: see above what that does to clients.',
  },
];

function establishedOfSick(): string {
  return (
    'Before Fairlead closes what is established it asks the other API servers once more, 0.6 to 0.8 s after the verdict, since ' +
    'an etcd that is lost to all is seen by one of them first; a check that hangs is given 1.6 s, as one that is merely ' +
    'slow closes nothing. HAProxy cuts after two failed checks, and cuts everyone when etcd itself fails: see the scenario ' +
    'in which etcd is away.'
  );
}

export function explain(scenario: ScenarioName, metric: MetricId, peer: PeerName): string | undefined {
  return explanations.find(
    (entry) =>
      entry.scenario === scenario &&
      entry.metrics.includes(metric) &&
      (entry.peers === undefined || entry.peers.includes(peer)),
  )?.text;
}
