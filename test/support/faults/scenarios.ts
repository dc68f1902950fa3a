// The faults that every load balancer is put through, in tests and in the bench: what happens to the control plane
// while the usual clients go on. Each begins with a second of peace and marks the moment of its fault.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Script, TrialOptions } from './trial.ts';

export interface Scenario extends Pick<TrialOptions, 'load'> {
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
export const kill: Scenario = { script: once(({ lab, victim }) => lab.kill(victim), 2_500) };

/** The host loses power: silence in both directions. */
export const blackHole: Scenario = {
  script: once(({ lab, victim }) => lab.wire.unplug(lab.hostOf(victim)), 5_000),
};

/** The host's link goes down. */
export const linkDown: Scenario = {
  script: once(({ lab, victim }) => lab.wire.linkDown(lab.hostOf(victim)), 5_000),
};

/** Nothing that the host sends arrives; it still hears everything. */
export const asymmetricLoss: Scenario = {
  script: once(({ lab, victim }) => lab.dropReplies(victim), 5_000),
};

/** SIGSTOP: TCP connects go on succeeding, nothing answers. */
export const freeze: Scenario = { script: once(({ victim }) => victim.freeze(), 5_000) };

/** SIGSTOP, and 200 clients come at the same moment. */
export const freezeWithBurst: Scenario = {
  script: async (trial) => {
    const { clients, victim } = trial;
    await sleep(peaceMs);
    trial.mark('fault');
    await victim.freeze();
    trial.mark('struck');
    trial.add(await clients.do({ op: 'burst', count: 200, path: '/version', timeoutMs: 15_000 }));
    await sleep(2_000);
  },
};

/** etcd is lost to one API server: TCP and TLS work as before, reads hang, /readyz says 500. */
export const unready: Scenario = {
  load: { path: '/api/v1/namespaces/default', newTimeoutMs: 4_000 },
  script: once(({ victim }) => {
    const failReadyz = ['etcd', 'etcd-readiness'];
    return victim.misbehave({ failReadyz, delaysMs: { '/api': 60_000 } });
  }, 5_500),
};

/** Two of three at the same moment: one host loses power, the process on the other is killed. */
export const twoDown: Scenario = {
  script: once(async ({ lab, victim, others: [other] }) => {
    if (other) await Promise.all([lab.wire.unplug(lab.hostOf(victim)), lab.kill(other)]);
  }, 5_000),
};

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
