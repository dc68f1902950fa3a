// Checks objects against the API's own schemas, strictly. Two tools share the work, both made from the OpenAPI
// documents of Kubernetes (and the CRDs of the Prometheus operator): the validators of kubernetes-models look at
// types, formats and required members; the compiler holds each object against the type of its kind, which refuses
// members that do not exist, as the validators let them pass.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly labels?: Readonly<Record<string, string>>;
  };
  // biome-ignore lint/suspicious/noExplicitAny: what is below is what the schemas are asked about.
  readonly [member: string]: any;
}

type Model = new (object: object) => { validate(): void };

function moduleOf(apiVersion: string): string {
  const isOperator = apiVersion.startsWith('monitoring.coreos.com/');
  return `${isOperator ? '@kubernetes-models/prometheus-operator' : 'kubernetes-models'}/${apiVersion}`;
}

/** The problems that the validators find; empty when there are none. */
async function validate(object: KubeObject): Promise<string[]> {
  const { apiVersion, kind } = object;
  const module = moduleOf(apiVersion);
  const models = (await import(/* any of them */ module).catch(() => ({}))) as Record<string, Model>;
  const Kind = models[kind];
  if (!Kind) return [`there is no ${kind} in ${apiVersion}`];
  try {
    new Kind(object).validate();
    return [];
  } catch (error) {
    return [(error as Error).message];
  }
}

/** The problems that the compiler finds. One run for all objects, as starting it is what takes time. */
function typeCheck(objects: readonly KubeObject[]): string[] {
  // Within the project, as the types are looked for from there.
  mkdirSync('node_modules/.cache', { recursive: true });
  const directory = mkdtempSync('node_modules/.cache/manifests-');
  try {
    const files = objects.map((object, index) => {
      const { apiVersion, kind, metadata } = object;
      const file = join(directory, `${index}-${kind}-${metadata.name}.ts`);
      const value = JSON.stringify(object, null, 2);
      const type = `import type { I${kind} } from '${moduleOf(apiVersion)}';\n`;
      writeFileSync(file, `${type}export const object: I${kind} = ${value};\n`);
      return file;
    });
    const options = ['--noEmit', '--strict', '--skipLibCheck', '--module', 'nodenext', '--target', 'es2024'];
    const tsc = spawnSync(
      'node_modules/.bin/tsc',
      ['--ignoreConfig', ...options, '--pretty', 'false', ...files],
      {
        encoding: 'utf8',
      },
    );
    if (tsc.error) throw tsc.error;
    const problems = tsc.stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.replaceAll(`${directory}/`, ''));
    if (tsc.status !== 0 && problems.length === 0) throw new Error(`tsc: ${tsc.stderr}`);
    return problems;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Everything that is wrong with any of the objects. */
export async function schemaProblems(objects: readonly KubeObject[]): Promise<string[]> {
  const found = await Promise.all(
    objects.map(async (object) =>
      (await validate(object)).map((problem) => `${object.kind} ${object.metadata.name}: ${problem}`),
    ),
  );
  return [...found.flat(), ...typeCheck(objects)];
}
