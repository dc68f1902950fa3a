// Writes an image as an OCI layout: layers, configuration, manifest and index, each under its digest. Everything in it
// follows from its inputs: names in order, one owner, one time, one compressor (Node's own zlib).
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createWriteStream, mkdirSync, readdirSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { sha256 } from './inputs.ts';

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly platform?: Readonly<Record<string, string>>;
}

export interface Layer extends Descriptor {
  /** Digest of the layer before compression. */
  readonly diffId: string;
}

/** The names of an archive's image. They are not part of its digest. */
export interface ImageNames {
  /** What skopeo and buildah call it: `oci-archive:FILE:REF`. */
  readonly ref: string;
  /** With the registry, without tag and digest. */
  readonly repository: string;
  readonly tag: string;
}

const mediaType = (kind: string) => `application/vnd.oci.image.${kind}`;

/** GNU tar of everything below `directory`, the same bytes for the same files. */
function tar(directory: string) {
  const order = ['--sort=name', '--format=gnu', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner'];
  const names = readdirSync(directory).sort();
  const child = spawn('tar', [...order, '-C', directory, '-cf', '-', '--', ...names], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH: process.env.PATH, LC_ALL: 'C' },
  });
  const ended = new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => (code === 0 ? resolve() : reject(new Error(`tar ended with ${code}`))));
  });
  return { stdout: child.stdout, ended };
}

/** Hashes what passes through. */
function hashing() {
  const hash = createHash('sha256');
  let size = 0;
  const stream = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      size += chunk.length;
      done(null, chunk);
    },
  });
  return { stream, digest: () => `sha256:${hash.digest('hex')}`, size: () => size };
}

export class OciLayout {
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
    mkdirSync(join(directory, 'blobs/sha256'), { recursive: true });
    writeFileSync(join(directory, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  }

  #path(digest: string): string {
    return join(this.directory, 'blobs', digest.replace(':', '/'));
  }

  /** Packs a directory as a layer. */
  async addLayer(directory: string, compressionLevel: number): Promise<Layer> {
    const [plain, packed] = [hashing(), hashing()];
    const partial = join(this.directory, 'blobs/layer');
    const { stdout, ended } = tar(directory);
    const gzip = createGzip({ level: compressionLevel });
    await Promise.all([
      ended,
      pipeline(stdout, plain.stream, gzip, packed.stream, createWriteStream(partial)),
    ]);
    const digest = packed.digest();
    renameSync(partial, this.#path(digest));
    const layerType = mediaType('layer.v1.tar+gzip');
    return { mediaType: layerType, digest, size: packed.size(), diffId: plain.digest() };
  }

  addJson(kind: string, value: unknown): Descriptor {
    const text = JSON.stringify(value);
    const digest = `sha256:${sha256(text)}`;
    writeFileSync(this.#path(digest), text);
    return { mediaType: mediaType(`${kind}+json`), digest, size: Buffer.byteLength(text) };
  }

  addManifest(
    config: Descriptor,
    layers: readonly Layer[],
    annotations: Readonly<Record<string, string>>,
  ): Descriptor {
    return this.addJson('manifest.v1', {
      schemaVersion: 2,
      mediaType: mediaType('manifest.v1+json'),
      config,
      layers: layers.map(({ diffId: _, ...descriptor }) => descriptor),
      annotations,
    });
  }

  /** Ends the layout with one image of several platforms, under the names that `names` gives; gives its digest. */
  finish(
    manifests: readonly Descriptor[],
    annotations: Readonly<Record<string, string>>,
    names: ImageNames,
  ): string {
    const indexType = mediaType('index.v1+json');
    const index = this.addJson('index.v1', {
      schemaVersion: 2,
      mediaType: indexType,
      manifests,
      annotations,
    });
    // `ref.name` is for skopeo, buildah and their kin; the second is for containerd and docker. containerd makes one
    // image of each entry, and kubelet finds an image that a pod names by digest only under exactly that name.
    const containerdName = 'io.containerd.image.name';
    const tagged = {
      'org.opencontainers.image.ref.name': names.ref,
      [containerdName]: `${names.repository}:${names.tag}`,
    };
    const byDigest = { [containerdName]: `${names.repository}@${index.digest}` };
    const entries = [tagged, byDigest].map((named) => ({ ...index, annotations: named }));
    const top = { schemaVersion: 2, mediaType: indexType, manifests: entries };
    writeFileSync(join(this.directory, 'index.json'), JSON.stringify(top));
    return index.digest;
  }

  /** The whole layout in one file. */
  async writeArchive(file: string): Promise<number> {
    const { stdout, ended } = tar(this.directory);
    await Promise.all([ended, pipeline(stdout, createWriteStream(file))]);
    return statSync(file).size;
  }
}
