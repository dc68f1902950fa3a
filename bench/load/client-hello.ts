// The first flight of a TLS client, as bytes to play back. Connections that only carry this and its answer
// cost the two ends next to nothing, so that what a relay can accept becomes visible.
import { createServer } from 'node:net';
import { connect } from 'node:tls';

export async function recordClientHello(): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      const chunks: Buffer[] = [];
      socket.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        const bytes = Buffer.concat(chunks);
        // TLS record: type, two bytes of version, two of length, then the handshake message.
        if (bytes.length < 5 || bytes.length < 5 + bytes.readUInt16BE(3)) return;
        socket.destroy();
        server.close();
        resolve(bytes.subarray(0, 5 + bytes.readUInt16BE(3)));
      });
    });
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      if (address === null || typeof address === 'string') return;
      const client = connect({ host: '127.0.0.1', port: address.port, servername: 'kubernetes' });
      client.on('error', () => client.destroy());
    });
  });
}
