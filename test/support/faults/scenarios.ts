// The faults that every load balancer is put through, in tests and in the bench: what happens to the control plane
// while the usual clients go on. Each begins with a second of peace and marks the moment of its fault.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Script, TrialOptions } from './trial.ts';

export interface Scenario extends Pick<TrialOptions, 'load' | 'beforeStart' | 'startsEarly'> {
  readonly script: Script;
}

const peaceMs = 1_000;

/** A fault, and how long its effects are watched. */
function once(fault: Script, watchedMs: number): Script {
  return async (trial) => {
    await sleep(peaceMs);
    trial.mark('fault');
    await fault(trial);
    trial.mark('struck');
    await sleep(watchedMs);
  };
}

/** The process is killed: its kernel resets connections and refuses new ones. */
export const kill = (watchedMs = 2_500): Scenario => ({
  script: once(({ lab, victim }) => lab.kill(victim), watchedMs),
});

/** The host loses power: silence in both directions. */
export const blackHole = (watchedMs = 5_000): Scenario => ({
  script: once(({ lab, victim }) => lab.wire.unplug(lab.hostOf(victim)), watchedMs),
});

/** The host's link goes down. */
export const linkDown = (watchedMs = 5_000): Scenario => ({
  script: once(({ lab, victim }) => lab.wire.linkDown(lab.hostOf(victim)), watchedMs),
});

/** Nothing that the host sends arrives; it still hears everything. */
export const asymmetricLoss = (watchedMs = 5_000): Scenario => ({
  script: once(({ lab, victim }) => lab.dropReplies(victim), watchedMs),
});

/** SIGSTOP: TCP connects go on succeeding, nothing answers. */
export const freeze = (watchedMs = 5_000): Scenario => ({
  script: once(({ victim }) => victim.freeze(), watchedMs),
});

/** SIGSTOP, and 200 clients come at the same moment. */
export const freezeWithBurst = (watchedMs = 2_000): Scenario => ({
  script: async (trial) => {
    const { clients, victim } = trial;
    await sleep(peaceMs);
    trial.mark('fault');
    await victim.freeze();
    trial.mark('struck');
    trial.add(await clients.do({ op: 'burst', count: 200, path: '/version', timeoutMs: 15_000 }));
    await sleep(watchedMs);
  },
});

/** etcd is lost to one API server: TCP and TLS work as before, reads hang, /readyz says 500. */
export const unready = (watchedMs = 5_500): Scenario => ({
  load: { path: '/api/v1/namespaces/default', newTimeoutMs: 4_000 },
  script: once(({ victim }) => {
    const failReadyz = ['etcd', 'etcd-readiness'];
    return victim.misbehave({ failReadyz, delaysMs: { '/api': 60_000 } });
  }, watchedMs),
});

/** For this long the others have been ready when one falls sick: what Fairlead asks for, and a second. */
const provenMs = 21_000;

const sickness = {
  /** etcd is lost to it and /readyz says so; reads hang. */
  etcd: { failReadyz: ['etcd', 'etcd-readiness'], delaysMs: { '/api': 60_000 } },
  /** etcd is a black hole to it: /readyz hangs like the reads. */
  hanging: { delaysMs: { '/api': 60_000, '/readyz': 60_000 } },
  /** Everything is answered with 500 at once, the health paths too. */
  errors: { answerStatus: 500 },
} as const;

/** One API server answers and is sick, after the others have been ready for a while. */
export const sick = (kind: keyof typeof sickness, watchedMs = 6_000): Scenario => ({
  load: { path: '/api/v1/namespaces/default', newTimeoutMs: 4_000 },
  script: async (trial) => {
    await sleep(provenMs);
    trial.mark('fault');
    await trial.victim.misbehave(sickness[kind]);
    trial.mark('struck');
    await sleep(watchedMs);
  },
});

/** etcd is away for all API servers, who were ready for a while; then they recover one after the other. */
export const etcdAwayForAll = (awayMs = 10_000, apartMs = 2_000): Scenario => ({
  script: async ({ lab, mark }) => {
    await sleep(provenMs);
    mark('fault');
    lab.plane.storeProcess.signal('SIGSTOP');
    await sleep(awayMs);
    for (const server of lab.servers) await server.misbehave({ failReadyz: ['etcd'] });
    lab.plane.storeProcess.signal('SIGCONT');
    for (const server of lab.servers) {
      await server.misbehave({ failReadyz: [] });
      mark('back');
      await sleep(apartMs);
    }
  },
});

/** Two of three at the same moment: one host loses power, the process on the other is killed. */
export const twoDown = (watchedMs = 5_000): Scenario => ({
  script: once(async ({ lab, victim, others: [other] }) => {
    if (other) await Promise.all([lab.wire.unplug(lab.hostOf(victim)), lab.kill(other)]);
  }, watchedMs),
});

/** 200 ms of silence every 5 s. */
export const hiccup: Scenario = {
  script: async (trial) => {
    const { lab, victim } = trial;
    await sleep(peaceMs);
    trial.mark('fault');
    for (let turn = 0; turn < 3; turn += 1) {
      await lab.wire.unplug(lab.hostOf(victim));
      await sleep(200);
      await lab.wire.plug(lab.hostOf(victim));
      await sleep(turn < 2 ? 4_800 : 2_000);
    }
  },
};

/** Answers come 3 s late: of one API server, and then of all. */
export const lateAnswers: Scenario = {
  script: async ({ lab, victim, mark }) => {
    await sleep(peaceMs);
    mark('fault');
    await victim.misbehave({ delayMs: 3_000 });
    await sleep(6_000);
    mark('allLate');
    for (const server of lab.servers) await server.misbehave({ delayMs: 3_000 });
    await sleep(6_000);
  },
};

/** A tenth of the packets is lost, over a round trip of 300 ms, from the start on. */
export const lossAndDistance: Scenario = {
  load: { newEveryMs: 200, askEveryMs: 500 },
  beforeStart: async ({ lab }) => {
    const endpoints = await lab.moveAway(300);
    for (const server of lab.servers) await lab.lose(server, 0.1);
    return { endpoints, isStatic: true };
  },
  script: async ({ mark }) => {
    mark('fault');
    await sleep(15_000);
  },
};

/**
 * One API server is told to stop, as kube-apiserver does it: /readyz fails for `delayMs`, then nobody is
 * accepted, and watches are served for `drainMs` more (that is the lab's).
 */
export const stopping = ({
  delayMs,
  drainMs,
  isProven = false,
}: {
  delayMs: number;
  drainMs: number;
  /** The others have been ready for long enough before. */
  isProven?: boolean;
}): Scenario => ({
  script: async ({ lab, victim, mark }) => {
    await sleep(isProven ? provenMs : peaceMs);
    mark('fault');
    const ended = lab.terminate(victim, { delayMs });
    await sleep(delayMs + drainMs);
    mark('watchesMayEnd');
    await ended;
    await sleep(1_000);
  },
});

/** One API server after the other is told to stop and started again. */
export const rollingRestart: Scenario = {
  script: async ({ lab, victim, others }) => {
    await sleep(peaceMs);
    for (const server of [victim, ...others]) {
      await lab.terminate(server, { delayMs: 2_000 });
      await lab.startServer(server);
      await server.ready();
      await sleep(2_000);
    }
  },
};

/** The node's own cable is out for 8 s. */
export const ownNetworkDown: Scenario = {
  script: async (trial) => {
    const { lab } = trial;
    await sleep(peaceMs);
    trial.mark('fault');
    await lab.wire.unplug(lab.node);
    await sleep(8_000);
    await lab.wire.plug(lab.node);
    trial.mark('back');
    // TCP's own retransmissions come at doubling intervals: up to 6.4 s after the return.
    await sleep(8_000);
  },
};
