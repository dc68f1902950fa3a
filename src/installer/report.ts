// What the installer says of a node: a ConfigMap for each, with the short facts as labels, so that kubectl shows the
// fleet: kubectl -n fairlead-reports get configmaps -l fairlead/report=node -L fairlead/state,fairlead/slot
import { configMapPath, reportsNamespace, type KubeApi, mergePatch } from '../kubernetes/kube-api.ts';
import { refusal } from '../kubernetes/kube-api.ts';
import { formatTable } from '../lib/table.ts';
import {
  type NodeReport,
  readNodeReport,
  reportLabel,
  reportName,
  reportsPage,
  type ReportState,
} from '../kubernetes/node-reports.ts';

export interface WrittenReport {
  readonly node: string;
  readonly state: ReportState;
  readonly slot?: string;
  readonly message: string;
  readonly image: string;
  readonly version: string;
  /** Whether kubelet goes through Fairlead: `yes`, `no`, or why not. */
  readonly kubelet?: string;
}

const selector = encodeURIComponent(`${reportLabel}=node`);

const bodyOf = (report: WrittenReport, nowMs: number) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: {
    name: reportName(report.node),
    labels: {
      'app.kubernetes.io/name': 'fairlead',
      [reportLabel]: 'node',
      'fairlead/state': report.state,
      'fairlead/slot': report.slot ?? '',
    },
  },
  data: { ...report, reportedAt: new Date(nowMs).toISOString() },
});

/** Rejects with API_REFUSED. */
export async function writeReport(api: KubeApi, report: WrittenReport, nowMs: number): Promise<void> {
  const body = bodyOf(report, nowMs);
  const path = configMapPath(reportsNamespace, reportName(report.node));
  const request = { method: 'PATCH', path, body, contentType: mergePatch } as const;
  const patched = await api.ask(request);
  if (patched.status === 404) {
    await api.must({ method: 'POST', path: configMapPath(reportsNamespace), body });
  } else if (patched.status !== 200) {
    throw refusal('PATCH', path, patched);
  }
}

export async function removeReport(api: KubeApi, node: string): Promise<void> {
  await api.ask({ method: 'DELETE', path: configMapPath(reportsNamespace, reportName(node)) });
}

/** A table for people; a report that is old, or from the future, says so in place of its state. */
export function formatReports(reports: readonly NodeReport[]): string {
  if (reports.length === 0) return 'no node has reported\n';
  const head = ['NODE', 'STATE', 'SLOT', 'KUBELET', 'MESSAGE'];
  const rows = reports.map(({ node, state, slot, kubelet, message, isFresh, reportedAt }) => {
    const when = isFresh ? message : `${state} at ${reportedAt || 'an unknown time'}: ${message}`;
    return [node, isFresh ? state : 'stale', slot, kubelet, when].map((cell) => cell || '-');
  });
  return `${formatTable(head, rows)}\n`;
}

export interface FoundReports {
  /** By name. */
  readonly reports: readonly NodeReport[];
  /** Objects among them that no installer writes. */
  readonly foreign: number;
}

/** Every node that has reported. */
export async function readReports(api: Pick<KubeApi, 'list'>, nowMs: number): Promise<FoundReports> {
  const path = `${configMapPath(reportsNamespace)}?labelSelector=${selector}`;
  const items = await api.list(path, reportsPage);
  const reports = items.flatMap((item) => readNodeReport(item, nowMs) ?? []);
  reports.sort((a, b) => a.node.localeCompare(b.node));
  return { reports, foreign: items.length - reports.length };
}
