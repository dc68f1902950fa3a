// The rows of the table: faults of test/support/faults with windows that are long enough for those who need longer, and
// which figures say how a client fared.
import { setTimeout as sleep } from 'node:timers/promises';
import { rendezvousOrder } from '../../src/balance/pick-order.ts';
import type { Lab } from '../../test/support/faults/lab.ts';
import * as faults from '../../test/support/faults/scenarios.ts';
import type { Judged } from './metrics.ts';
import type { ScenarioName } from './options.ts';

export interface BenchScenario extends faults.Scenario, Judged {
  /** What happens, for the table. */
  readonly title: string;
  /** Work enough to keep the machine busy by itself: a standstill is part of it. */
  readonly isHeavy?: true;
}

const peaceMs = 1_000;
/** After a silent fault: HAProxy tuned needs 3 to 5 s, others are shown as "more than". */
const silentMs = 6_000;
/** After the end of an outage. */
const returnMs = 8_000;
/** Start-up, and how long a stopping API server serves its watches: as real ones, but for the 60 s of a real drain. */
const drainMs = 3_000;
export const labTimings = { silentMs: 800, forbiddenMs: 120, hooksMs: 1_000, drainMs };

const usual = ['failedNew', 'slowestNew', 'gap'] as const;

function threeOf({ servers: [first, second, third] }: Lab) {
  if (!first || !second || !third) throw new Error('the lab has three API servers');
  return [first, second, third] as const;
}

const coldStart: faults.Scenario = {
  load: { http1: 0, http2: 0, watches: 0 },
  startsEarly: true,
  async beforeStart({ lab, endpoints }) {
    // Fairlead's first two choices, which is the worst for it; the others have no favourites.
    const order = rendezvousOrder('node-1', endpoints);
    const [first, second] = order.map((id) => lab.servers.find(({ address }) => address === id));
    if (!first || !second) throw new Error('the servers are the endpoints');
    await lab.wire.unplug(lab.hostOf(first));
    await second.freeze();
    return {};
  },
  script: () => sleep(6_000),
};

const allDown: faults.Scenario = {
  async script({ lab, mark }) {
    const [first, second, third] = threeOf(lab);
    await sleep(peaceMs);
    mark('fault');
    await Promise.all([lab.kill(first), lab.kill(second), lab.wire.unplug(lab.hostOf(third))]);
    mark('struck');
    await sleep(20_000);
    await lab.startServer(second);
    await second.ready();
    mark('back');
    await sleep(returnMs);
  },
};

/** Longer than two dead API servers stay listed: a lease of 15 s, looked at every 10 s. */
const unlistedAfterMs = 27_000;

/**
 * Two die and leave the EndpointSlice, the third dies, the two come back. Who finds API servers by itself is told of the
 * third only; the others have all three in their file. The balancer continues, or starts anew while all are away, or when they
 * are back.
 */
const unlisted = (restarts: 'never' | 'meanwhile' | 'afterwards'): faults.Scenario => ({
  beforeStart: ({ lab }) => Promise.resolve({ toldOf: [threeOf(lab)[2].address] }),
  async script({ lab, mark, restart }) {
    const [first, second, third] = threeOf(lab);
    // What is found is on disk within two seconds.
    await sleep(3 * peaceMs);
    mark('fault');
    await Promise.all([lab.kill(first), lab.kill(second)]);
    await sleep(unlistedAfterMs);
    await lab.kill(third);
    mark('struck');
    if (restarts === 'meanwhile') await restart();
    await sleep(2_000);
    await Promise.all([lab.startServer(first), lab.startServer(second)]);
    await Promise.race([first.ready(), second.ready()]);
    if (restarts === 'afterwards') await restart();
    mark('back');
    await sleep(returnMs);
  },
});

const replaced: faults.Scenario = {
  async beforeStart({ lab }) {
    const [first, second, third] = threeOf(lab);
    await lab.terminate(third, { delayMs: 0 });
    return { endpoints: [first.address, second.address] };
  },
  async script({ lab, mark }) {
    const [first, second, third] = threeOf(lab);
    await sleep(peaceMs);
    mark('fault');
    await lab.startServer(third);
    await third.ready();
    await sleep(3_000);
    await lab.terminate(first, { delayMs: 2_000 });
    await sleep(1_000);
    await lab.terminate(second, { delayMs: 2_000 });
    await sleep(4_000);
  },
};

export const trialScenarios: Readonly<Record<Exclude<ScenarioName, 'at-rest'>, BenchScenario>> = {
  kill: { ...faults.kill(3_000), title: 'the process of one API server is killed', metrics: usual },
  'black-hole': { ...faults.blackHole(silentMs), title: 'one host loses power', metrics: usual },
  'link-down': { ...faults.linkDown(silentMs), title: "one host's link goes down", metrics: usual },
  'lost-replies': {
    ...faults.asymmetricLoss(silentMs),
    title: 'nothing that one host sends arrives',
    metrics: usual,
  },
  freeze: { ...faults.freeze(silentMs), title: 'one API server is frozen (SIGSTOP)', metrics: usual },
  'freeze-burst': {
    ...faults.freezeWithBurst(4_000),
    title: 'the same, and 200 clients come at that moment',
    metrics: usual,
    isHeavy: true,
  },
  'etcd-lost-to-one': {
    ...faults.sick('etcd', silentMs),
    title: 'etcd is lost to one API server, whose requests hang',
    metrics: usual,
  },
  'readyz-hangs': {
    ...faults.sick('hanging', silentMs),
    title: 'the same, and its /readyz hangs too',
    metrics: usual,
  },
  errors: {
    ...faults.sick('errors', silentMs),
    title: 'one API server answers everything with 500, at once',
    metrics: usual,
  },
  'two-down': {
    ...faults.twoDown(silentMs),
    title: 'two of three at once: no power, and killed',
    metrics: usual,
  },
  'cold-start': {
    ...coldStart,
    title: 'the balancer starts with two of three dead: no power, and frozen',
    metrics: ['failedNew', 'slowestNew'],
  },
  stop: {
    ...faults.stopping({ delayMs: 0, drainMs }),
    title: 'one API server stops (SIGTERM)',
    metrics: [...usual, 'failedAsked', 'watchesCut'],
  },
  'stop-delay': {
    ...faults.stopping({ delayMs: 5_000, drainMs }),
    title: 'the same with a shutdown delay of 5 s',
    metrics: [...usual, 'failedAsked', 'watchesCut'],
  },
  'rolling-restart': {
    ...faults.rollingRestart,
    title: 'all three are restarted, one after the other',
    metrics: [...usual, 'failedAsked'],
  },
  replaced: {
    ...replaced,
    title: 'one API server joins, then the two that were configured leave',
    metrics: [...usual, 'failedAsked'],
  },
  hiccup: { ...faults.hiccup, title: '200 ms of silence every 5 s', metrics: [...usual, 'cut'] },
  'late-answers': {
    ...faults.lateAnswers,
    title: 'answers come 3 s late, first from one, then from all',
    load: { newTimeoutMs: 8_000 },
    metrics: [...usual, 'cut'],
  },
  loss: {
    ...faults.lossAndDistance,
    title: '10% of the packets lost over a round trip of 300 ms',
    metrics: [...usual, 'cut'],
  },
  'own-network': {
    ...faults.ownNetworkDown,
    title: "the node's own network is down for 8 s",
    since: 'back',
    metrics: [...usual, 'firstAnswer', 'cut'],
  },
  'etcd-away': {
    ...faults.etcdAwayForAll(),
    title: 'etcd is away for 10 s, then the API servers recover 2 s apart',
    metrics: [...usual, 'cut'],
  },
  'all-down': {
    ...allDown,
    title: 'all three are down for 20 s, then one is back',
    since: 'back',
    metrics: [...usual, 'firstAnswer', 'held'],
  },
  unlisted: {
    ...unlisted('never'),
    title: 'two are lost, the third is lost 27 s later, and the two come back',
    since: 'back',
    metrics: [...usual, 'firstAnswer'],
  },
  'unlisted-restart': {
    ...unlisted('meanwhile'),
    title: 'the same, and the balancer is restarted while all are away',
    since: 'back',
    metrics: [...usual, 'firstAnswer'],
  },
  'unlisted-reboot': {
    ...unlisted('afterwards'),
    title: 'the same, and the balancer is killed and starts when they are back',
    since: 'back',
    metrics: [...usual, 'firstAnswer'],
  },
};
