// What a peer delivers is checked before anything is timed: TLS end to end, the client certificate arrives,
// bodies have the right hash in both directions, a played-back ClientHello gets the backend's own answer.
import { createHash, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { connect } from 'node:net';
import { join } from 'node:path';
import { TLSSocket } from 'node:tls';
import type { HostPort } from '../src/model/endpoint.ts';
import type { TargetKind } from './backend.ts';
import type { Workspace } from './workspace.ts';

interface Answer {
  readonly status: number;
  readonly sha256: string;
  readonly clientVerify: string;
  readonly fingerprint: string | undefined;
}

interface Call {
  readonly workspace: Workspace;
  readonly target: TargetKind;
  readonly address: HostPort;
  readonly path: string;
  /** Sent with PUT when given. */
  readonly body?: Buffer;
  /** Whoever ends TLS could not pass one on. */
  readonly hasNoCertificate?: boolean;
}

async function call({
  workspace,
  target,
  address,
  path,
  body,
  hasNoCertificate = false,
}: Call): Promise<Answer> {
  const method = body ? 'PUT' : 'GET';
  const headers = body ? { 'content-length': body.length } : {};
  const certificate = hasNoCertificate ? {} : workspace.client;
  const options = { host: address.host, port: address.port, path, method, headers, agent: false };
  return new Promise((resolve, reject) => {
    const request =
      target === 'tls'
        ? requestHttps({ ...options, ca: workspace.ca.cert, ...certificate })
        : requestHttp(options);
    request.once('error', reject);
    request.once('response', (response) => {
      const hash = createHash('sha256');
      const fingerprint =
        response.socket instanceof TLSSocket
          ? response.socket.getPeerCertificate().fingerprint256
          : undefined;
      response.on('data', (chunk: Buffer) => hash.update(chunk));
      response.once('error', reject);
      response.once('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          sha256: hash.digest('hex'),
          clientVerify: String(response.headers['x-client-verify'] ?? ''),
          fingerprint,
        }),
      );
    });
    request.end(body);
  });
}

function expectSame(what: string, actual: unknown, wanted: unknown): void {
  if (actual !== wanted) throw new Error(`${what}: got ${String(actual)} instead of ${String(wanted)}`);
}

/** The whole answer to `bytes` on one connection, without its Date line. */
async function answerTo(address: HostPort, bytes: Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(address, () => socket.write(bytes));
    let text = '';
    socket.setEncoding('latin1');
    socket.setTimeout(10_000, () => socket.destroy(new Error('no answer to a ClientHello within 10 s')));
    socket.on('data', (chunk: string) => (text += chunk));
    socket.once('error', reject);
    socket.once('end', () => resolve(text.replace(/^Date: .*\r\n/m, '')));
  });
}

/** Fails, naming what is wrong, unless clients of `address` get exactly what the backend serves. */
export async function checkOutput(
  name: string,
  {
    workspace,
    target,
    address,
    direct,
    hello,
    endsTls = false,
  }: {
    readonly workspace: Workspace;
    readonly target: TargetKind;
    readonly address: HostPort;
    /** The backend itself. */
    readonly direct: HostPort;
    readonly hello: Buffer;
    /** A proxy of requests: clients have no certificate, and neither has the proxy. */
    readonly endsTls?: boolean;
  },
): Promise<void> {
  const base = { workspace, target, address, hasNoCertificate: endsTls };
  const small = await call({ ...base, path: '/small' });
  expectSame(`${name}: status of /small`, small.status, 200);
  expectSame(`${name}: hash of /small`, small.sha256, workspace.small.sha256);
  const bulk = await call({ ...base, path: '/bulk' });
  expectSame(`${name}: status of /bulk`, bulk.status, 200);
  expectSame(`${name}: hash of /bulk`, bulk.sha256, workspace.bulk.sha256);
  const upload = `check-${name}`;
  const put = await call({ ...base, path: `/upload/${upload}`, body: workspace.bulk.bytes });
  if (put.status !== 201 && put.status !== 204) throw new Error(`${name}: status ${put.status} of an upload`);
  const written = await readFile(join(workspace.dir, 'upload', upload));
  const sha256 = createHash('sha256').update(written).digest('hex');
  expectSame(`${name}: hash of the upload`, sha256, workspace.bulk.sha256);
  if (target === 'tls') {
    const wanted = new X509Certificate(workspace.serverCert).fingerprint256;
    expectSame(`${name}: server certificate`, small.fingerprint, wanted);
    expectSame(`${name}: client certificate`, small.clientVerify, endsTls ? 'NONE' : 'SUCCESS');
  } else {
    expectSame(
      `${name}: answer to a ClientHello`,
      await answerTo(address, hello),
      await answerTo(direct, hello),
    );
  }
}
