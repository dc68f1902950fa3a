// Owns org.freedesktop.systemd1 on a real message bus and answers RestartUnit. Its messages are put together by
// hand, apart from the code under test.
import { connect, type Socket } from 'node:net';

const u32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
const padded = (bytes: Buffer, to: number) =>
  Buffer.concat([bytes, Buffer.alloc((to - (bytes.length % to)) % to)]);
const text = (value: string) => Buffer.concat([u32(value.length), Buffer.from(`${value}\0`)]);
const field = (code: number, type: string, value: Buffer) =>
  Buffer.concat([Buffer.from([code, 1, type.charCodeAt(0), 0]), value]);
const signature = (value: string) => field(8, 'g', Buffer.from([value.length, ...Buffer.from(`${value}\0`)]));

function message(type: number, serial: number, fields: readonly Buffer[], body: Buffer): Buffer {
  const joined = Buffer.concat(
    fields.map((one, index) => (index < fields.length - 1 ? padded(one, 8) : one)),
  );
  const head = Buffer.concat([
    Buffer.from([0x6c, type, 0, 1]),
    u32(body.length),
    u32(serial),
    u32(joined.length),
  ]);
  return Buffer.concat([padded(Buffer.concat([head, joined]), 8), body]);
}

function call(serial: number, member: string, signed?: string, body = Buffer.alloc(0)): Buffer {
  return message(
    1,
    serial,
    [
      field(1, 'o', text('/org/freedesktop/DBus')),
      field(2, 's', text('org.freedesktop.DBus')),
      field(3, 's', text(member)),
      field(6, 's', text('org.freedesktop.DBus')),
      ...(signed ? [signature(signed)] : []),
    ],
    body,
  );
}

export class SystemdStub {
  /** The strings of each RestartUnit call. */
  readonly restarted: string[][] = [];
  readonly #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  static async start(path: string): Promise<SystemdStub> {
    const socket = connect(path);
    const stub = new SystemdStub(socket);
    socket.on('error', () => {});
    const owned = Promise.withResolvers<void>();
    let seen = '';
    socket.on('data', (chunk: Buffer) => {
      const all = chunk.toString('latin1');
      if (all.startsWith('OK ')) {
        const name = Buffer.concat([padded(text('org.freedesktop.systemd1'), 4), u32(4)]);
        socket.write('BEGIN\r\n');
        socket.write(Buffer.concat([call(1, 'Hello'), call(2, 'RequestName', 'su', name)]));
      }
      seen += all;
      if (seen.includes('NameAcquired') && seen.includes('org.freedesktop.systemd1')) owned.resolve();
      const at = all.indexOf('RestartUnit');
      if (at >= 0) stub.#restart(chunk, all.lastIndexOf('l\x01', at));
    });
    socket.write(`\0AUTH EXTERNAL ${Buffer.from(String(process.getuid?.())).toString('hex')}\r\n`);
    await owned.promise;
    return stub;
  }

  #restart(chunk: Buffer, at: number): void {
    const serial = chunk.readUInt32LE(at + 8);
    const bodyLength = chunk.readUInt32LE(at + 4);
    const bodyAt = at + Math.ceil((16 + chunk.readUInt32LE(at + 12)) / 8) * 8;
    const body = chunk.subarray(bodyAt, bodyAt + bodyLength);
    const first = body.toString('utf8', 4, 4 + body.readUInt32LE(0));
    const secondAt = Math.ceil((4 + first.length + 1) / 4) * 4;
    const second = body.toString('utf8', secondAt + 4, secondAt + 4 + body.readUInt32LE(secondAt));
    this.restarted.push([first, second]);
    const sender = /:\d+\.\d+/.exec(chunk.toString('latin1', at))?.[0] ?? '';
    const serialField = field(5, 'u', u32(serial));
    const answer = [serialField, field(6, 's', text(sender)), signature('o')];
    this.#socket.write(message(2, 3, answer, text('/org/freedesktop/systemd1/job/7')));
  }

  stop(): void {
    this.#socket.destroy();
  }
}
