// How an examination is printed. Pure.
import type { Examination } from './doctor.ts';
import { checks, type Finding, type Severity, severities } from './finding.ts';

/** The worst first; what is well comes last, on one line each. */
export function formatExamination({ findings }: Examination): string {
  const lines: string[] = [];
  for (const severity of severities.toReversed()) {
    for (const finding of findings.filter((one) => one.severity === severity))
      lines.push(...describe(finding));
  }
  const count = (severity: Severity) => findings.filter((one) => one.severity === severity).length;
  const [errors, warnings] = [count('error'), count('warning')];
  lines.push('', `${plural(errors, 'error')}, ${plural(warnings, 'warning')}`);
  return `${lines.join('\n')}\n`;
}

const plural = (count: number, what: string) => `${count} ${what}${count === 1 ? '' : 's'}`;

function describe({ check, severity, message, fix }: Finding): string[] {
  const head = `${severity.padEnd(8)}${check}: ${message}`;
  if (severity === 'ok' || fix === undefined) return [head];
  const indent = ' '.repeat(8);
  return [head, `${indent}why:  ${checks[check].why}`, `${indent}fix: ${fix}`];
}

export function examinationJson({ role, endpoints, findings }: Examination): string {
  const all = findings.map((finding) => ({ ...finding, why: checks[finding.check].why }));
  return `${JSON.stringify({ role, endpoints, findings: all }, null, 2)}\n`;
}
