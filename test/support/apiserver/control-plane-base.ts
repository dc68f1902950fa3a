// What a control plane is to those who use it, whether its API servers run in this process or in their own.
import { ControlPlaneFiles, type WriteKubeconfigOptions } from './control-plane-files.ts';
import type { ControlPlanePki } from './pki-files.ts';

export interface AddressedServer {
  readonly name: string;
  /** `host:port`. */
  readonly address: string;
  readonly url: string;
}

export class ControlPlaneBase<Server extends AddressedServer> {
  readonly servers: readonly Server[];
  readonly pki: ControlPlanePki;
  protected readonly files: ControlPlaneFiles;

  constructor(servers: readonly Server[], pki: ControlPlanePki, files = new ControlPlaneFiles(pki)) {
    this.servers = servers;
    this.pki = pki;
    this.files = files;
  }

  /** `host:port` of every API server. */
  get endpoints(): string[] {
    return this.servers.map((server) => server.address);
  }

  /** The API server with this name, which is what it answers clients with. */
  named(name: string): Server {
    const server = this.servers.find((candidate) => candidate.name === name);
    if (server === undefined) throw new Error(`no such API server: ${name}`);
    return server;
  }

  /** A directory that goes with the control plane; that of processes has the PKI in it. */
  directory(): Promise<string> {
    return this.files.directory();
  }

  /** Writes a kubeconfig and returns its path; its server is the first one by default. */
  writeKubeconfig(options: WriteKubeconfigOptions = {}): Promise<string> {
    return this.files.writeKubeconfig(this.servers[0]?.url ?? '', options);
  }
}
