// How a file of fault tests begins: with a lab of its own, or skipped loudly where there can be none.
import { Lab, type LabOptions } from './lab.ts';
import { namespacesUnavailable } from './netns.ts';
import { takePriority } from './priority.ts';

const startTimeoutMs = 60_000;

/** `define` is called with a function that gives the running lab. */
export function describeFaults(name: string, options: LabOptions, define: (lab: () => Lab) => void): void {
  const why = namespacesUnavailable();
  if (why) {
    process.stderr.write(`\n  FAULT TESTS SKIPPED (${name}): ${why}\n\n`);
    describe.skip(name, () => define(() => undefined as never));
    return;
  }
  describe(name, () => {
    let lab: Lab | undefined;
    let giveBack = (): void => {};
    beforeAll(async () => {
      giveBack = takePriority();
      lab = await Lab.start(options);
    }, startTimeoutMs);
    // A file that runs beside this one gives back for the whole session.
    beforeEach(() => {
      takePriority();
    });
    afterAll(async () => {
      await lab?.stop();
      giveBack();
    }, startTimeoutMs);
    define(() => {
      if (!lab) throw new Error('the lab has not started');
      return lab;
    });
  });
}
