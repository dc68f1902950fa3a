import { FairleadError } from '../../../src/model/errors.ts';
import { HeldBack, LeftOut, PortWaiter } from '../../../src/agent/port-waiter.ts';
import { FakeClock } from '../../support/fakes/fake-clock.ts';
import { recordingLog } from '../../support/fakes/recording-log.ts';

const address = { host: '127.0.0.1', port: 6443 };

/** Stopped after each test, also one that fails: what waits holds the process. */
const started: PortWaiter[] = [];
afterEach(() => {
  for (const ports of started.splice(0)) ports.stop();
});

function waiter(limitMs: number) {
  const clock = new FakeClock();
  const log = recordingLog();
  const failures: unknown[] = [];
  const ports = new PortWaiter({ clock, log, limitMs, failed: (error) => failures.push(error) });
  started.push(ports);
  let isHeld = true;
  let tries = 0;
  const bind = async () => {
    tries += 1;
    if (isHeld) throw new FairleadError('LISTEN_IN_USE', 'held');
  };
  const pass = async (ms: number) => {
    for (let left = ms; left > 0; left -= 10) {
      await clock.advance(Math.min(10, left));
    }
  };
  return {
    ports,
    log,
    failures,
    bind,
    pass,
    free: () => {
      isHeld = false;
    },
    tries: () => tries,
  };
}

test('without leave to wait, a port in use is an error at once', async () => {
  const { ports, bind } = waiter(0);
  await expect(ports.take(address, bind)).rejects.toMatchObject({ code: 'LISTEN_IN_USE' });
  expect(ports.waitingFor).toEqual([]);
});

test('a port that comes free is taken within 50 ms, and the log says both', async () => {
  const { ports, bind, pass, free, log, tries } = waiter(Number.POSITIVE_INFINITY);
  await ports.take(address, bind);
  expect(ports.waitingFor).toEqual(['127.0.0.1:6443']);
  await pass(5_000);
  const before = tries();
  expect(before).toBeGreaterThan(80);
  free();
  await pass(50);
  expect(tries()).toBe(before + 1);
  expect(ports.waitingFor).toEqual([]);
  expect(log.lines.map(({ message }) => message)).toEqual([
    'address is in use: waiting for it',
    'address acquired',
  ]);
});

test('a bounded wait ends with the error, once', async () => {
  const { ports, bind, pass, failures } = waiter(2_000);
  await ports.take(address, bind);
  await pass(1_900);
  expect(failures).toEqual([]);
  await pass(10_000);
  expect(failures).toEqual([expect.objectContaining({ code: 'LISTEN_IN_USE' })]);
});

test('another error than a port in use is not waited out', async () => {
  const { ports, pass, failures } = waiter(60_000);
  let tries = 0;
  await ports.take(address, async () => {
    tries += 1;
    throw new FairleadError(tries === 1 ? 'LISTEN_IN_USE' : 'LISTEN_FAILED', 'no');
  });
  await pass(1_000);
  expect(failures).toEqual([expect.objectContaining({ code: 'LISTEN_FAILED' })]);
  expect(tries).toBe(2);
});

test('a long wait is not a busy one: four times a second after a minute, with a reminder each minute', async () => {
  const { ports, bind, pass, log, tries } = waiter(Number.POSITIVE_INFINITY);
  await ports.take(address, bind);
  await pass(61_000);
  const before = tries();
  await pass(60_000);
  expect(tries() - before).toBeGreaterThan(230);
  expect(tries() - before).toBeLessThanOrEqual(241);
  expect(
    log.lines.filter(({ message }) => message === 'address is still in use: waiting for it'),
  ).toHaveLength(2);
  ports.stop();
});

test('after stop nothing is tried', async () => {
  const { ports, bind, pass, tries } = waiter(Number.POSITIVE_INFINITY);
  await ports.take(address, bind);
  ports.stop();
  await pass(5_000);
  expect(tries()).toBe(1);
});

describe('an address that the host does not have', () => {
  const absent = () =>
    new FairleadError('LISTEN_FAILED', 'absent', {
      cause: Object.assign(new Error('x'), { code: 'EADDRNOTAVAIL' }),
    });

  /** Fails with what `problem` gives, until that is nothing. */
  function scripted(limitMs: number) {
    const parts = waiter(limitMs);
    const state = { problem: absent() as FairleadError | undefined };
    const bind = async () => {
      if (state.problem) throw state.problem;
    };
    return { ...parts, state, bind };
  }

  test('is an error at once, unless it may come later', async () => {
    const { ports, bind } = scripted(Number.POSITIVE_INFINITY);
    await expect(ports.take(address, bind)).rejects.toMatchObject({ code: 'LISTEN_FAILED' });
  });

  test('is waited for without end, whatever the limit of ports is, and apart from them', async () => {
    const { ports, bind, pass, state, failures } = scripted(0);
    await ports.take(address, bind, { mayLackAddress: true });
    expect([ports.absent, ports.waitingFor]).toEqual([['127.0.0.1:6443'], []]);
    await pass(600_000);
    expect(failures).toEqual([]);
    state.problem = undefined;
    await pass(1_000);
    expect([ports.absent, ports.waitingFor]).toEqual([[], []]);
  });

  test('that comes with its port taken is an error where no port may be waited for, else a port to wait for', async () => {
    const impatient = scripted(0);
    await impatient.ports.take(address, impatient.bind, { mayLackAddress: true });
    impatient.state.problem = new FairleadError('LISTEN_IN_USE', 'held');
    await impatient.pass(1_000);
    expect(impatient.failures).toEqual([impatient.state.problem]);

    const patient = scripted(5_000);
    await patient.ports.take(address, patient.bind, { mayLackAddress: true });
    await patient.pass(10_000);
    patient.state.problem = new FairleadError('LISTEN_IN_USE', 'held');
    await patient.pass(4_000);
    expect([patient.ports.absent, patient.ports.waitingFor]).toEqual([[], ['127.0.0.1:6443']]);
    await patient.pass(2_000);
    expect(patient.failures).toHaveLength(1);
  });
});

describe('an address that could be shared, and is not to be yet,', () => {
  function shared(limitMs: number, after: () => Promise<void> = async () => {}) {
    const made = waiter(limitMs);
    let mayShare = false;
    const bind = () => (mayShare ? after() : Promise.reject(new HeldBack()));
    return {
      ...made,
      bind,
      share: () => {
        mayShare = true;
      },
    };
  }
  const inUse = () => Promise.reject(new FairleadError('LISTEN_IN_USE', 'held'));

  test('is waited for without end, whatever the limit, and is not one that another process denies', async () => {
    const { ports, bind, pass, share, failures } = shared(0);
    await ports.take(address, bind);
    await pass(61_000);
    expect([ports.heldBack, ports.waitingFor, failures]).toEqual([['127.0.0.1:6443'], [], []]);
    share();
    await pass(250);
    expect([ports.heldBack, ports.waitingFor, failures]).toEqual([[], [], []]);
  });

  test('is in use like any other when it turns out not to be shared', async () => {
    const strict = shared(0, inUse);
    await strict.ports.take(address, strict.bind);
    strict.share();
    await strict.pass(100);
    expect(strict.failures).toMatchObject([{ code: 'LISTEN_IN_USE' }]);
    const patient = shared(1_000, inUse);
    await patient.ports.take(address, patient.bind);
    await patient.pass(5_000);
    patient.share();
    await patient.pass(900);
    expect([patient.ports.heldBack, patient.ports.waitingFor, patient.failures]).toEqual([
      [],
      ['127.0.0.1:6443'],
      [],
    ]);
    await patient.pass(300);
    expect(patient.failures).toHaveLength(1);
  });
});

describe('an optional listener', () => {
  const make = () => {
    const parts = waiter(0);
    let failure: Error | undefined = new LeftOut();
    const bind = async () => {
      if (failure) throw failure;
    };
    return {
      ...parts,
      bind,
      become: (next: Error | undefined) => {
        failure = next;
      },
    };
  };
  const messages = (log: ReturnType<typeof recordingLog>) => log.lines.map(({ message }) => message);

  test('whose address comes later is bound then; until then the agent is not waiting for anything', async () => {
    const { ports, bind, pass, log, become } = make();
    await ports.take(address, bind);
    expect([ports.waitingFor, ports.absent, ports.heldBack]).toEqual([[], [], []]);
    await pass(60_000);
    expect(messages(log)).toEqual(['address not available: listener left out until it is']);
    become(undefined);
    await pass(5_000);
    expect(messages(log).at(-1)).toBe('address acquired');
    expect(ports.waitingFor).toEqual([]);
  });

  test('whose address comes and is taken fails nothing, is told once, and is bound when it comes free', async () => {
    const { ports, bind, pass, log, become, failures } = make();
    await ports.take(address, bind);
    become(new FairleadError('LISTEN_IN_USE', 'held'));
    await pass(60_000);
    expect(failures).toEqual([]);
    expect(ports.waitingFor).toEqual([]);
    expect(messages(log).slice(1)).toEqual(['optional listener cannot be bound: trying again']);
    become(undefined);
    await pass(5_000);
    expect(messages(log).at(-1)).toBe('address acquired');
  });
});
