// curl as bulk client: the same file again and again over one connection, verified TLS, sizes checked.
import { join } from 'node:path';
import { formatHostPort, type HostPort } from '../../src/model/endpoint.ts';
import type { TargetKind } from '../backend.ts';
import { pinned, runToEnd } from '../processes.ts';
import { bulkMiB, type Workspace } from '../workspace.ts';

export interface Transfer {
  readonly bytes: number;
  readonly seconds: number;
}

export interface BulkLoad {
  readonly workspace: Workspace;
  readonly target: TargetKind;
  readonly address: HostPort;
  readonly direction: 'download' | 'upload';
  readonly totalMiB: number;
  readonly cpu: string | undefined;
}

/** Moves at least `totalMiB`; fails on a wrong status, a wrong size or a second connection. */
export async function bulkTransfer(load: BulkLoad): Promise<Transfer> {
  const { workspace, target, address, direction, totalMiB, cpu } = load;
  const { dir } = workspace;
  const times = Math.max(1, Math.ceil(totalMiB / bulkMiB));
  const base = `${target === 'tls' ? 'https' : 'http'}://${formatHostPort(address)}`;
  const format = '%{http_code} %{size_download} %{size_upload} %{num_connects} %{time_total}\\n';
  const command = [
    'curl',
    '--silent',
    '--show-error',
    '--cacert',
    join(dir, 'ca.crt'),
    '--write-out',
    format,
  ];
  if (direction === 'download') {
    command.push('--output', '/dev/null', `${base}/bulk?[1-${times}]`);
  } else {
    const files = Array.from({ length: times }, () => join(dir, 'bulk')).join(',');
    command.push('--header', 'Expect:', '--upload-file', `{${files}}`, `${base}/upload/bulk`);
  }
  const output = await runToEnd(pinned(cpu, command));
  let bytes = 0;
  let seconds = 0;
  let connects = 0;
  for (const line of output.trim().split('\n')) {
    const [status = 0, down = 0, up = 0, newConnections = 0, duration = 0] = line.split(' ').map(Number);
    const size = direction === 'download' ? down : up;
    if (status < 200 || status > 299 || size !== bulkMiB * 2 ** 20) {
      throw new Error(`curl against ${base}: "${line}" is not a whole transfer`);
    }
    bytes += size;
    seconds += duration;
    connects += newConnections;
  }
  if (connects !== 1) throw new Error(`curl against ${base}: ${connects} connections instead of one`);
  if (bytes !== times * bulkMiB * 2 ** 20) throw new Error(`curl against ${base}: ${bytes} bytes in all`);
  return { bytes, seconds };
}
