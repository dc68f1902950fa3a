// What the installer says of a node: a ConfigMap for each, with the short facts as labels, so that kubectl shows the
// fleet: kubectl -n fairlead-reports get configmaps -l fairlead/report=node -L fairlead/state,fairlead/slot
import { configMapPath, reportsNamespace, type KubeApi, mergePatch } from '../kubernetes/kube-api.ts';
import { refusal } from '../kubernetes/kube-api.ts';
import { formatTable } from '../lib/table.ts';

export interface NodeReport {
  readonly node: string;
  /** `serving`, `failed`, `refused`, `removed`. */
  readonly state: string;
  readonly slot?: string;
  readonly message: string;
  readonly image: string;
  readonly version: string;
  /** Whether kubelet goes through Fairlead: `yes`, `no`, or why not. */
  readonly kubelet?: string;
}

const label = 'fairlead/report';
const selector = encodeURIComponent(`${label}=node`);

export const reportName = (node: string) => `fairlead-node-${node}`;

const bodyOf = (report: NodeReport, nowMs: number) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: {
    name: reportName(report.node),
    labels: {
      'app.kubernetes.io/name': 'fairlead',
      [label]: 'node',
      'fairlead/state': report.state,
      'fairlead/slot': report.slot ?? '',
    },
  },
  data: { ...report, reportedAt: new Date(nowMs).toISOString() },
});

/** Rejects with API_REFUSED. */
export async function writeReport(api: KubeApi, report: NodeReport, nowMs: number): Promise<void> {
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

/** A table for people. */
export function formatReports(reports: readonly Readonly<Record<string, string>>[]): string {
  if (reports.length === 0) return 'no node has reported\n';
  const head = ['NODE', 'STATE', 'SLOT', 'KUBELET', 'MESSAGE'];
  const rows = reports.map((report) =>
    [report.node, report.state, report.slot, report.kubelet || '-', report.message].map(
      (cell) => cell || '-',
    ),
  );
  return `${formatTable(head, rows)}\n`;
}

/** Each a kilobyte or two, with what the API server writes down of who wrote it. */
const reportsPage = 200;

/** Every node that has reported, by name. */
export async function readReports(api: KubeApi): Promise<Readonly<Record<string, string>>[]> {
  const path = `${configMapPath(reportsNamespace)}?labelSelector=${selector}`;
  const items = await api.list(path, reportsPage);
  return items
    .map(({ data }) => (typeof data === 'object' && data !== null ? (data as Record<string, string>) : {}))
    .sort((a, b) => (a.node ?? '').localeCompare(b.node ?? ''));
}
