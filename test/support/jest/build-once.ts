// Builds dist/fairlead.js before the suites of a project, so that none of them runs an old one.
import { buildAgent } from '../agent/agent-process.ts';

export default buildAgent;
