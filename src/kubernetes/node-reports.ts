// The reports of installers, as they are read. Every worker holds the token that writes them, so a report is a claim: it is
// bounded, safe to show, about the node that its object is named for, and it counts as long as it is fresh. Pure.
import { isRecord } from '../lib/guards.ts';
import { printable } from '../lib/printable.ts';
import type { KubeObject } from './kube-api.ts';

/** `fairlead-rollout` and others of the namespace are not reports. */
export const reportLabel = 'fairlead/report';
export const reportName = (node: string) => `fairlead-node-${node}`;
/** Each a kilobyte or two, with what the API server writes down of who wrote it. */
export const reportsPage = 200;

export const reportStates = ['serving', 'failed', 'refused', 'removed'] as const;
export type ReportState = (typeof reportStates)[number];

/** An installer writes every 5 minutes, one that fails every 10: twice that, and some more. */
const freshForMs = 25 * 60_000;
/** Clocks of nodes are not this far ahead. */
const aheadMs = 5 * 60_000;

export interface NodeReport {
  readonly node: string;
  readonly state: ReportState | 'unknown';
  readonly slot: string;
  readonly message: string;
  readonly image: string;
  readonly version: string;
  /** Whether kubelet goes through Fairlead: `pointed`, or why not. */
  readonly kubelet: string;
  /** As written, where it is a time. */
  readonly reportedAt: string;
  /** Written lately. One from the future does not count: it would never age. */
  readonly isFresh: boolean;
}

const maxNameLength = 253;
/** RFC 1123 subdomains, as the names of nodes. */
const nodeName = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/;

/** Undefined for what an installer does not write: another node's name in it, or none. */
export function readNodeReport({ metadata, data }: KubeObject, nowMs: number): NodeReport | undefined {
  if (!isRecord(data)) return undefined;
  const text = (key: string, maxLength: number) => {
    const value = data[key];
    return typeof value === 'string' ? printable(value, maxLength) : '';
  };
  const { node } = data;
  if (typeof node !== 'string' || node.length > maxNameLength || !nodeName.test(node)) return undefined;
  if (metadata?.name !== reportName(node)) return undefined;
  const atMs = typeof data.reportedAt === 'string' ? Date.parse(data.reportedAt.slice(0, 40)) : Number.NaN;
  const state = reportStates.find((one) => one === data.state) ?? 'unknown';
  return {
    node,
    state,
    slot: text('slot', 40),
    message: text('message', 1_000),
    image: text('image', 300),
    version: text('version', 40),
    kubelet: text('kubelet', 1_000),
    reportedAt: Number.isNaN(atMs) ? '' : new Date(atMs).toISOString(),
    isFresh: atMs <= nowMs + aheadMs && nowMs - atMs <= freshForMs,
  };
}

/** Whether an agent is there: said lately, of a node, under its name. */
export const saysServing = (report: NodeReport | undefined): report is NodeReport =>
  report?.state === 'serving' && report.isFresh;
