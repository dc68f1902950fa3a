// Notices that the configuration file has changed, by asking for its state every second. Not by
// inotify: a Kubernetes ConfigMap changes by a symlink in another directory, and instances of inotify
// are a resource that nodes run out of (fs.inotify.max_user_instances is 128 by default).
import type { Clock, Timer } from '../model/clock.ts';
import { fileFingerprint } from '../lib/file-fingerprint.ts';

export const watchIntervalMs = 1_000;

export interface FileWatch {
  stop(): void;
}

export interface WatchFileOptions {
  readonly path: string;
  readonly clock: Clock;
  /** Called when the file has changed and then stayed the same for one interval, so it is not being written. */
  readonly onChange: () => void;
  /** What identifies the content; replaced in tests. */
  readonly fingerprint?: (path: string) => Promise<string>;
}

export function watchFile({
  path,
  clock,
  onChange,
  fingerprint = fileFingerprint,
}: WatchFileOptions): FileWatch {
  let timer: Timer | undefined;
  let isStopped = false;
  let reported: string | undefined;
  let latest: string | undefined;
  const check = async () => {
    const seen = await fingerprint(path);
    if (isStopped) return;
    reported ??= seen;
    if (seen === latest && seen !== reported) {
      reported = seen;
      onChange();
    }
    latest = seen;
    timer = clock.schedule(watchIntervalMs, () => void check());
  };
  void check();
  return {
    stop() {
      isStopped = true;
      timer?.cancel();
    },
  };
}
