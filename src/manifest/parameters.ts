// The parameters of a manifest, set on its YAML nodes: comments and all other values stay.
import { type Document, isMap, isSeq, parseDocument } from 'yaml';
import { configMapName } from './config-map-name.ts';

/** Where an object has its pod's specification. */
export function podSpecPath(object: Document): readonly string[] | undefined {
  const kind = object.get('kind');
  if (kind === 'Pod') return ['spec'];
  return kind === 'DaemonSet' || kind === 'Job' ? ['spec', 'template', 'spec'] : undefined;
}

/** All maps of a list in the specification of the object's pod. */
function podItems(object: Document, list: string) {
  const path = podSpecPath(object);
  const found = path && object.getIn([...path, list]);
  return isSeq(found) ? found.items.filter((item) => isMap(item)) : [];
}

export function setImage(objects: readonly Document[], image: string): void {
  for (const object of objects)
    for (const container of podItems(object, 'containers')) container.set('image', image);
}

export function renameConfigMap(objects: readonly Document[], from: string, to: string): void {
  for (const object of objects) {
    if (object.get('kind') === 'ConfigMap' && object.getIn(['metadata', 'name']) === from)
      object.setIn(['metadata', 'name'], to);
    for (const volume of podItems(object, 'volumes'))
      if (volume.getIn(['configMap', 'name']) === from) volume.setIn(['configMap', 'name'], to);
  }
}

/** Changes the agent's configuration in its ConfigMap, which gets the name that its content makes. */
export function changeConfig(objects: readonly Document[], change: (text: string) => string): void {
  const map = objects.find((object) => object.get('kind') === 'ConfigMap');
  if (!map) throw new Error('the manifest has no ConfigMap');
  map.setIn(['data', 'config.yaml'], change(String(map.getIn(['data', 'config.yaml']))));
  const { metadata, data } = map.toJS() as { metadata: { name: string }; data: Record<string, string> };
  renameConfigMap(objects, metadata.name, configMapName(metadata.name.replace(/-[^-]+$/, ''), data));
}

/** The configuration with these API servers; its comments stay. */
export function withEndpoints(config: string, endpoints: readonly string[]): string {
  const document = parseDocument(config);
  const had = document.get('endpoints', true);
  const list = document.createNode([...endpoints]);
  if (isSeq(had) && had.commentBefore) list.commentBefore = had.commentBefore;
  document.set('endpoints', list);
  return document.toString({ lineWidth: 0, flowCollectionPadding: true });
}
