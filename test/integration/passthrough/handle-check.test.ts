// The check that stands between Node's internals and clients' bytes: whatever is wrong with them is found, named, and
// leaves nothing behind.
import { checkNodeHandles } from '../../../src/passthrough/socket/handle-check.ts';
import {
  findNodeHandles,
  type NodeHandles,
  type TcpHandle,
} from '../../../src/passthrough/socket/node-handles.ts';
import { watchForLeaks } from '../../support/jest/leaks.ts';

let nothingLeft: () => Promise<void>;

beforeEach(() => {
  nothingLeft = watchForLeaks();
});
afterEach(() => nothingLeft());

async function real(): Promise<NodeHandles> {
  const found = await findNodeHandles();
  if (!found.ok) throw new Error(found.problem);
  return found.value;
}

/** The check of this Node's handles, each made worse by `change`. */
async function checkWith(change: (handle: TcpHandle) => void): Promise<unknown> {
  const node = await real();
  class Worse {
    constructor(type: number) {
      const handle = new node.TcpHandle(type);
      change(handle);
      // biome-ignore lint/correctness/noConstructorReturn: what `new` gives is the changed handle
      return handle;
    }
  }
  const TcpHandle = Worse as unknown as NodeHandles['TcpHandle'];
  return checkNodeHandles({ find: async () => ({ ok: true, value: { ...node, TcpHandle } }), withinMs: 300 });
}

test("this Node's handles pass", async () => {
  expect(await checkNodeHandles()).toMatchObject({ ok: true });
});

test('handles that are not found are a problem with a name', async () => {
  const find = async () => ({ ok: false, problem: 'no such thing' }) as const;
  expect(await checkNodeHandles({ find })).toEqual({ ok: false, problem: 'no such thing' });
  const fails = () => Promise.reject(new TypeError('not a constructor'));
  expect(await checkNodeHandles({ find: fails })).toEqual({ ok: false, problem: 'not a constructor' });
});

test('a system error that ended the check is named by its code', async () => {
  const node = await real();
  class Failing {
    constructor() {
      throw Object.assign(new Error('connecting'), { code: 'ENETUNREACH' });
    }
  }
  const TcpHandle = Failing as unknown as NodeHandles['TcpHandle'];
  const find = async () => ({ ok: true, value: { ...node, TcpHandle } }) as const;
  expect(await checkNodeHandles({ find })).toEqual({ ok: false, problem: 'connecting', code: 'ENETUNREACH' });
});

test('a Node that the handles have not been tested with keeps net.Socket', async () => {
  const [major = ''] = process.versions.node.split('.');
  expect(await findNodeHandles(`${Number(major) + 2}.0.0`)).toMatchObject({ ok: false });
  expect(await findNodeHandles('24.19.0')).toEqual({ ok: false, problem: 'not tested with Node 24.19.0' });
});

test('a handle without one of the methods is not even tried', async () => {
  const { TcpHandle } = await real();
  const { prototype } = TcpHandle as unknown as { prototype: object };
  const original = Object.getOwnPropertyDescriptor(prototype, 'setKeepAlive') ?? {};
  Object.defineProperty(prototype, 'setKeepAlive', { value: undefined, configurable: true });
  try {
    expect(await checkNodeHandles()).toEqual({ ok: false, problem: 'a handle has no setKeepAlive' });
  } finally {
    Object.defineProperty(prototype, 'setKeepAlive', original);
  }
});

test('a handle that writes something else does not pass', async () => {
  const result = await checkWith((handle) => {
    const write = handle.writeBuffer;
    handle.writeBuffer = function writeBuffer(request, bytes) {
      return write.call(this, request, Buffer.from(bytes).fill(7));
    };
  });
  expect(result).toEqual({ ok: false, problem: 'bytes were changed' });
});

test('a handle that takes bytes and never sends them does not pass', async () => {
  const result = await checkWith((handle) => {
    handle.writeBuffer = () => 0;
  });
  expect(result).toEqual({ ok: false, problem: 'a writer never had to wait' });
});

test('a handle that never ends does not hold up the check', async () => {
  const result = await checkWith((handle) => {
    handle.shutdown = () => 0;
  });
  expect(result).toEqual({
    ok: false,
    problem: 'the check did not end in time',
    code: 'ETIMEDOUT',
  });
});

test('a handle that resets with a FIN does not pass', async () => {
  const result = await checkWith((handle) => {
    handle.reset = () => {
      handle.close();
      return 0;
    };
  });
  expect(result).toMatchObject({ ok: false });
});

test('read lengths that are wrong do not pass', async () => {
  const node = await real();
  const takeResult = () => {
    const result = node.readOutcome.takeResult();
    return result > 1 ? result - 1 : result;
  };
  const readOutcome = { takeResult } as NodeHandles['readOutcome'];
  const find = async () => ({ ok: true, value: { ...node, readOutcome } }) as const;
  expect(await checkNodeHandles({ find, withinMs: 300 })).toMatchObject({ ok: false });
});
