// What a systemd unit takes from a process, put on a process without systemd: the system calls and address families of its
// filters (by the kernel's seccomp, from the unit's own lines), no capability, a read-only file system, its umask.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { arch } from 'node:os';
import { join } from 'node:path';

/** Undefined where the tools are there and work. */
export function sandboxProblem(): string | undefined {
  for (const command of [
    ['systemd-analyze', 'syscall-filter', '@system-service'],
    ['scmp_sys_resolver', 'read'],
    ['bwrap', '--ro-bind', '/', '/', '--unshare-net', '--cap-drop', 'ALL', 'true'],
  ]) {
    if (spawnSync(command[0] ?? '', command.slice(1)).status !== 0)
      return `${command[0]} is missing or does not work here`;
  }
  return undefined;
}

const auditArchitectures: Readonly<Record<string, number>> = { x64: 0xc000003e, arm64: 0xc00000b7 };
const families: Readonly<Record<string, number>> = {
  AF_UNIX: 1,
  AF_INET: 2,
  AF_INET6: 10,
  AF_NETLINK: 16,
  AF_PACKET: 17,
};
const [eperm, unsupportedFamily] = [1, 97];
const [allow, fail] = [0x7fff0000, 0x00050000];

const valuesOf = (unit: string, key: string) =>
  unit
    .split('\n')
    .filter((line) => line.startsWith(`${key}=`))
    .map((line) => line.slice(key.length + 1).trim());

/** Sets such as @system-service, and the sets in them, to names. */
function expand(word: string): string[] {
  if (!word.startsWith('@')) return [word];
  const { stdout } = spawnSync('systemd-analyze', ['syscall-filter', word], { encoding: 'utf8' });
  const members = stdout
    .split('\n')
    .slice(1)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
  return members.flatMap(expand);
}

function allowedNumbers(unit: string): number[] {
  const names = new Set<string>();
  for (const value of valuesOf(unit, 'SystemCallFilter')) {
    const isRemoved = value.startsWith('~');
    for (const name of value.replace('~', '').split(/\s+/).flatMap(expand)) {
      if (isRemoved) names.delete(name);
      else names.add(name);
    }
  }
  const script = 'for name; do scmp_sys_resolver "$name"; done';
  const { stdout } = spawnSync('sh', ['-c', script, 'sh', ...names], { encoding: 'utf8' });
  return stdout
    .split('\n')
    .map(Number)
    .filter((number) => number > 0 || Object.is(number, 0))
    .slice(0, 1_000);
}

const numberOf = (name: string) =>
  Number(spawnSync('scmp_sys_resolver', [name], { encoding: 'utf8' }).stdout);

/** A classic BPF program, as seccomp(2) takes it. */
function filterOf(unit: string): Buffer {
  const steps: [code: number, jumpTrue: number, jumpFalse: number, value: number][] = [];
  const load = (offset: number) => steps.push([0x20, 0, 0, offset]);
  const unless = (value: number, skip: number) => steps.push([0x15, 0, skip, value]);
  const answer = (value: number) => steps.push([0x06, 0, 0, value]);
  load(4);
  steps.push([0x15, 1, 0, auditArchitectures[arch()] ?? 0]);
  answer(fail | eperm);
  load(0);
  const wanted = valuesOf(unit, 'RestrictAddressFamilies').join(' ').split(/\s+/);
  unless(numberOf('socket'), 2 + 2 * wanted.length);
  load(16);
  for (const family of wanted) {
    const number = families[family];
    if (number === undefined) throw new Error(`unknown address family ${family}`);
    unless(number, 1);
    answer(allow);
  }
  answer(fail | unsupportedFamily);
  for (const number of allowedNumbers(unit)) {
    unless(number, 1);
    answer(allow);
  }
  answer(fail | eperm);
  const program = Buffer.alloc(steps.length * 8);
  steps.forEach(([code, jumpTrue, jumpFalse, value], index) => {
    program.writeUInt16LE(code, index * 8);
    program.writeUInt8(jumpTrue, index * 8 + 2);
    program.writeUInt8(jumpFalse, index * 8 + 3);
    program.writeUInt32LE(value, index * 8 + 4);
  });
  return program;
}

/**
 * A command that runs what follows it as the unit would, in a network of its own that has nothing but loopback; it may
 * write below `writable`, where its filter is kept too. It ends with the process that starts it.
 */
export function sandboxOf(unit: string, writable: string): [string, ...string[]] {
  const file = join(writable, 'seccomp.bpf');
  writeFileSync(file, filterOf(unit));
  const umask = valuesOf(unit, 'UMask')[0] ?? '0022';
  const words = [
    ...['bwrap', '--ro-bind', '/', '/', '--dev', '/dev', '--proc', '/proc', '--bind', writable, writable],
    ...['--unshare-net', '--cap-drop', 'ALL', '--die-with-parent', '--seccomp', '9'],
  ];
  return ['sh', '-c', `umask ${umask}; exec ${words.join(' ')} "$@" 9<${file}`, 'sh'];
}

export const readUnit = (): string => readFileSync('manifests/systemd/fairlead.service', 'utf8');
