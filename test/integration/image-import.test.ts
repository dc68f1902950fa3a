// The image's archive on a node without a registry: containerd imports it by the documented command, and finds it as
// kubelet asks for it, by exactly the name in the manifest. A containerd of the test's own, with its own directories.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { join } from 'node:path';
import { OciLayout } from '../../scripts/image/oci.ts';
import { eventually } from '../support/jest/eventually.ts';
import { skipLoudly } from '../support/jest/skip-loudly.ts';
import { tempDir } from '../support/jest/temp-dir.ts';

const has = (command: string) => spawnSync(command, ['--version']).status === 0;
const reason =
  process.getuid?.() !== 0
    ? 'needs root'
    : has('containerd') && has('ctr')
      ? undefined
      : 'containerd is not installed';
if (reason !== undefined) skipLoudly('importing the image into containerd', reason);
else describeImport();

function describeImport(): void {
  const directory = tempDir();
  const socket = join(directory, 'containerd.sock');
  const archive = join(directory, 'fairlead.oci.tar');
  const repository = 'registry.example/fairlead';
  let containerd: ChildProcess | undefined;
  let digest: string;

  /** An image of one small file, named and packed as scripts/build-image does it. */
  async function writeArchive(): Promise<void> {
    const root = join(directory, 'rootfs');
    mkdirSync(root);
    writeFileSync(join(root, 'hello'), 'hello\n');
    const layout = new OciLayout(join(directory, 'layout'));
    const layer = await layout.addLayer(root, 1);
    const architecture = process.arch === 'arm64' ? 'arm64' : 'amd64';
    const platform = { architecture, os: 'linux' };
    const rootfs = { type: 'layers', diff_ids: [layer.diffId] };
    const config = layout.addJson('config.v1', { ...platform, config: {}, rootfs });
    const manifest = { ...layout.addManifest(config, [layer], {}), platform };
    digest = layout.finish([manifest], {}, { ref: 'fairlead:0.1.0', repository, tag: '0.1.0' });
    await layout.writeArchive(archive);
  }

  const ctr = (...args: readonly string[]) =>
    spawnSync('ctr', ['--address', socket, '--namespace', 'k8s.io', ...args], { encoding: 'utf8' });

  beforeAll(async () => {
    await writeArchive();
    const file = join(directory, 'config.toml');
    writeFileSync(
      file,
      `version = 2
root = "${directory}/root"
state = "${directory}/state"
[grpc]
address = "${socket}"
[plugins."io.containerd.internal.v1.opt"]
path = "${directory}/opt"
[plugins."io.containerd.grpc.v1.cri"]
stream_server_port = "0"
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"
`,
    );
    containerd = spawn('containerd', ['--config', file], { stdio: ['ignore', 'ignore', 'ignore'] });
    await eventually('containerd answers', () => ctr('version').status === 0, 60_000);
  }, 90_000);

  afterAll(async () => {
    if (containerd?.kill('SIGTERM')) await once(containerd, 'exit');
  });

  test('kubelet finds an imported image by the name and digest of the manifests, and by its tag', async () => {
    const image = `${repository}@${digest}`;
    expect(await imageStatus(image)).toBe('');
    const imported = ctr('images', 'import', '--snapshotter', 'native', archive);
    expect(imported).toMatchObject({ status: 0 });
    const names = ctr('images', 'ls', '-q').stdout.split('\n');
    expect(names).toEqual(expect.arrayContaining([image, `${repository}:0.1.0`]));
    await eventually('the runtime interface knows it', async () =>
      (await imageStatus(image)).includes('sha256:'),
    );
    for (const asked of [`${repository}:0.1.0`, `${repository}:0.1.0@${digest}`])
      expect(await imageStatus(asked)).toContain(digest);
    // Another digest is another image, and would be pulled.
    expect(await imageStatus(`${repository}@sha256:${'0'.repeat(64)}`)).toBe('');
  });

  /**
   * What kubelet asks before it pulls: ImageStatus of the container runtime interface (gRPC over the socket). Empty where
   * the runtime does not have the image, else the answer's text.
   */
  async function imageStatus(image: string): Promise<string> {
    const session = connectHttp2('http://localhost', { createConnection: () => connect(socket) });
    try {
      const message = field(field(Buffer.from(image)));
      const frame = Buffer.alloc(5);
      frame.writeUInt32BE(message.length, 1);
      const stream = session.request({
        ':method': 'POST',
        ':path': '/runtime.v1.ImageService/ImageStatus',
        'content-type': 'application/grpc',
        te: 'trailers',
      });
      let trailers: Record<string, unknown> = {};
      stream.on('trailers', (received) => (trailers = received));
      stream.end(Buffer.concat([frame, message]));
      const chunks: Buffer[] = [];
      for await (const chunk of stream) chunks.push(chunk as Buffer);
      if (trailers['grpc-status'] !== '0') throw new Error(`ImageStatus: ${JSON.stringify(trailers)}`);
      return Buffer.concat(chunks).subarray(frame.length).toString('latin1');
    } finally {
      session.destroy();
    }
  }
}

/** Field 1 of a protobuf message, of at most 127 bytes. */
function field(content: Buffer): Buffer {
  if (content.length > 127) throw new Error('longer than one byte can say');
  return Buffer.concat([Buffer.from([0x0a, content.length]), content]);
}
