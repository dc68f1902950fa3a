// What /etc/hosts says of a name, read without the system's resolver: for when that hangs.
import { open } from 'node:fs/promises';

const maxBytes = 1 << 20;

/** The addresses of `host` in a hosts file (hosts(5)), in order. Pure. */
export function addressesIn(text: string, host: string): string[] {
  const wanted = host.toLowerCase().replace(/\.$/, '');
  return text.split('\n').flatMap((line) => {
    const [address, ...names] = (line.split('#')[0] ?? '').trim().split(/\s+/);
    return address && names.some((name) => name.toLowerCase() === wanted) ? [address] : [];
  });
}

/** Rejects when the file cannot be read. */
export async function lookupInHosts(host: string, file = '/etc/hosts'): Promise<string[]> {
  const handle = await open(file);
  try {
    const { buffer, bytesRead } = await handle.read({ buffer: Buffer.alloc(maxBytes), length: maxBytes });
    return addressesIn(buffer.toString('utf8', 0, bytesRead), host);
  } finally {
    await handle.close();
  }
}
