// Property tests draw the same examples in every run, so that a change is judged by itself and not by luck.
// FAIRLEAD_TEST_SEED=random (or a number) explores others: worth a run now and then, and a bug it finds gets a test.
import fc from 'fast-check';

const wanted = process.env.FAIRLEAD_TEST_SEED ?? '20260801';
if (wanted !== 'random') fc.configureGlobal({ seed: Number(wanted) });
