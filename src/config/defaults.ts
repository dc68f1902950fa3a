// The configuration of a node on which nothing is configured.
import type { Config } from './config.ts';

export function defaultConfig(nodeName: string): Config {
  return {
    nodeName,
    listeners: [
      { host: '127.0.0.1', port: 6443, type: 'passthrough', replayNonTls: false, optional: false },
      { host: '::1', port: 6443, type: 'passthrough', replayNonTls: false, optional: true },
    ],
    allowNonLoopback: false,
    endpoints: [],
    credentials: { inCluster: 'auto' },
    discovery: {
      watch: true,
      namespace: 'default',
      service: 'kubernetes',
      portName: 'https',
      dnsIntervalMs: 30_000,
    },
    health: {
      check: 'https',
      steps: [{ path: '/readyz', expectStatus: [{ from: 200, to: 200 }] }],
      intervalMs: 2_000,
      standbyIntervalMs: 60_000,
      timeoutMs: 1_000,
      fastIntervalMs: 500,
      rise: 2,
      fall: 3,
      reconnectMs: 600_000,
      startupGraceMs: 5_000,
    },
    balance: { policy: 'rendezvous', rebalance: { enabled: true, overMs: 600_000 } },
    dial: {
      raceDelayMs: 250,
      deadlineMs: 10_000,
      firstFlightTimeoutMs: 1_000,
      maxFirstFlightBytes: 65_536,
      replayBudgetPercent: 20,
      replayMinPerSecond: 5,
      allDownDeadlineMs: 2_000,
      maxConcurrent: 256,
    },
    tunnels: {
      keepAliveDelayMs: 15_000,
      keepAliveIntervalMs: 5_000,
      keepAliveCount: 3,
      halfCloseTimeoutMs: 300_000,
      idleTimeoutMs: 0,
    },
    drain: {
      unreadyAfterMs: 5_000,
      betterReadyForMs: 20_000,
      windowMs: 10_000,
      shutdownWindowMs: 60_000,
    },
    admin: { host: '127.0.0.1', port: 6442 },
    log: { level: 'info', format: 'auto' },
    shutdown: { graceMs: 30_000 },
  };
}
