// Whether a process that holds a port says nothing there: how the installer tells a hung agent from one that is gone or works.
import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { HostPort } from '../model/endpoint.ts';

const withinMs = 5_000;

/**
 * True when the address takes the connection and does not answer a ClientHello: not with a byte, not with an end. False when
 * it refuses it, for then nothing is there that could take clients away. Never rejects.
 */
export async function isSilent({ host, port }: HostPort, ms = withinMs): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  let isConnected = false;
  const socket = connect({ host, port });
  const tls = connectTls({ socket, rejectUnauthorized: false });
  const timer = setTimeout(() => resolve(isConnected), ms);
  // The bytes of any answer are an answer: an alert and an HTTP error among them.
  for (const event of ['data', 'end', 'error', 'close']) socket.on(event, () => resolve(false));
  for (const event of ['secureConnect', 'end', 'error', 'close']) tls.on(event, () => resolve(false));
  socket.on('connect', () => {
    isConnected = true;
  });
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    tls.destroy();
    socket.destroy();
  }
}
