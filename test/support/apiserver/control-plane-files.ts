// The files of a control plane: a temporary directory that goes with it, and kubeconfigs for its users.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ControlPlanePki, kubeconfig, type UserName } from './pki-files.ts';
import { knownTokens } from './tokens.ts';

export interface WriteKubeconfigOptions {
  /** Whose client certificate; `token`: Fairlead's bearer token; `none`: no credentials. Default `admin`. */
  readonly user?: UserName | 'token' | 'none';
  /** `https://host:port`; by default the first API server. */
  readonly server?: string;
  readonly tlsServerName?: string;
}

export class ControlPlaneFiles {
  readonly #pki: ControlPlanePki;
  #dir: Promise<string> | undefined;
  #count = 0;

  constructor(pki: ControlPlanePki) {
    this.#pki = pki;
  }

  directory(): Promise<string> {
    this.#dir ??= mkdtemp(join(tmpdir(), 'stand-in-'));
    return this.#dir;
  }

  /** Writes a kubeconfig and returns its path. */
  async writeKubeconfig(
    defaultServer: string,
    { user = 'admin', server = defaultServer, tlsServerName }: WriteKubeconfigOptions,
  ): Promise<string> {
    const client = user === 'token' || user === 'none' ? undefined : this.#pki.clients[user];
    const text = kubeconfig({
      server,
      ca: this.#pki.ca.cert,
      ...(client && { client }),
      ...(user === 'token' && { token: knownTokens.fairlead }),
      ...(tlsServerName && { tlsServerName }),
    });
    this.#count += 1;
    const name = `${user}-${this.#count}.kubeconfig`;
    const file = join(await this.directory(), name);
    await writeFile(file, text, { mode: 0o600 });
    return file;
  }

  /** Removes the directory. Idempotent. */
  async remove(): Promise<void> {
    const dir = this.#dir;
    this.#dir = undefined;
    if (dir) await rm(await dir, { recursive: true, force: true });
  }
}
