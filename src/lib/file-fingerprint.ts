// Whether a file may have changed, told without reading it.
import { stat } from 'node:fs/promises';
import { codeOrMessage } from '../model/error-text.ts';

/**
 * Changes whenever the content of `path` may have changed. Follows symlinks: kubelet rotates certificates and a ConfigMap
 * is updated by them. A file that is gone has a fingerprint too, so its return is a change. Never rejects.
 */
export async function fileFingerprint(path: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join(' ');
  } catch (error) {
    return codeOrMessage(error);
  }
}
