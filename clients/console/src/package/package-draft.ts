// What somebody has filled in on the page of a new package, and the request that it makes. Fields hold what was typed.
import type { RequestAssemblyBody } from '../../../api/src/index.ts';
import { wordsOf } from '../filter/filter.ts';

export type Handler = 'rawfile' | 'archive' | 'raw';

export interface PartDraft {
  /** Of the field in the page. */
  key: string;
  firmwareId: number | null;
  handler: Handler;
  /** Where it goes on the device: a file, a folder or a block device; empty: where the service puts a file of this hardware type. */
  place: string;
}

export interface PackageDraft {
  hardware_type: string;
  version: string;
  comment: string;
  parts: readonly PartDraft[];
  /** Hardware revisions, separated by commas or spaces. */
  revisions: string;
  signed: boolean;
}

export const emptyPart = (key: string): PartDraft => ({ key, firmwareId: null, handler: 'rawfile', place: '' });

export const emptyPackage = (key: string): PackageDraft => ({
  ...{ hardware_type: '', version: '', comment: '', revisions: '1.0', signed: true },
  parts: [emptyPart(key)],
});

/** A part moved up by one place: they are installed in this order. */
export const movedUp = (parts: readonly PartDraft[], key: string): PartDraft[] => {
  const from = parts.findIndex((part) => part.key === key);
  const before = parts[from - 1];
  const moved = parts[from];
  return before && moved ? parts.with(from - 1, moved).with(from, before) : [...parts];
};

export type WrongPackage = 'type' | 'version' | 'noParts' | 'place' | 'revisions';

/** What keeps the package from being made; undefined: nothing. */
export const findWrongInPackage = ({ hardware_type, version, parts, revisions }: PackageDraft): WrongPackage | undefined => {
  if (hardware_type === '') return 'type';
  if (version.trim() === '') return 'version';
  if (parts.length === 0 || parts.some(({ firmwareId }) => firmwareId === null)) return 'noParts';
  if (parts.some(({ handler, place }) => !isPlace(handler, place.trim()))) return 'place';
  return wordsOf(revisions).length === 0 ? 'revisions' : undefined;
};

const isPlace = (handler: Handler, place: string): boolean => {
  if (handler === 'rawfile') return place === '' || place.startsWith('/');
  return handler === 'raw' ? place.startsWith('/dev/') : place.startsWith('/');
};

export const requestOfPackage = ({ hardware_type, version, comment, parts, revisions, signed }: PackageDraft): RequestAssemblyBody => ({
  ...{ hardware_type, version: version.trim(), comment: comment.trim(), signed },
  hardware_compatibility: wordsOf(revisions),
  parts: parts.map((part) => ({ firmware_id: part.firmwareId ?? 0, install: installOf(part) })),
});

const installOf = ({ handler, place }: PartDraft): NonNullable<RequestAssemblyBody['parts'][number]['install']> => {
  const at = place.trim();
  if (handler === 'raw') return { handler, device: at };
  if (handler === 'archive') return { handler, path: at };
  return at === '' ? { handler } : { handler, path: at };
};
