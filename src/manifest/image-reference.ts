// The name of an image, as a container runtime reads it (the grammar of distribution/reference).

const component = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const host =
  '(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\\.[a-zA-Z0-9-]+)*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?';
const whole = new RegExp(
  `^(?:${host}/)?${component}(?:/${component})*(?<tag>:[\\w][\\w.-]{0,127})?(?<digest>@sha256:[0-9a-f]{64})?$`,
);
const maxLength = 1024;

export type ImageReference =
  | { readonly ok: true; readonly hasDigest: boolean }
  | { readonly ok: false; readonly problem: string };

export function checkImageReference(text: string): ImageReference {
  const example = 'registry.example/fairlead:0.1.0@sha256:… (64 hexadecimal digits)';
  const match = text.length <= maxLength ? whole.exec(text) : null;
  if (!match) {
    return {
      ok: false,
      problem: `"${text.slice(0, 200)}" is not an image reference; write one like ${example}`,
    };
  }
  const { tag, digest } = match.groups ?? {};
  if (tag === undefined && digest === undefined) {
    return { ok: false, problem: `"${text}" has neither a tag nor a digest; add one, as in ${example}` };
  }
  return { ok: true, hasDigest: digest !== undefined };
}
